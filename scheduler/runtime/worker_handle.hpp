// One live worker as its agent sees it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dataset/dataset.hpp"
#include "job/job.hpp"
#include "logs/log_tree.hpp"
#include "runtime/child.hpp"
#include "runtime/frame.hpp"

namespace prs::runtime {

struct WorkerHandle {
  using Clock = std::chrono::steady_clock;

  job::WorkerId id;
  std::unique_ptr<Child> child;
  FrameReader reader;
  FrameWriter writer;
  bool wants_write = false;  ///< epoll watches for room in the socket.
  bool socket_ended = false;
  bool shutting_down = false;
  std::string killed_for;                    ///< Why it was killed; empty: it was not.
  std::optional<Clock::time_point> kill_at;  ///< When SIGKILL follows.
  std::int64_t oom_kills_before = 0;
  std::string segment;  ///< File name.

  // The try in progress.
  dataset::MiniBatch mini_batch;
  int attempt = 0;
  std::int64_t try_start_us = 0;
  Clock::time_point try_start;

  logs::ProcessReport report;
};

}  // namespace prs::runtime
