// A job's exclusive lock on its output, by a file that holds the job's process id.
#pragma once

#include <filesystem>

namespace prs::store {

/// flock(2): the kernel drops the lock with the process, however it ends, so that a lock file left
/// behind is no obstacle. A child made by fork() without exec shares the lock.
class LockFile {
 public:
  /// Throws unavailable when another job holds the lock: "<path>: another job (pid N) uses this
  /// output"; io when the file cannot be made.
  explicit LockFile(const std::filesystem::path& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  /// Whether somebody holds the lock at this moment.
  static bool is_held(const std::filesystem::path& path);

 private:
  int descriptor_;
};

}  // namespace prs::store
