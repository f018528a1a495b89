#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

#include <prs/error.hpp>

#include "dataset/table_text.hpp"

namespace prs::dataset {
namespace {

namespace dom = simdjson::dom;

/// A column while its lines are read: numbers as numbers, everything else as its text.
class JsonColumn {
 public:
  JsonColumn(std::string name, std::size_t missing) : name_(std::move(name)) {
    for (; missing > 0; --missing) add_missing();
  }

  std::size_t rows() const { return cells_.size(); }

  void add_missing() { cells_.push_back({Kind::kMissing, {}}); }

  void add(const dom::element& value) {
    Cell cell;
    switch (value.type()) {
      case dom::element_type::NULL_VALUE:
        break;
      case dom::element_type::BOOL:
        cell.kind = Kind::kBool;
        cell.value.integer = value.get_bool().value_unsafe() ? 1 : 0;
        break;
      case dom::element_type::INT64:
        cell.kind = Kind::kInteger;
        cell.value.integer = value.get_int64().value_unsafe();
        break;
      case dom::element_type::DOUBLE:
        cell.kind = Kind::kNumber;
        cell.value.number = value.get_double().value_unsafe();
        break;
      case dom::element_type::STRING:
        set_text(cell, value.get_string().value_unsafe());
        break;
      case dom::element_type::UINT64:  // Only what does not fit INT64.
      case dom::element_type::ARRAY:
      case dom::element_type::OBJECT:
        set_text(cell, simdjson::minify(value));
        break;
    }
    kinds_ |= 1U << static_cast<unsigned>(cell.kind);
    has_missing_ = has_missing_ || cell.kind == Kind::kMissing;
    cells_.push_back(cell);
  }

  Column finish(Values values) {
    for (const Cell& cell : cells_) has_missing_ = has_missing_ || cell.kind == Kind::kMissing;
    Column column;
    column.name = std::move(name_);
    kinds_ &= ~(1U << static_cast<unsigned>(Kind::kMissing));
    const bool numbers = (kinds_ & ~(bit(Kind::kInteger) | bit(Kind::kNumber))) == 0;
    if (values == Values::kTexts) {
      fill_texts(column, false);
    } else if (numbers && kinds_ == bit(Kind::kInteger) && !has_missing_) {
      column.type = Column::Type::kInt64;
      for (const Cell& cell : cells_) column.integers.push_back(cell.value.integer);
    } else if (numbers) {
      column.type = Column::Type::kFloat64;
      for (const Cell& cell : cells_) column.floats.push_back(as_number(cell));
    } else if (kinds_ == bit(Kind::kBool)) {
      fill_bools(column);
    } else {
      fill_texts(column, true);
    }
    return column;
  }

 private:
  enum class Kind : unsigned { kMissing, kBool, kInteger, kNumber, kText };
  struct Span {
    std::uint32_t begin;
    std::uint32_t size;
  };
  struct Cell {
    Kind kind = Kind::kMissing;
    union {
      std::int64_t integer;
      double number;
      Span text;
    } value{};
  };

  static unsigned bit(Kind kind) { return 1U << static_cast<unsigned>(kind); }

  static double as_number(const Cell& cell) {
    if (cell.kind == Kind::kMissing) return std::numeric_limits<double>::quiet_NaN();
    return cell.kind == Kind::kInteger ? static_cast<double>(cell.value.integer)
                                       : cell.value.number;
  }

  void set_text(Cell& cell, std::string_view text) {
    cell.kind = Kind::kText;
    cell.value.text = {static_cast<std::uint32_t>(texts_.size()),
                       static_cast<std::uint32_t>(text.size())};
    texts_ += text;
  }

  void fill_bools(Column& column) const {
    column.type = Column::Type::kBool;
    for (const Cell& cell : cells_) {
      column.bools.push_back(cell.kind == Kind::kBool
                                 ? static_cast<std::uint8_t>(cell.value.integer)
                                 : std::uint8_t{0});
      if (has_missing_) column.valid.push_back(cell.kind == Kind::kMissing ? 0 : 1);
    }
  }

  void fill_texts(Column& column, bool with_missing) const {
    column.type = Column::Type::kString;
    column.offsets.push_back(0);
    for (const Cell& cell : cells_) {
      switch (cell.kind) {
        case Kind::kMissing:
          with_missing ? append_missing_text(column) : append_text(column, "");
          break;
        case Kind::kBool:
          append_text(column, cell.value.integer != 0 ? "true" : "false");
          break;
        case Kind::kInteger:
          append_text(column, fmt::format("{}", cell.value.integer));
          break;
        case Kind::kNumber:
          append_text(column, fmt::format("{}", cell.value.number));
          break;
        case Kind::kText:
          append_text(column,
                      std::string_view(texts_).substr(cell.value.text.begin, cell.value.text.size));
          break;
      }
    }
  }

  std::string name_;
  std::vector<Cell> cells_;
  std::string texts_;
  unsigned kinds_ = 0;
  bool has_missing_ = false;
};

class JsonTable {
 public:
  void add(const dom::object& object) {
    std::size_t guess = 0;  // Lines mostly have the same keys in the same order.
    for (const dom::key_value_pair pair : object) {
      const std::size_t at = find(pair.key, guess);
      guess = at + 1;
      if (columns_[at].rows() > rows_) continue;  // A repeated key: the first counts.
      columns_[at].add(pair.value);
    }
    ++rows_;
    for (JsonColumn& column : columns_) {
      if (column.rows() < rows_) column.add_missing();
    }
  }

  Table finish(Values values) {
    Table table;
    table.rows = static_cast<std::int64_t>(rows_);
    for (JsonColumn& column : columns_) table.columns.push_back(column.finish(values));
    return table;
  }

 private:
  std::size_t find(std::string_view name, std::size_t guess) {
    if (guess < names_.size() && names_[guess] == name) return guess;
    const auto [found, is_new] = places_.emplace(std::string(name), columns_.size());
    if (is_new) {
      names_.emplace_back(name);
      columns_.emplace_back(std::string(name), rows_);
    }
    return found->second;
  }

  std::vector<JsonColumn> columns_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> places_;
  std::size_t rows_ = 0;
};

}  // namespace

Table read_json_lines(std::string bytes, Values values, std::string_view where,
                      std::int64_t first_record) {
  const auto fail = [&](std::string_view what) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}#{}: {}", where, first_record, what));
  };
  if (bytes.size() >= std::numeric_limits<std::uint32_t>::max()) {
    fail("more than 4 GiB in one mini-batch; choose a smaller mini_batch_size");
  }
  // The parser reads past the end of what it parses; behind a line that is the next one.
  const std::size_t size = bytes.size();
  bytes.append(simdjson::SIMDJSON_PADDING, ' ');
  JsonTable table;
  dom::parser parser;
  for (std::size_t begin = 0; begin < size;) {
    const std::size_t end = std::min(bytes.find_first_of("\n\r", begin), size);
    const std::string_view line = std::string_view(bytes).substr(begin, end - begin);
    const std::size_t first = line.find_first_not_of(" \t");
    if (first != std::string_view::npos) {
      dom::element element;
      const auto error = parser.parse(line.data(), line.size(), false).get(element);
      if (error != simdjson::SUCCESS) {
        fail(fmt::format("no JSON: {}", simdjson::error_message(error)));
      }
      dom::object object;
      if (element.get(object) != simdjson::SUCCESS) {
        fail("no JSON object; expected a line such as {\"name\": 1}");
      }
      table.add(object);
      ++first_record;
    }
    begin = end + 1;
  }
  return table.finish(values);
}

}  // namespace prs::dataset
