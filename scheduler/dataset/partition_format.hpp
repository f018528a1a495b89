// Column values from the path of a file (D8): "root/{user}/{season}/{genres}.wav".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace prs::dataset {

/// A name in braces stands for a text without '/', everything else for itself. The format is that
/// of the last components of a path: as many as it has.
class PartitionFormat {
 public:
  /// Throws invalid argument for a format without names, with a repeated or empty one, with a brace
  /// that is not closed, or with names that touch.
  explicit PartitionFormat(const std::string& format);

  const std::vector<std::string>& names() const { return names_; }

  /// A value for each name. Throws invalid argument naming the path when it does not have the
  /// format.
  std::vector<std::string> values(const std::filesystem::path& path) const;

 private:
  std::string format_;
  std::size_t components_ = 1;
  std::vector<std::string> names_;
  std::vector<std::string> literals_;  ///< Before each name, and behind the last.
};

}  // namespace prs::dataset
