// Ends what a job has started, however the job ends.
//
// A worker dies with its agent (PR_SET_PDEATHSIG), and with a worker its process group. What an
// entry starts outside of that group (setsid, a daemon) obeys neither, and nobody would end it
// after a kill -9 of the agent. The guard is a small process that waits for the agent's end and
// then kills every process that carries the job's token in its environment, which descendants
// inherit.
//
// What it cannot reach: programs started with an empty environment or as another user, and anything
// when the guard itself is killed together with the agent.
#pragma once

#include <sys/types.h>

#include <string>

#include "runtime/fd.hpp"

namespace prs::runtime {

class Guard {
 public:
  /// Starts the guard. Throws io when that fails.
  Guard();
  /// Has it kill what is left of the job, and returns at once. For when no worker is left.
  void begin_end() { alive_.reset(); }
  /// The same where that was not called, and waits for the guard's end.
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// "NAME=value": the variable that every worker must be given.
  const std::string& variable() const { return variable_; }

 private:
  std::string variable_;
  pid_t pid_ = -1;
  Fd alive_;  ///< Its other end, in the guard, ends with this process.
};

}  // namespace prs::runtime
