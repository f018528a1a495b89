// Many text files to append to, buffered, with few open at a time. Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace prs::logs {

/// Whether the file is there and not empty.
bool has_text(const std::filesystem::path& path);

/// Nothing throws for a file that cannot be written: the text is lost, problem() tells the first
/// such case, and the file keeps its whole lines.
class LogFiles {
 public:
  static constexpr int kMaxOpen = 64;
  static constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

  LogFiles() = default;
  ~LogFiles();
  LogFiles(const LogFiles&) = delete;
  LogFiles& operator=(const LogFiles&) = delete;

  /// Adds text to a file's buffer; a large buffer is written at once. Folders are made as needed.
  void append(const std::filesystem::path& path, std::string_view text);
  /// The same, and the file is up to date when it returns.
  void append_now(const std::filesystem::path& path, std::string_view text);
  /// Writes every buffer.
  void flush();
  /// Writes the file's buffer and forgets the file; it may be appended to again.
  void close(const std::filesystem::path& path);
  /// Puts `text` in the place of the file, whole or not at all.
  void replace(const std::filesystem::path& path, std::string_view text);

  void remember(std::string problem);
  const std::string& problem() const { return problem_; }
  int open_count() const { return open_count_; }

 private:
  struct File {
    std::string buffer;
    int descriptor = -1;
    std::uint64_t last_use = 0;
    bool dirty = false;
  };

  File& file_of(const std::string& path);
  void write(const std::string& path, File& file);
  bool open(const std::string& path, File& file);
  void close_descriptor(File& file);
  void close_least_recently_used();

  std::unordered_map<std::string, File> files_;
  std::vector<std::string> dirty_;  ///< Paths of files with text in their buffer.
  std::uint64_t uses_ = 0;
  int open_count_ = 0;
  std::string problem_;
};

}  // namespace prs::logs
