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

/// One input: a folder to list, files, or record files. All paths are absolute.
struct Input {
  std::filesystem::path folder;  ///< Empty, or `files` and `records` are.
  std::vector<std::filesystem::path> files;
  std::vector<RecordInput> records;
  Items items = Items::kImages;  ///< Which files of `folder`.
};

/// Throws invalid argument or io naming the input: it is missing (D10), unreadable, a pattern that
/// matches nothing, or of another kind than the others (D1).
std::vector<Input> resolve_inputs(const std::vector<std::string>& inputs, Items items);

/// The image files (by extension), or all but hidden ones, in a folder and the folders below it,
/// one after the other. Follows links, except to a folder that it is in already. Folders of up to
/// kSortedEntries entries are taken sorted by path, larger ones as the file system lists them (D7):
/// of those no more names are in memory than that.
class FolderListing {
 public:
  static constexpr std::size_t kSortedEntries = 100'000;

  FolderListing(std::filesystem::path folder, Items items);
  ~FolderListing();
  FolderListing(FolderListing&&) noexcept;
  FolderListing& operator=(FolderListing&&) noexcept;

  /// The next file, or nothing at the end. Throws io when a folder cannot be listed.
  std::optional<std::filesystem::path> next();

 private:
  class OpenFolder;
  void enter(std::filesystem::path folder);

  Items items_;
  std::vector<std::unique_ptr<OpenFolder>> open_;  ///< From the outermost to the current one.
};

/// The files of an input that has no records, one after the other.
class FileStream {
 public:
  explicit FileStream(const Input& input);
  std::optional<std::filesystem::path> next();

 private:
  const Input* input_;
  std::size_t next_ = 0;
  std::optional<FolderListing> folder_;
};

}  // namespace prs::dataset
