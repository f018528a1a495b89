// Parquet files, through DuckDB's library: loaded when the first Parquet file is seen, so that
// nobody else needs it. DuckDB's C interface, of which we declare the few functions that we call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "dataset/table.hpp"
#include "dataset/table_text.hpp"

namespace prs::dataset {

struct RowGroup {
  std::int64_t rows = 0;
  std::int64_t bytes = 0;  ///< Uncompressed.
};

/// All functions throw unsupported when the library is not there, saying how to install it; invalid
/// argument naming the file for what is no Parquet file; io for one that cannot be opened.
std::vector<RowGroup> parquet_row_groups(const std::filesystem::path& file);

/// Rows [first, first + count) in the order of the file. Whole numbers become kInt64 (with missing
/// values, or unsigned 64-bit and wider, kFloat64), floats and decimals kFloat64, dates and times
/// of day with a date kTimestamp, everything else text.
Table read_parquet(const std::filesystem::path& file, std::int64_t first, std::int64_t count,
                   Values values);

/// Makes a Parquet file of JSON lines, replacing one that is there. Objects give a column a key, of
/// the type that all its values have (JSON where they have several, dates and UUIDs where all texts
/// are such); other values one column "json".
void write_parquet(const std::filesystem::path& json_lines, const std::filesystem::path& parquet);

/// Throws unsupported when the library is not there.
void require_parquet();

}  // namespace prs::dataset
