#include "entry/table_features.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include <prs/error.hpp>

namespace prs::entry {
namespace {

using dataset::Column;
using Type = Column::Type;

bool is_number(const Column& column) {
  return column.type == Type::kInt64 || column.type == Type::kFloat64 || column.type == Type::kBool;
}

[[noreturn]] void fail(const dataset::Table& table, std::string_view what) {
  std::vector<std::string> columns;
  for (const Column& column : table.columns) {
    columns.push_back(fmt::format("{} ({})", column.name, dataset::type_name(column.type)));
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}; the columns are {}. model_options.columns chooses some, such as "
                          "age,height",
                          what, fmt::join(columns, ", ")));
}

float value_of(const Column& column, std::size_t row) {
  switch (column.type) {
    case Type::kInt64:
      return static_cast<float>(column.integers[row]);
    case Type::kFloat64:
      return static_cast<float>(column.floats[row]);
    default:
      return column.is_valid(static_cast<std::int64_t>(row))
                 ? static_cast<float>(column.bools[row])
                 : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace

std::vector<const Column*> feature_columns(const dataset::Table& table,
                                           const std::vector<std::string>& names,
                                           std::int64_t features) {
  std::vector<const Column*> columns;
  for (const std::string& name : names) {
    const auto found = std::find_if(table.columns.begin(), table.columns.end(),
                                    [&](const Column& column) { return column.name == name; });
    if (found == table.columns.end()) fail(table, fmt::format("there is no column '{}'", name));
    if (!is_number(*found)) fail(table, fmt::format("column '{}' holds no numbers", name));
    columns.push_back(&*found);
  }
  if (names.empty()) {
    for (const Column& column : table.columns) {
      if (is_number(column)) columns.push_back(&column);
    }
  }
  if (static_cast<std::int64_t>(columns.size()) != features) {
    fail(table, fmt::format("the model takes {} values a row, {} {}", features, columns.size(),
                            names.empty() ? "columns hold numbers" : "columns are chosen"));
  }
  return columns;
}

void copy_features(const std::vector<const Column*>& columns, std::int64_t first,
                   std::int64_t count, float* destination) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(first + i);
    for (const Column* column : columns) *destination++ = value_of(*column, row);
  }
}

}  // namespace prs::entry
