#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "dataset/dataset.hpp"
#include "dataset/sha256.hpp"
#include "dataset/source.hpp"

namespace prs::dataset {

std::string input_identity(const std::vector<std::string>& inputs, bool by_content) {
  Sha256 hash;
  FileSource source(inputs);
  while (const std::optional<SourceFile> file = source.next()) {
    std::error_code error;
    hash.update(
        fmt::format("{}\n{}\n", file->input, std::filesystem::absolute(file->path).string()));
    const std::uintmax_t size = std::filesystem::file_size(file->path, error);
    if (error) {
      hash.update("missing\n");
    } else if (by_content) {
      hash.update(sha256_of_file(file->path) + "\n");
    } else {
      const auto time = std::filesystem::last_write_time(file->path, error).time_since_epoch();
      hash.update(fmt::format("{} {}\n", size,
                              std::chrono::duration_cast<std::chrono::nanoseconds>(time).count()));
    }
  }
  return hash.hex();
}

}  // namespace prs::dataset
