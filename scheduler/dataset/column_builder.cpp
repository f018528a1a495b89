#include "dataset/column_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

namespace prs::dataset {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

enum class Integer { kValue, kTooLarge, kNone };

/// Blanks around, a sign, and any leading zeros may stand, as in pandas.
Integer parse_integer(std::string_view text, std::int64_t& value) {
  text = trimmed(text);
  const bool negative = !text.empty() && text.front() == '-';
  const bool positive = !text.empty() && text.front() == '+';
  if (negative || positive) text.remove_prefix(1);
  if (text.empty()) return Integer::kNone;
  std::uint64_t magnitude = 0;
  if (text.size() <= 18) {  // Fits whatever the digits are.
    for (const char c : text) {
      if (!is_digit(c)) return Integer::kNone;
      magnitude = magnitude * 10 + static_cast<std::uint64_t>(c - '0');
    }
  } else {
    if (!std::all_of(text.begin(), text.end(), is_digit)) return Integer::kNone;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), magnitude);
    const std::uint64_t limit = (std::uint64_t{1} << 63) - (negative ? 0 : 1);
    if (result.ec != std::errc() || magnitude > limit) return Integer::kTooLarge;
  }
  value = static_cast<std::int64_t>(negative ? ~magnitude + 1 : magnitude);
  return Integer::kValue;
}

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/// "-12.345" and the like: the digits fit a double and 10^decimals is exact, so one division rounds
/// correctly (Clinger 1990). False for everything else.
bool parse_short_decimal(std::string_view text, double& value) {
  const bool negative = text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 16) return false;
  std::uint64_t digits = 0;
  std::size_t point = text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_digit(text[i])) {
      digits = digits * 10 + static_cast<std::uint64_t>(text[i] - '0');
    } else if (text[i] == '.' && point == text.size()) {
      point = i;
    } else {
      return false;
    }
  }
  const bool has_point = point < text.size();
  if (text.size() == (has_point ? 1U : 0U)) return false;
  const double number =
      static_cast<double>(digits) / kPowersOfTen[has_point ? text.size() - point - 1 : 0];
  value = negative ? -number : number;
  return digits < (std::uint64_t{1} << 53);
}

bool parse_infinity(std::string_view text, double& value) {
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (text.size() != 3 && text.size() != 8) return false;
  constexpr std::string_view kWord = "infinity";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != kWord[i]) return false;
  }
  value =
      negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  return true;
}

bool parse_number(std::string_view text, double& value) {
  text = trimmed(text);
  if (text.empty()) return false;
  if (parse_short_decimal(text, value)) return true;
  if (parse_infinity(text, value)) return true;
  std::string_view digits = text;
  if (digits.front() == '+') {
    digits.remove_prefix(1);
    if (digits.empty() || digits.front() == '-') return false;
  }
  // from_chars also reads words such as nan(1).
  const char first = digits.front() == '-' && digits.size() > 1 ? digits[1] : digits.front();
  if (!is_digit(first) && first != '.') return false;
  const char* const end = digits.data() + digits.size();
  const auto [last, error] = std::from_chars(digits.data(), end, value);
  if (last != end) return false;
  if (error == std::errc::result_out_of_range) {
    // As strtod: infinity, or what is left of a tiny number. (A copy: it wants a NUL.)
    value = std::strtod(std::string(digits).c_str(), nullptr);
    return true;
  }
  return error == std::errc();
}

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
  constexpr std::string_view kFirst = "#-1<Nn";
  if (text.size() > 8 || kFirst.find(text.front()) == std::string_view::npos) return false;
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
  column.integers.resize(rows);
  Integer kind = rows == 0 ? Integer::kNone : Integer::kValue;
  bool too_large = false;
  std::size_t row = 0;
  for (; row < rows; ++row) {
    kind = parse_integer(texts[row], column.integers[row]);
    if (kind == Integer::kNone) break;
    too_large = too_large || kind == Integer::kTooLarge;
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
