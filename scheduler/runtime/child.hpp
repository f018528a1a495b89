// A child process of an agent: spawned into a process group of its own, watched through a pidfd,
// ended with its whole group.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/claims.hpp"
#include "runtime/fd.hpp"

namespace prs::runtime {

struct ChildOptions {
  std::vector<std::string> arguments;    ///< The first is the program's path.
  std::vector<std::string> environment;  ///< "NAME=value", all of it.
  std::filesystem::path stdout_file;     ///< Appended to.
  std::filesystem::path stderr_file;
  int shared_weights = -1;  ///< The file that the child finds as kWorkerWeights; -1: none.
};

/// How a process ended.
struct ExitStatus {
  bool signaled = false;
  int code = 0;  ///< Exit code, or the signal's number.
  bool core = false;
  /// "exit code 3", "signal 9 (Killed)".
  std::string to_string() const;
};

class Child {
 public:
  /// Spawns. The child finds its end of a socket pair and claims() as the descriptors of
  /// worker.hpp. Throws io naming what failed.
  explicit Child(const ChildOptions& options);
  /// Kills the group and reaps, when that has not happened yet.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }    ///< Readable when the process has ended.
  int socket() const { return socket_.get(); }  ///< Non-blocking.
  Claims& claims() { return claims_; }
  /// Sends a signal to the whole group.
  void signal_group(int signal) const;
  /// Sends a signal to the process alone.
  void signal(int signal) const;
  /// Once pidfd() is readable: ends what is left of the group and reaps. Never blocks for long.
  ExitStatus reap();

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
  Fd pidfd_;
  Fd socket_;
  Claims claims_ = Claims::create();
};

/// A file in memory for ChildOptions::shared_weights; gone with the last process that has it.
/// None where the system refuses: workers go without.
Fd shared_weights_file();

/// How often the kernel has killed a process for lack of memory since boot; -1: unknown.
std::int64_t kernel_oom_kills();

}  // namespace prs::runtime
