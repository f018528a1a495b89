// One live worker as its agent sees it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "job/job.hpp"
#include "logs/log_tree.hpp"
#include "protocol.pb.h"
#include "runtime/child.hpp"
#include "runtime/frame.hpp"

namespace prs::runtime {

/// A mini-batch that a worker was sent.
struct SentMiniBatch {
  std::int64_t mini_batch = -1;
  int attempt = 0;
  std::uint64_t number = 0;                          ///< For the worker's claims.
  std::string description;                           ///< dataset::serialize
  std::chrono::steady_clock::time_point since = {};  ///< When it could run; once it has an end.
};

struct WorkerHandle {
  using Clock = std::chrono::steady_clock;

  job::WorkerId id;
  std::unique_ptr<Child> child;
  FrameReader reader;
  FrameWriter writer;
  bool has_unsent = false;   ///< Messages wait for the end of the turn.
  bool wants_write = false;  ///< epoll watches for room in the socket.
  bool socket_ended = false;
  bool shutting_down = false;
  std::string killed_for;  ///< Why it was killed; empty: it was not.
  /// The failure after which it ends by itself: without memory, or its device.
  std::optional<wire::RunFailed> last_failure;
  std::optional<Clock::time_point> kill_at;  ///< When SIGKILL follows.
  std::int64_t oom_kills_before = 0;
  std::string segment;  ///< File name.

  Clock::time_point front_since;   ///< Since when the first one could run.
  std::deque<SentMiniBatch> sent;  ///< Those that have no end yet; it is at the first.
  std::uint64_t next_number = 0;   ///< Of the next mini-batch for its claims.

  logs::ProcessReport report;
};

}  // namespace prs::runtime
