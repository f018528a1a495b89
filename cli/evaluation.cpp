#include "evaluation.hpp"

#include <algorithm>

namespace prs::cli {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Evaluation::Evaluation(std::int64_t classes)
    : support_(static_cast<std::size_t>(classes)), predicted_(static_cast<std::size_t>(classes)) {}

void Evaluation::add(std::int64_t truth, std::int64_t predicted) {
  ++images_;
  if (truth == predicted) ++correct_;
  ++support_[static_cast<std::size_t>(truth)];
  ++predicted_[static_cast<std::size_t>(predicted)];
  ++counts_[{truth, predicted}];
}

double Evaluation::accuracy() const noexcept { return ratio(correct_, images_); }

ClassFigures Evaluation::figures(std::int64_t index) const {
  const std::int64_t hits = count(index, index);
  const std::int64_t support = support_[static_cast<std::size_t>(index)];
  const std::int64_t predicted = predicted_[static_cast<std::size_t>(index)];
  return {support, ratio(hits, predicted), ratio(hits, support),
          ratio(2 * hits, predicted + support)};
}

std::int64_t Evaluation::count(std::int64_t truth, std::int64_t predicted) const {
  const auto found = counts_.find({truth, predicted});
  return found == counts_.end() ? 0 : found->second;
}

std::vector<Evaluation::Confusion> Evaluation::confusions(std::size_t limit) const {
  std::vector<Confusion> mistakes;
  for (const auto& [pair, count] : counts_) {
    if (pair.first != pair.second) mistakes.push_back({pair.first, pair.second, count});
  }
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  mistakes.resize(std::min(limit, mistakes.size()));
  return mistakes;
}

}  // namespace prs::cli
