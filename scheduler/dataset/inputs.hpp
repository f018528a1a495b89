// What the inputs of a step are, found out before anything runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataset/dataset.hpp"

namespace prs::dataset {

/// The records of one IDX or NPY file.
struct RecordInput {
  std::filesystem::path path;
  std::int64_t count = 0;
  std::int64_t record_bytes = 0;
};

/// Which files of a folder are listed. Hidden ones (".name") only count as images.
enum class FileFilter { kImages, kTables, kAll };

/// One input: files and folders to list, or record files. All paths are absolute.
struct Input {
  std::vector<std::filesystem::path> files;
  std::vector<std::filesystem::path> folders;  ///< Behind `files`.
  FileFilter filter = FileFilter::kImages;     ///< Of `folders`.
  std::vector<RecordInput> records;
  bool is_table = false;
  TableFormat table;              ///< How tables are read; kind and delimiter hold if:
  bool has_table_format = false;  ///< Otherwise each file's extension tells.
};

/// Throws invalid argument or io naming the input: it is missing (D10), unreadable, a pattern that
/// matches nothing, or of another kind than the others (D1).
std::vector<Input> resolve_inputs(const InputSpec& spec);

/// D4: of a mini-batch of rows when nobody chose a size.
inline constexpr std::int64_t kDefaultTableBytes = std::int64_t{1} << 20;

/// How a table with this name is read, by its extension: .csv, .tsv, .jsonl, .ndjson, each also
/// with .gz, and .parquet. Nothing for another name.
std::optional<TableFormat> table_format_of(const std::filesystem::path& path);

/// The files that `filter` lets through in a folder and the folders below it, one after the other.
/// Follows links, except to a folder that it is in already. Folders of up to `sorted_entries`
/// entries are taken sorted by path, larger ones as the file system lists them (D7): of those no
/// more names are in memory than that.
class FolderListing {
 public:
  FolderListing(const std::filesystem::path& folder, FileFilter filter, std::size_t sorted_entries);
  ~FolderListing();
  FolderListing(FolderListing&&) noexcept;
  FolderListing& operator=(FolderListing&&) noexcept;

  /// The next file, or nothing at the end. Throws io when a folder cannot be listed.
  std::optional<std::string> next();

 private:
  class OpenFolder;
  void enter(const std::string& folder);

  FileFilter filter_;
  std::size_t sorted_entries_;
  std::vector<std::unique_ptr<OpenFolder>> open_;  ///< From the outermost to the current one.
};

/// The files of an input that has no records, one after the other.
class FileStream {
 public:
  /// `sorted_entries`: as FolderListing.
  FileStream(const Input& input, std::size_t sorted_entries);
  std::optional<std::string> next();

 private:
  const Input* input_;
  std::size_t sorted_entries_;
  std::size_t next_ = 0;  ///< Of the files, then of the folders.
  std::optional<FolderListing> folder_;
};

}  // namespace prs::dataset
