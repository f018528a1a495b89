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
  /// `threads` counts the caller: threads - 1 are started, on first use.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }

  /// Calls body(task) once for each task in [0, count), in any order and on any thread. Rethrows
  /// the first exception after all started tasks ended; tasks not started then are dropped.
  template <typename Body>
  void run(std::int64_t count, const Body& body) {
    run_job(
        count, [](const void* self, std::int64_t task) { (*static_cast<const Body*>(self))(task); },
        &body);
  }

 private:
  using Call = void (*)(const void* body, std::int64_t task);

  void run_job(std::int64_t count, Call call, const void* body);
  void run_shared(std::int64_t count, Call call, const void* body);
  void work();
  void start_threads();
  void worker_loop();

  const int threads_;
  /// Waiting threads look again and again for a while before they sleep: only where each of them
  /// has a processor to itself.
  const bool spins_;
  std::atomic<bool> in_use_{false};  ///< By a run.

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
