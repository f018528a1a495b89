// Small pieces of text: numbers for people, CSV records, aligned tables, nearest names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace prs::cli {

/// "1,234,567".
std::string group_digits(std::int64_t value);

/// A rate with three significant digits: "23,800", "9.41".
std::string format_rate(double per_second);

/// A quantity with a decimal prefix: "1.57 M".
std::string format_quantity(double value);

/// "1.21 MiB".
std::string format_bytes(std::int64_t bytes);

/// The records of a CSV text (RFC 4180; LF or CRLF; blank lines skipped). `name` begins the message
/// of the prs::Error (invalid argument) thrown for a quote that is never closed.
std::vector<std::vector<std::string>> parse_csv(std::string_view text, std::string_view name);

/// The candidate with the fewest edits from `word`, when that is close enough to be a slip.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// Rows of cells printed in columns. Cells of columns marked '>' are right-aligned.
class Table {
 public:
  /// `alignments`: one '<' or '>' a column.
  explicit Table(std::string_view alignments) : alignments_(alignments) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Each line begins with `indent` and ends with a line feed, without trailing blanks.
  std::string to_string(std::string_view indent = "") const;

 private:
  std::string alignments_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace prs::cli
