// How a file of a tabular data set becomes rows, and which of its rows a mini-batch has.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace prs::dataset {

/// Everything that reading needs besides the bytes; it travels with each mini-batch.
struct TableFormat {
  enum class Kind { kDelimited, kJsonLines, kParquet };
  /// A byte order mark in the file overrules it: UTF-16 is found by its own.
  enum class Encoding { kUtf8, kLatin1, kWindows1252, kUtf16 };

  Kind kind = Kind::kDelimited;
  char delimiter = ',';  ///< Of kDelimited.
  /// The first record of each file names the columns; without, they are Column1, Column2, ...
  bool header = true;
  Encoding encoding = Encoding::kUtf8;
  bool empty_as_string = false;      ///< An empty field of a text column is "", not missing.
  bool include_path_column = false;  ///< A first column "Path" with each row's file.
  /// Columns read from each file's path, such as "{user}/{season}.csv"; "" for none.
  std::string partition_format;

  bool operator==(const TableFormat&) const = default;
};

/// Consecutive rows of one file.
struct TablePiece {
  std::filesystem::path file;
  /// Where the rows lie, behind the header. In a file that is compressed or UTF-16, positions are
  /// those in the decoded text. Both are 0 for Parquet, where the record numbers say it.
  std::int64_t byte_offset = 0;
  std::int64_t byte_size = 0;
  std::int64_t first_record = 0;  ///< The header is not counted.
  std::int64_t record_count = 0;

  bool operator==(const TablePiece&) const = default;
};

/// Name and value of each partition key, in the order of partition_keys.
using PartitionValues = std::vector<std::pair<std::string, std::string>>;

}  // namespace prs::dataset
