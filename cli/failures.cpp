#include "failures.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "text.hpp"

namespace prs::cli {
namespace {

/// Warnings are for watching a run; past this many they only bury the rest of the log.
constexpr std::int64_t kMaxWarnings = 100;
constexpr std::size_t kMaxListed = 20;

}  // namespace

Failures::Failures(const std::filesystem::path& list, bool overwrite) {
  if (!list.empty()) list_.emplace(Output::create(list, overwrite));
}

void Failures::add(const ImageItem& item, const std::string& reason) {
  ++count_;
  if (count_ <= kMaxWarnings) spdlog::warn("{}", reason);
  if (count_ == kMaxWarnings) spdlog::warn("further failures are only counted");
  if (first_.size() < kMaxListed) first_.push_back(reason);
  if (!list_) return;
  const std::string name = item.name();
  std::string_view text = reason;
  if (text.starts_with(name + ": ")) text.remove_prefix(name.size() + 2);
  list_->append(fmt::format("{}\t{}\n", name, text));
}

void Failures::flush() {
  if (list_) list_->flush();
}

void Failures::commit() {
  if (list_) list_->commit();
}

std::string Failures::summary() const {
  if (count_ == 0) return {};
  std::string text = "failed:\n";
  for (const std::string& reason : first_) text += fmt::format("  {}\n", reason);
  const std::int64_t more = count_ - static_cast<std::int64_t>(first_.size());
  if (more > 0) text += fmt::format("  and {} more\n", group_digits(more));
  return text;
}

std::string scoring_summary(std::int64_t scored, std::int64_t failed, std::int64_t total,
                            double seconds) {
  return fmt::format(
      "scored {} of {} image{} in {} s ({} images/s); {} failed", group_digits(scored),
      group_digits(total), total == 1 ? "" : "s",
      seconds < 0.1 ? fmt::format("{:.2g}", seconds) : fmt::format("{:.2f}", seconds),
      format_rate(static_cast<double>(scored) / seconds), group_digits(failed));
}

}  // namespace prs::cli
