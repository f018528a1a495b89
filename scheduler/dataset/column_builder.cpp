#include "dataset/column_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "dataset/number_text.hpp"

namespace prs::dataset {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// 1, 0, or -1 for neither True nor False.
int parse_bool(std::string_view text) {
  if (text == "True" || text == "TRUE" || text == "true") return 1;
  if (text == "False" || text == "FALSE" || text == "false") return 0;
  return -1;
}

/// From the first rows that were whole numbers on. False when a row is neither a number nor
/// missing.
bool read_numbers(const FieldColumn& texts, Column& column) {
  const std::size_t rows = texts.rows();
  column.floats.resize(rows);
  std::size_t row = 0;
  for (; row < column.integers.size(); ++row) {
    column.floats[row] = static_cast<double>(column.integers[row]);
  }
  column.integers.clear();
  for (; row < rows; ++row) {
    if (parse_number(texts[row], column.floats[row])) continue;
    if (!is_missing(texts[row])) {
      column.floats.clear();
      return false;
    }
    column.floats[row] = kNaN;
  }
  column.type = Column::Type::kFloat64;
  return true;
}

bool read_bools(const FieldColumn& texts, Column& column) {
  const std::size_t rows = texts.rows();
  std::vector<std::uint8_t> valid(rows, 1);
  bool all_valid = true;
  column.bools.resize(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const int value = parse_bool(texts[row]);
    if (value < 0 && !is_missing(texts[row])) {
      column.bools.clear();
      return false;
    }
    column.bools[row] = value == 1 ? 1 : 0;
    valid[row] = value < 0 ? 0 : 1;
    all_valid = all_valid && value >= 0;
  }
  if (!all_valid) column.valid = std::move(valid);
  column.type = Column::Type::kBool;
  return true;
}

}  // namespace

const char* type_name(Column::Type type) {
  switch (type) {
    case Column::Type::kInt64:
      return "int64";
    case Column::Type::kFloat64:
      return "float64";
    case Column::Type::kBool:
      return "bool";
    case Column::Type::kString:
      return "string";
    case Column::Type::kTimestamp:
      break;
  }
  return "timestamp";
}

bool is_missing(std::string_view text) {
  // pandas' list: pandas._libs.parsers.STR_NA_VALUES.
  constexpr std::array<std::string_view, 18> kWords = {
      "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
      "<NA>", "N/A",      "NA",  "NULL",    "NaN",      "None", "n/a",  "nan",    "null"};
  if (text.empty()) return true;
  const char first = text.front();
  if (first != '#' && first != '-' && first != '1' && first != '<' && (first | 0x20) != 'n') {
    return false;
  }
  return std::find(kWords.begin(), kWords.end(), text) != kWords.end();
}

void append_text(Column& column, std::string_view text) {
  column.bytes += text;
  column.offsets.push_back(static_cast<std::int64_t>(column.bytes.size()));
  if (!column.valid.empty()) column.valid.push_back(1);
}

void append_missing_text(Column& column) {
  if (column.valid.empty()) column.valid.assign(column.offsets.size() - 1, 1);
  column.valid.push_back(0);
  column.offsets.push_back(static_cast<std::int64_t>(column.bytes.size()));
}

Column infer_column(std::string name, const FieldColumn& texts, bool empty_as_string) {
  Column column;
  column.name = std::move(name);
  const std::size_t rows = texts.rows();
  bool too_large = false;
  std::size_t row = 0;
  for (; row < rows; ++row) {
    std::int64_t value = 0;
    const Integer kind = parse_integer(texts[row], value);
    if (kind == Integer::kNone) break;
    too_large = too_large || kind == Integer::kTooLarge;
    if (row == 0) column.integers.resize(rows);
    column.integers[row] = value;
  }
  if (rows > 0 && row == rows && !too_large) {
    column.type = Column::Type::kInt64;
    return column;
  }
  column.integers.resize(too_large ? 0 : row);
  const bool keep_text = too_large && row == rows;
  if (!keep_text) {
    if (read_numbers(texts, column)) return column;
    if (read_bools(texts, column)) return column;
  }
  column.type = Column::Type::kString;
  column.integers.clear();
  column.offsets.reserve(rows + 1);
  column.offsets.push_back(0);
  for (row = 0; row < rows; ++row) {
    const std::string_view text = texts[row];
    if (is_missing(text) && !(empty_as_string && text.empty())) {
      append_missing_text(column);
    } else {
      append_text(column, text);
    }
  }
  return column;
}

Column text_column(std::string name, const FieldColumn& texts) {
  Column column;
  column.name = std::move(name);
  column.type = Column::Type::kString;
  column.offsets.push_back(0);
  for (std::size_t row = 0; row < texts.rows(); ++row) append_text(column, texts[row]);
  return column;
}

std::vector<std::string> distinct_names(std::vector<std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) names[i] = fmt::format("Unnamed: {}", i);
  }
  std::set<std::string> used(names.begin(), names.end());
  std::set<std::string> seen;
  for (std::string& name : names) {
    if (seen.insert(name).second) continue;
    std::string other;
    for (int number = 1;; ++number) {
      other = fmt::format("{}.{}", name, number);
      if (used.insert(other).second) break;
    }
    name = other;
    seen.insert(name);
  }
  return names;
}

}  // namespace prs::dataset
