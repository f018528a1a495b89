// Where a command's result goes: standard output, or a file that appears under its name only when
// it is complete. Not thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace prs::cli {

/// A buffered writer that reports every failure (a full disk, say) as prs::Error (io).
///
/// A regular file is written as FILE.partial and renamed by commit(); without commit() the partial
/// file stays, complete up to the last flush(), unless it is empty. Devices and pipes are written
/// directly.
class Output {
 public:
  static Output standard_output();
  /// Throws io when `path` or its partial file exists and `overwrite` is not set, or when it cannot
  /// be created.
  static Output create(const std::filesystem::path& path, bool overwrite);

  Output(Output&& other) noexcept;
  Output& operator=(Output&&) = delete;
  ~Output();

  void append(std::string_view text);
  /// Hands everything to the system.
  void flush();
  /// Flushes, makes sure that it is stored, and gives a file its name. Nothing may follow.
  void commit();

  /// The name of the file that is being written, or "standard output".
  const std::string& name() const noexcept { return name_; }

 private:
  Output(int descriptor, std::string name, std::filesystem::path target);

  int descriptor_;
  std::string name_;
  std::filesystem::path target_;  ///< Empty: `name_` is the final name.
  bool written_ = false;
  std::string buffer_;
};

/// Whether files created for both paths, or their partial files, would be one. Several outputs may
/// go to one device.
bool write_the_same(const std::filesystem::path& a, const std::filesystem::path& b);

/// Writes `text` to standard output.
void print(std::string_view text);

}  // namespace prs::cli
