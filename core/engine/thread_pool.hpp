// Threads that share one run of the engine.
//
// run() hands out task numbers to the pool's threads and to the caller, and returns when all are
// done. It allocates nothing and takes no lock. When another run already uses the pool, the caller
// does its tasks alone: that machine is busy anyway, and callers never wait for each other.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace prs {

class ThreadPool {
 public:
  /// `threads` counts the caller: threads - 1 are started, on first use. `most_late`: runs of parts
  /// in a row, in which the caller waits for longer than it works or nobody else comes, before it
  /// does the next alone. The first ones may be spent on waking a thread.
  explicit ThreadPool(int threads, int most_late = 32);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }

  /// Calls body(task) once for each task in [0, count), in any order and on any thread. Rethrows
  /// the first exception after all started tasks ended; tasks not started then are dropped.
  template <typename Body>
  void run(std::int64_t count, const Body& body) {
    run_job(count, &call_body<Body>, &body);
  }

  /// Calls body(part, parts) once for each of `count` parts of one size, which take microseconds,
  /// as run() does, or body(0, 1): when another run uses the pool, and for the next thousands of
  /// runs after the threads came late or not at all again and again, as they do on a busy machine.
  template <typename Body>
  void run_parts(std::int64_t count, const Body& body) {
    const auto part = [&](std::int64_t index) { body(index, count); };
    if (!run_short(count, &call_body<decltype(part)>, &part)) body(0, 1);
  }

 private:
  class Use;
  using Call = void (*)(const void* body, std::int64_t task);

  template <typename Body>
  static void call_body(const void* self, std::int64_t task) {
    (*static_cast<const Body*>(self))(task);
  }

  void run_job(std::int64_t count, Call call, const void* body);
  /// False: nothing was run.
  bool run_short(std::int64_t count, Call call, const void* body);
  /// Whether the caller was better off alone: waiting for the others took it longer than its own
  /// tasks, or these were all.
  bool run_shared(std::int64_t count, Call call, const void* body);
  /// The number of tasks that this thread did.
  std::int64_t work();
  void start_threads();
  void worker_loop();

  const int threads_;
  const int most_late_;
  /// Waiting threads look again and again for a while before they sleep: only where each of them
  /// has a processor to itself.
  const bool spins_;
  std::atomic<bool> in_use_{false};  ///< By a run, which may change the next two.
  int late_runs_ = 0;                ///< Of parts, in a row.
  int alone_runs_ = 0;               ///< Of parts, that the caller will do alone.

  /// The job's number (upper 16 bits), whether workers may still join it, and how many are in it
  /// (lower 15 bits). A worker joins by counting itself here, so it reads what follows only while
  /// the run that wrote it waits for it.
  alignas(64) std::atomic<std::uint32_t> state_{0};
  std::atomic<bool> stop_{false};
  std::int64_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::chrono::steady_clock::time_point published_;  ///< Of the job.
  std::mutex error_mutex_;
  std::exception_ptr error_;  ///< Of the current job; guarded by error_mutex_.

  alignas(64) std::atomic<std::int64_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace prs
