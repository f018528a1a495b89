#include "engine/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "prs/engine.hpp"

namespace prs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kActive = 0x7fff;
constexpr std::uint32_t kOpen = 0x8000;
constexpr std::uint32_t kJob = 0x10000;

/// Longer than waking a thread takes, short beside what computing a batch takes.
constexpr std::chrono::microseconds kLongestSpin{50};

/// Runs of parts that the caller does alone: so many that trying again costs next to nothing.
constexpr int kAlone = 4096;

std::uint32_t job_of(std::uint32_t state) { return state / kJob; }

void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Looks for `spin` whether done(state) holds, and returns the state last seen.
template <typename Done>
std::uint32_t look_for(const std::atomic<std::uint32_t>& state, Clock::duration spin, Done done) {
  std::uint32_t seen = state.load(std::memory_order_acquire);
  if (spin <= Clock::duration::zero()) return seen;
  const Clock::time_point end = Clock::now() + spin;
  while (!done(seen) && Clock::now() < end) {
    pause_processor();
    seen = state.load(std::memory_order_acquire);
  }
  return seen;
}

/// Waits until done(state) holds and returns that state: looks for `spin`, then sleeps between
/// changes that are notified, and looks again for `spin_awake` after each: what it was woken for
/// may be over, and the next come soon.
template <typename Done>
std::uint32_t wait_for(const std::atomic<std::uint32_t>& state, Clock::duration spin,
                       Clock::duration spin_awake, Done done) {
  std::uint32_t seen = look_for(state, spin, done);
  while (!done(seen)) {
    state.wait(seen, std::memory_order_acquire);
    seen = look_for(state, spin_awake, done);
  }
  return seen;
}

}  // namespace

ThreadPool::ThreadPool(int threads, int most_late)
    : threads_(threads), most_late_(most_late), spins_(threads <= available_processors()) {}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  state_.fetch_add(kJob, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

/// A run's use of the pool, unless another has it.
class ThreadPool::Use {
 public:
  explicit Use(ThreadPool& pool)
      : pool_(pool), got_(!pool.in_use_.exchange(true, std::memory_order_acquire)) {}
  ~Use() {
    if (got_) pool_.in_use_.store(false, std::memory_order_release);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  bool got() const { return got_; }

 private:
  ThreadPool& pool_;
  const bool got_;
};

void ThreadPool::run_job(std::int64_t count, Call call, const void* body) {
  if (count > 1 && threads_ > 1) {
    const Use use(*this);
    if (use.got()) {
      run_shared(count, call, body);
      return;
    }
  }
  for (std::int64_t task = 0; task < count; ++task) call(body, task);
}

bool ThreadPool::run_short(std::int64_t count, Call call, const void* body) {
  if (count <= 1 || threads_ <= 1) return false;
  const Use use(*this);
  if (!use.got()) return false;
  if (alone_runs_ > 0) {
    --alone_runs_;
    return false;
  }
  late_runs_ = run_shared(count, call, body) ? late_runs_ + 1 : 0;
  if (late_runs_ >= most_late_) {
    late_runs_ = 0;
    alone_runs_ = kAlone;
  }
  return true;
}

bool ThreadPool::run_shared(std::int64_t count, Call call, const void* body) {
  start_threads();
  count_ = count;
  call_ = call;
  body_ = body;
  published_ = Clock::now();
  next_.store(0, std::memory_order_relaxed);
  // Nobody is in the last job any more: only this run changes the state here.
  const std::uint32_t last = state_.load(std::memory_order_relaxed);
  state_.store((job_of(last) + 1) * kJob | kOpen, std::memory_order_release);
  state_.notify_all();
  const std::int64_t own = work();
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const Clock::time_point worked = Clock::now();
  const Clock::duration spin = spins_ ? kLongestSpin : Clock::duration::zero();
  wait_for(state_, spin, spin, [](std::uint32_t state) { return (state & kActive) == 0; });
  const bool late = own == count || Clock::now() - worked > worked - published_;
  const std::lock_guard lock(error_mutex_);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return late;
}

std::int64_t ThreadPool::work() {
  for (std::int64_t done = 0;; ++done) {
    const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= count_) return done;
    try {
      call_(body_, task);
    } catch (...) {
      next_.store(count_, std::memory_order_relaxed);
      const std::lock_guard lock(error_mutex_);
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
  std::uint32_t job = 0;  // Jobs are numbered from 1; after 2^16 of them one may be missed.
  const Clock::duration longest = spins_ ? kLongestSpin : Clock::duration::zero();
  Clock::duration spin = longest;
  for (;;) {
    const Clock::time_point idle_since = Clock::now();
    std::uint32_t state = wait_for(state_, spin, longest, [&](std::uint32_t seen) {
      return stop_.load(std::memory_order_relaxed) || ((seen & kOpen) != 0 && job_of(seen) != job);
    });
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel)) continue;
    job = job_of(state);
    if (spins_) {
      // Where runs come further apart than it looks, looking is in vain: it does so ever shorter.
      // How long it took to wake does not count: runs in a row find it awake again.
      const bool in_vain = published_ - idle_since > kLongestSpin;
      spin = in_vain ? spin / 2 : longest;
    }
    work();
    const std::uint32_t left = state_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((left & (kActive | kOpen)) == 0) state_.notify_all();
  }
}

}  // namespace prs
