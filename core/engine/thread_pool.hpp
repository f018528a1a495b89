// Threads that share one run of the engine.
//
// run() hands out task numbers to the pool's threads and to the caller, and returns when all are
// done. It allocates nothing. When another run already uses the pool, the caller does its tasks
// alone: that machine is busy anyway, and callers never wait for each other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace prs {

class ThreadPool {
 public:
  /// `threads` counts the caller: threads - 1 are started, on first use.
  explicit ThreadPool(int threads) : threads_(threads) {}
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
  void work();
  void start_threads();
  void worker_loop();

  const int threads_;
  std::mutex owner_;  ///< Held by the run that uses the pool.

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::uint64_t generation_ = 0;  ///< Counts jobs; guarded by mutex_, like the rest up to next_.
  int active_ = 0;                ///< Workers inside the current job.
  bool open_ = false;             ///< Workers may still join the current job.
  bool stop_ = false;
  std::exception_ptr error_;
  std::int64_t count_ = 0;
  Call call_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<std::int64_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace prs
