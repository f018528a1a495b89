#include "entry/row_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "entry/json_text.hpp"
#include "logs/csv.hpp"

namespace prs::entry {

using config::OutputFormat;

namespace {

std::string quoted_for(OutputFormat format, const std::string& text) {
  switch (format) {
    case OutputFormat::kText:
      break;
    case OutputFormat::kCsv:
      return logs::csv_field(text);
    case OutputFormat::kJsonLines:
    case OutputFormat::kParquet:
      return json_string(text);
  }
  return text;
}

/// JSON has no NaN and no infinity.
void append_json_number(float value, std::string& out) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    out += "null";
  }
}

}  // namespace

RowWriter::RowWriter(const Scorer& scorer, OutputFormat format, std::int64_t top_k, bool all_scores)
    : scorer_(scorer),
      format_(format),
      top_k_(std::min(top_k, scorer.engine.classes())),
      all_scores_(all_scores) {
  for (std::int64_t i = 0; i < scorer.engine.classes(); ++i) {
    class_cells_.push_back(quoted_for(format, scorer.class_name(i)));
  }
}

std::string RowWriter::header() const {
  if (format_ != OutputFormat::kCsv) return {};
  std::string line = "name,class,score";
  for (std::int64_t k = 2; k <= top_k_; ++k) line += fmt::format(",class{},score{}", k, k);
  if (all_scores_) {
    for (std::int64_t i = 0; i < scorer_.engine.classes(); ++i) {
      line += "," + logs::csv_field("score_" + scorer_.class_name(i));
    }
  }
  return line + "\n";
}

void RowWriter::append(const RowItem& item, std::span<const float> scores, std::string& out) const {
  const Prediction best = scorer_.engine.top(scores, top_k_);
  switch (format_) {
    case OutputFormat::kText:
      return append_text(item, best, out);
    case OutputFormat::kCsv:
      return append_csv(item, best, scores, out);
    case OutputFormat::kJsonLines:
    case OutputFormat::kParquet:
      return append_json(item, best, scores, out);
  }
}

void RowWriter::append_text(const RowItem& item, const Prediction& best, std::string& out) const {
  out += short_name(item);
  out += ':';
  for (std::size_t k = 0; k < best.top.size(); ++k) {
    out += k == 0 ? " " : ", ";
    out += class_cell(best.top[k].index);
    if (top_k_ > 1) fmt::format_to(std::back_inserter(out), " ({:.4g})", best.top[k].score);
  }
  out += '\n';
}

void RowWriter::append_csv(const RowItem& item, const Prediction& best,
                           std::span<const float> scores, std::string& out) const {
  const auto insert = std::back_inserter(out);
  logs::append_csv_field(out, short_name(item));
  for (const Score& score : best.top) {
    fmt::format_to(insert, ",{},{}", class_cell(score.index), score.score);
  }
  if (all_scores_) {
    for (const float score : scores) fmt::format_to(insert, ",{}", score);
  }
  out += '\n';
}

void RowWriter::append_json(const RowItem& item, const Prediction& best,
                            std::span<const float> scores, std::string& out) const {
  const auto insert = std::back_inserter(out);
  fmt::format_to(insert, R"({{"name":{},"path":{})", json_string(short_name(item)),
                 json_string(item.path));
  if (item.record >= 0) fmt::format_to(insert, R"(,"record":{})", item.record);
  out += R"(,"top":[)";
  for (std::size_t k = 0; k < best.top.size(); ++k) {
    fmt::format_to(insert, R"({}{{"class":{},"index":{},"score":)", k == 0 ? "" : ",",
                   class_cell(best.top[k].index), best.top[k].index);
    append_json_number(best.top[k].score, out);
    out += '}';
  }
  out += ']';
  if (all_scores_) {
    out += R"(,"scores":[)";
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (i > 0) out += ',';
      append_json_number(scores[i], out);
    }
    out += ']';
  }
  out += "}\n";
}

std::string short_name(const RowItem& item) {
  const std::string base(item.path.substr(item.path.rfind('/') + 1));
  return item.record < 0 ? base : fmt::format("{}#{}", base, item.record);
}

}  // namespace prs::entry
