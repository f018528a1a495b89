// The items behind inputs, one after the other, as a stream.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace prs::dataset {

/// A file to score, or a whole record file.
struct SourceFile {
  std::filesystem::path path;
  std::int64_t input = 0;
  bool is_records = false;
};

/// Folders are walked as they are read; of up to kSortedEntries entries each is sorted first (D7).
inline constexpr std::size_t kSortedEntries = 100'000;

class FileSource {
 public:
  /// Checks that every input exists; throws invalid argument or io naming the input.
  explicit FileSource(std::vector<std::string> inputs);
  ~FileSource();
  std::optional<SourceFile> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
