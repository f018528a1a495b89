// Collects the rows of one mini-batch in the form that the output file wants them.
#pragma once

#include <string_view>

#include "config/step.hpp"
#include "entry/entry.hpp"

namespace prs::entry {

class RowCollector {
 public:
  explicit RowCollector(const config::Step& step)
      : counts_only_(step.output_action == config::OutputAction::kSummaryOnly),
        safe_(step.append_row_safe_output && step.output_format == config::OutputFormat::kText) {}

  /// A row without its newline. With append_row_safe_output line breaks in a text row become \n and
  /// \r, and backslashes \\ (O2); CSV and JSON lines have ways of their own.
  void add(std::string_view row);
  Rows& rows() { return rows_; }
  /// What was collected; the collector is empty again.
  Rows take();

 private:
  bool counts_only_;
  bool safe_;
  Rows rows_;
};

}  // namespace prs::entry
