// The images that failed: told as they come, listed at the end, and written to --failures FILE.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <prs/image.hpp>

#include "output.hpp"

namespace prs::cli {

/// Not thread-safe.
class Failures {
 public:
  /// With an empty `list` no file is written. Throws as Output::create.
  Failures(const std::filesystem::path& list, bool overwrite);

  /// `reason` begins with the item's name.
  void add(const ImageItem& item, const std::string& reason);
  void flush();
  /// Completes the file.
  void commit();

  std::int64_t count() const noexcept { return count_; }
  /// The first ones, one a line, and how many more there are; "" without failures.
  std::string summary() const;

 private:
  std::optional<Output> list_;
  std::int64_t count_ = 0;
  std::vector<std::string> first_;
};

/// "scored 9,997 of 10,000 images in 0.42 s (23,800 images/s); 3 failed".
std::string scoring_summary(std::int64_t scored, std::int64_t failed, std::int64_t total,
                            double seconds);

}  // namespace prs::cli
