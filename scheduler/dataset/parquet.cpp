#include "dataset/parquet.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "dataset/column_builder.hpp"
#include "dataset/duckdb.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

std::string sql_quoted(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char c : text) result.append(c == quote ? 2 : 1, c);
  return result + quote;
}

/// The file as SQL's FROM; [ would begin a pattern.
std::string scan_of(const std::filesystem::path& file, std::string_view function,
                    std::string_view options = "") {
  std::string name;
  for (const char c : file.native()) {
    if (c == '*' || c == '?' || c == '[') {
      name += fmt::format("[{}]", c);
    } else {
      name += c;
    }
  }
  return fmt::format("{}({}{})", function, sql_quoted(name, '\''), options);
}

/// Rows of JSON lines are rarely longer.
constexpr std::int64_t kUsualRowBytes = std::int64_t{1} << 20;

/// In bytes, without its line feed.
std::int64_t longest_line(const std::filesystem::path& path) {
  const output::Descriptor file = output::open_file(path, O_RDONLY);
  const std::int64_t size = output::file_size(file, path);
  std::string part;
  std::int64_t longest = 0;
  std::int64_t line = 0;
  for (std::int64_t at = 0; at < size; at += static_cast<std::int64_t>(part.size())) {
    part.resize(static_cast<std::size_t>(std::min(kUsualRowBytes, size - at)));
    output::read_at(file, path, at, part.data(), static_cast<std::int64_t>(part.size()));
    for (const char c : part) {
      line = c == '\n' ? 0 : line + 1;
      longest = std::max(longest, line);
    }
  }
  return longest;
}

Column::Type type_of(std::string_view sql) {
  for (const std::string_view whole :
       {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}) {
    if (sql == whole) return Column::Type::kInt64;
  }
  for (const std::string_view number : {"FLOAT", "DOUBLE", "UBIGINT", "HUGEINT", "UHUGEINT"}) {
    if (sql == number) return Column::Type::kFloat64;
  }
  if (sql == "BOOLEAN") return Column::Type::kBool;
  if (sql.starts_with("DECIMAL")) return Column::Type::kFloat64;
  if (sql == "DATE" || sql.starts_with("TIMESTAMP")) return Column::Type::kTimestamp;
  return Column::Type::kString;
}

const char* sql_of(Column::Type type) {
  switch (type) {
    case Column::Type::kInt64:
      return "BIGINT";
    case Column::Type::kFloat64:
      return "DOUBLE";
    case Column::Type::kBool:
      return "BOOLEAN";
    case Column::Type::kTimestamp:
      return "TIMESTAMP_NS";
    case Column::Type::kString:
      break;
  }
  return "VARCHAR";
}

/// Appends the chunk's values; `valid` gets one byte each.
void append(const DuckdbResult& result, std::size_t at, Column& column,
            std::vector<std::uint8_t>& valid) {
  for (std::int64_t row = 0; row < result.rows(); ++row) {
    const bool is_valid = result.is_valid(at, row);
    valid.push_back(is_valid ? 1 : 0);
    switch (column.type) {
      case Column::Type::kInt64:
      case Column::Type::kTimestamp:
        column.integers.push_back(is_valid ? result.data<std::int64_t>(at)[row] : 0);
        break;
      case Column::Type::kFloat64:
        column.floats.push_back(is_valid ? result.data<double>(at)[row]
                                         : std::numeric_limits<double>::quiet_NaN());
        break;
      case Column::Type::kBool:
        column.bools.push_back(is_valid && result.data<bool>(at)[row] ? 1 : 0);
        break;
      case Column::Type::kString:
        append_text(column, is_valid ? result.text(at, row) : std::string_view());
        break;
    }
  }
}

/// What missing values do to a column.
void mark_missing(Column& column, std::vector<std::uint8_t> valid) {
  if (std::find(valid.begin(), valid.end(), 0) == valid.end()) return;
  if (column.type == Column::Type::kInt64) {
    column.type = Column::Type::kFloat64;
    for (std::size_t row = 0; row < valid.size(); ++row) {
      column.floats.push_back(valid[row] != 0 ? static_cast<double>(column.integers[row])
                                              : std::numeric_limits<double>::quiet_NaN());
    }
    column.integers.clear();
  } else if (column.type != Column::Type::kFloat64) {
    column.valid = std::move(valid);
  }
}

}  // namespace

std::vector<RowGroup> parquet_row_groups(const std::filesystem::path& file) {
  output::open_file(file, O_RDONLY);  // The system's own message when it is not there.
  DuckdbResult result =
      Duckdb::instance().query(fmt::format("SELECT CAST(any_value(row_group_num_rows) AS BIGINT), "
                                           "CAST(sum(total_uncompressed_size) AS BIGINT) FROM {} "
                                           "GROUP BY row_group_id ORDER BY row_group_id",
                                           scan_of(file, "parquet_metadata")),
                               file.string());
  std::vector<RowGroup> groups;
  while (result.next()) {
    for (std::int64_t row = 0; row < result.rows(); ++row) {
      groups.push_back({result.data<std::int64_t>(0)[row], result.data<std::int64_t>(1)[row]});
    }
  }
  return groups;
}

Table read_parquet(const std::filesystem::path& file, std::int64_t first, std::int64_t count,
                   Values values) {
  output::open_file(file, O_RDONLY);
  Duckdb& duckdb = Duckdb::instance();
  const std::string name = file.string();
  Table table;
  std::string selected;
  {
    DuckdbResult columns =
        duckdb.query(fmt::format("DESCRIBE SELECT * FROM {}", scan_of(file, "read_parquet")), name);
    while (columns.next()) {
      for (std::int64_t row = 0; row < columns.rows(); ++row) {
        Column column;
        column.name = columns.text(0, row);
        column.type =
            values == Values::kTexts ? Column::Type::kString : type_of(columns.text(1, row));
        if (column.type == Column::Type::kString) column.offsets.push_back(0);
        selected += fmt::format("{}TRY_CAST({} AS {})", selected.empty() ? "" : ", ",
                                sql_quoted(column.name, '"'), sql_of(column.type));
        table.columns.push_back(std::move(column));
      }
    }
  }
  DuckdbResult result = duckdb.query(
      fmt::format("SELECT {} FROM {} WHERE file_row_number >= {} AND file_row_number < {}",
                  selected, scan_of(file, "read_parquet", ", file_row_number=true"), first,
                  first + count),
      name);
  std::vector<std::vector<std::uint8_t>> valid(table.columns.size());
  while (result.next()) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      append(result, i, table.columns[i], valid[i]);
    }
    table.rows += result.rows();
  }
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (values == Values::kTyped) mark_missing(table.columns[i], std::move(valid[i]));
  }
  return table;
}

void write_parquet(const std::filesystem::path& json_lines, const std::filesystem::path& parquet) {
  // All rows decide on the types. DuckDB takes memory for two rows of the size that it must expect.
  const std::int64_t longest = std::max(kUsualRowBytes, longest_line(json_lines) + 1);
  const std::string rows = scan_of(
      json_lines, "read_json",
      fmt::format(", format='newline_delimited', sample_size=-1, maximum_object_size={}", longest));
  Duckdb::instance().query(fmt::format("COPY (SELECT * FROM {}) TO {} (FORMAT parquet)", rows,
                                       sql_quoted(parquet.native(), '\'')),
                           parquet.string());
}

void require_parquet() { Duckdb::instance(); }

}  // namespace prs::dataset
