#include "engine/thread_pool.hpp"

#include <algorithm>
#include <utility>

namespace prs {

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_job(std::int64_t count, Call call, const void* body) {
  const std::unique_lock owner(owner_, std::try_to_lock);
  if (count <= 1 || threads_ <= 1 || !owner.owns_lock()) {
    for (std::int64_t task = 0; task < count; ++task) call(body, task);
    return;
  }
  start_threads();
  {
    const std::lock_guard lock(mutex_);
    count_ = count;
    call_ = call;
    body_ = body;
    error_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    open_ = true;
    ++generation_;
  }
  wake_.notify_all();
  work();
  std::unique_lock lock(mutex_);
  open_ = false;
  idle_.wait(lock, [&] { return active_ == 0; });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::work() {
  for (;;) {
    const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= count_) return;
    try {
      call_(body_, task);
    } catch (...) {
      next_.store(count_, std::memory_order_relaxed);
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
}

void ThreadPool::start_threads() {
  while (static_cast<int>(workers_.size()) < threads_ - 1) {
    workers_.emplace_back([this] { worker_loop(); });
  }
}

void ThreadPool::worker_loop() {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || (open_ && generation_ != seen); });
    if (stop_) return;
    seen = generation_;
    ++active_;
    lock.unlock();
    work();
    lock.lock();
    if (--active_ == 0) idle_.notify_all();
  }
}

}  // namespace prs
