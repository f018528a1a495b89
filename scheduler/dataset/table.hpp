// The rows of a tabular mini-batch as columns in memory, typed as pandas.read_csv types them.
//
//   const Table table = read_table(mini_batch);
//   const Column& age = table.columns[0];           // age.type == Column::Type::kInt64
//   for (std::int64_t value : age.integers) ...     // table.rows values, contiguous
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/dataset.hpp"

namespace prs::dataset {

/// One column of n rows. The vector that its type names holds n values, the others none.
struct Column {
  enum class Type {
    kInt64,      ///< `integers`; never with missing values, which make a column kFloat64
    kFloat64,    ///< `floats`; missing is NaN
    kBool,       ///< `bools`, 0 or 1
    kString,     ///< UTF-8: `offsets` and `bytes`
    kTimestamp,  ///< `integers`: nanoseconds since 1970-01-01 UTC (Parquet only)
  };

  std::string name;
  Type type = Type::kFloat64;
  std::vector<std::int64_t> integers;
  std::vector<double> floats;
  std::vector<std::uint8_t> bools;
  std::vector<std::int64_t> offsets;  ///< n + 1: text i is bytes[offsets[i], offsets[i + 1]).
  std::string bytes;
  /// 1 where there is a value, 0 where it is missing (kBool, kString, kTimestamp); empty: all are.
  std::vector<std::uint8_t> valid;

  bool is_valid(std::int64_t row) const {
    return valid.empty() || valid[static_cast<std::size_t>(row)] != 0;
  }
  /// Text `row` of a kString column.
  std::string_view text(std::int64_t row) const {
    const auto i = static_cast<std::size_t>(row);
    return std::string_view(bytes).substr(static_cast<std::size_t>(offsets[i]),
                                          static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
  }
};

/// "int64", "float64", "bool", "string", "timestamp".
const char* type_name(Column::Type type);

struct Table {
  std::int64_t rows = 0;
  /// In the order of the file; "Path" first, columns from the path behind, partition keys last
  /// (D8).
  std::vector<Column> columns;
};

/// Reads the rows of a mini-batch with is_table(). Types are found for this mini-batch alone: from
/// the texts of a delimited file by pandas' rules (whole numbers, numbers, True and False, text;
/// pandas' words for missing values), from JSON's and Parquet's own types otherwise; values of
/// several types make a text column, objects and lists their JSON text. Whole numbers past 2^63
/// stay text.
///
/// Throws io for a file that cannot be read; invalid argument naming file and row for one that is
/// no longer as it was listed, for text that is not in its encoding, and for rows with more fields
/// than the header; unsupported when Parquet's library is not installed.
Table read_table(const MiniBatch& mini_batch);

/// The same, keeping the last file open: what comes next in a compressed file costs nothing twice.
/// Used by one thread.
class TableReader {
 public:
  TableReader();
  ~TableReader();
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  Table read(const MiniBatch& mini_batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
