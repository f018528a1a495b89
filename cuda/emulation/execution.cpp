#include "emulation/execution.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "emulation/async_proxy.hpp"
#include "emulation/fiber.hpp"
#include "emulation/race_detector.hpp"
#include "prs/error.hpp"

namespace prs::cuda::emulated {
namespace {

std::string text(const Dim3& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

std::string text(const Source& source) {
  return source.file == nullptr ? "its start"
                                : std::string(source.file) + ":" + std::to_string(source.line);
}

std::int64_t volume(const Dim3& d) { return std::int64_t{d.x} * d.y * d.z; }

Dim3 coordinates(std::int64_t linear, const Dim3& extent) {
  const auto x = linear % extent.x;
  const auto y = linear / extent.x % extent.y;
  const auto z = linear / extent.x / extent.y;
  return {static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)};
}

enum class State { kReady, kAtBarrier, kAtCollective, kAtSharedBarrier, kDone };

struct Copy {
  void* to;
  const void* from;
  std::int64_t bytes;
  Source source;
};

struct Thread {
  Fiber fiber;
  Indices indices;
  State state = State::kDone;
  Source where{nullptr, 0};
  const char* what = "";  ///< The collective that it waits in.
  std::uint32_t mask = 0;
  void* payload = nullptr;
  std::vector<std::vector<Copy>> groups;  ///< cp.async; the last one is not committed yet.
  std::uint32_t fences = 0;               ///< fence_async so far.
  WarpgroupState warpgroup;
};

struct StaticArray {
  const void* key;
  std::int64_t first;
  std::int64_t bytes;
};

constexpr std::size_t kWarpgroup = 128;
/// The most shared memory that any GPU gives a block.
constexpr std::int64_t kSharedBytes = 232448;
constexpr std::int64_t kAlignment = 1024;  // As swizzled matrices want it.

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Stands for the multiprocessor of one host thread; its fibers serve one block after the other.
class Multiprocessor {
 public:
  void run(const KernelCall& call, const Schedule& schedule, const DeviceLimits& limits) {
    check_limits(call, limits);
    call_ = &call;
    limits_ = limits;
    schedule_ = schedule;
    random_.seed(schedule.seed);
    const auto threads = static_cast<std::size_t>(volume(call.block));
    while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
    count_ = threads;
    for (const std::int64_t block : order_of(volume(call.grid))) run_block(block);
  }

  Thread& current() { return *threads_[current_]; }

  void barrier(Source source) {
    Thread& self = current();
    self.where = source;
    self.state = State::kAtBarrier;
    wait();
  }

  void collective(const char* what, std::uint32_t mask, void* payload, Compute compute,
                  Source source) {
    Thread& self = current();
    const std::size_t warp = current_ / kWarpSize * kWarpSize;
    const auto bit = static_cast<std::uint32_t>(1) << (current_ - warp);
    self.where = source;
    if ((mask & bit) == 0) fail(std::string(what) + ": its mask does not name the calling thread");
    self.what = what;
    self.mask = mask;
    self.payload = payload;
    void* payloads[kWarpSize] = {};
    bool complete = true;
    for (std::size_t lane = 0; lane < kWarpSize; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      const std::size_t index = warp + lane;
      if (index >= count_) {
        fail(std::string(what) + ": its mask names lane " + std::to_string(lane) +
             ", which the block does not have");
      }
      const Thread& other = *threads_[index];
      if (index != current_ && other.state == State::kAtCollective) {
        require_agreement(self, other, index);
      }
      complete = complete && (index == current_ || other.state == State::kAtCollective);
      payloads[lane] = other.payload;
    }
    if (!complete) {
      self.state = State::kAtCollective;
      wait();
      return;
    }
    if (compute != nullptr) compute(payloads, mask);
    if (compute == nullptr && mask == kFullMask) ++warp_intervals_[current_ / kWarpSize];
    for (std::size_t lane = 0; lane < kWarpSize; ++lane) {
      if ((mask >> lane & 1u) != 0) threads_[warp + lane]->state = State::kReady;
    }
  }

  void* static_array(const void* key, std::int64_t bytes, Source source) {
    current().where = source;
    for (const StaticArray& array : arrays_) {
      if (array.key == key) return shared_.get() + array.first;
    }
    const std::int64_t first = aligned(used_);
    if (first + bytes - aligned(call_->dynamic_shared_bytes) > limits_.static_shared_bytes ||
        first + bytes > limits_.shared_bytes) {
      fail("static shared arrays of more than " + std::to_string(limits_.static_shared_bytes) +
           " bytes, or with the dynamic ones of more than " + std::to_string(limits_.shared_bytes));
    }
    used_ = first + bytes;
    poison(first, bytes);
    arrays_.push_back({key, first, bytes});
    return shared_.get() + first;
  }

  void* dynamic_array(std::int64_t first, std::int64_t bytes, Source source) {
    current().where = source;
    if (first < 0 || first % 16 != 0 || first + bytes > call_->dynamic_shared_bytes) {
      fail("dynamic shared bytes [" + std::to_string(first) + ", " + std::to_string(first + bytes) +
           "), but the launch has " + std::to_string(call_->dynamic_shared_bytes) +
           " (arrays start at multiples of 16)");
    }
    return shared_.get() + first;
  }

  void touch(Touch kind, const void* address, std::int64_t bytes, Source source) {
    const std::int64_t first = offset_of(address);
    if (async_.owns(first, bytes)) {
      current().where = source;
      fail(
          "a barrier, or bytes that bulk copies go to, are for barriers' functions and matrix "
          "instructions alone");
    }
    const Moment now{interval_, warp_intervals_[current_ / kWarpSize],
                     static_cast<std::uint32_t>(current_), current().fences};
    const RaceDetector::Race race = detector_.touch(kind, first, bytes, now);
    if (race.byte < 0) return;
    current().where = source;
    fail(std::string("shared-memory race: ") + (kind == Touch::kRead ? "reads" : "writes") +
         " shared byte " + std::to_string(race.byte) + ", which thread " +
         text(threads_[race.other]->indices.thread) + (race.other_wrote ? " wrote" : " read") +
         " with no barrier between them");
  }

  std::int64_t offset_of(const void* address) const {
    return static_cast<const std::byte*>(address) - shared_.get();
  }

  void init_barrier(std::int64_t at, unsigned arrivals, Source source) {
    require(async_.init_barrier(at, warp(), arrivals), source);
  }
  void fence_async() {
    ++current().fences;
    async_.fence(warp());
  }

  void arrive(std::int64_t at, std::int64_t bytes, Source source) {
    require(async_.arrive(at, warp(), bytes), source);
    wake();
  }

  void wait_for_phase(std::int64_t at, unsigned parity, Source source) {
    current().where = source;
    for (;;) {
      bool ended = false;
      require(async_.test(at, warp(), parity, ended), source);
      if (ended) return;
      current().state = State::kAtSharedBarrier;
      wait();
    }
  }

  void start_copy(std::int64_t to, const void* from, std::int64_t bytes, std::int64_t barrier,
                  Source source) {
    require(async_.start_copy(to, from, bytes, barrier, warp()), source);
  }

  const void* read_async(std::int64_t first, std::int64_t bytes, Source source) {
    if (first < 0 || first + bytes > kSharedBytes)
      fail("a matrix operand outside of shared memory");
    const std::byte* address = shared_.get() + first;
    if (async_.owns(first, bytes)) {
      require(async_.read(first, bytes, warp()), source);
    } else {
      touch(Touch::kRead, address, bytes, source);
      require_fenced(first, bytes);
    }
    return address;
  }

  [[noreturn]] void fail(const std::string& message) {
    const Thread& self = current();
    throw Error(ErrorCode::kInternal, "kernel " + std::string(call_->name) + ", block " +
                                          text(self.indices.block) + ", thread " +
                                          text(self.indices.thread) + ", " + text(self.where) +
                                          ": " + message);
  }

 private:
  static void check_limits(const KernelCall& call, const DeviceLimits& limits) {
    const auto outside = [](const Dim3& d, const Dim3& most) {
      return d.x < 1 || d.y < 1 || d.z < 1 || d.x > most.x || d.y > most.y || d.z > most.z;
    };
    if (outside(call.block, limits.block) || volume(call.block) > limits.threads_per_block ||
        outside(call.grid, limits.grid) || call.dynamic_shared_bytes < 0 ||
        call.dynamic_shared_bytes > limits.shared_bytes) {
      throw Error(
          ErrorCode::kInternal,
          "kernel " + std::string(call.name) + ": a launch of grid " + text(call.grid) +
              ", block " + text(call.block) + ", " + std::to_string(call.dynamic_shared_bytes) +
              " bytes of dynamic shared memory exceeds the limits: grid " + text(limits.grid) +
              ", block " + text(limits.block) + " and " + std::to_string(limits.threads_per_block) +
              " threads, " + std::to_string(limits.shared_bytes) + " bytes");
    }
  }

  std::vector<std::int64_t> order_of(std::int64_t count) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (schedule_.order == Order::kDescending) std::reverse(order.begin(), order.end());
    if (schedule_.order == Order::kShuffled) std::shuffle(order.begin(), order.end(), random_);
    return order;
  }

  void run_block(std::int64_t block) {
    arrays_.clear();
    used_ = call_->dynamic_shared_bytes;
    poison(0, used_);
    warp_intervals_.assign((count_ + kWarpSize - 1) / kWarpSize, 0);
    next_interval();
    first_interval_ = interval_;
    async_.begin_block();
    error_ = nullptr;
    for (std::size_t i = 0; i < count_; ++i) {
      Thread& thread = *threads_[i];
      thread.indices = {coordinates(static_cast<std::int64_t>(i), call_->block),
                        coordinates(block, call_->grid), call_->block, call_->grid};
      thread.state = State::kReady;
      thread.where = {nullptr, 0};
      thread.groups.assign(1, {});
      thread.warpgroup = {};
      thread.fiber.start(&Multiprocessor::thread_body, this);
    }
    std::vector<std::int64_t> order = order_of(static_cast<std::int64_t>(count_));
    for (;;) {
      const bool progressed = run_round(order);
      if (error_ != nullptr) std::rethrow_exception(error_);
      // Bulk copies are made when nobody can go on; in a shuffled order, some earlier.
      const bool shuffled = schedule_.order == Order::kShuffled;
      if ((!progressed || (shuffled && random_() % 4 == 0)) && copy_one()) continue;
      if (!progressed && !release()) break;
      if (shuffled) std::shuffle(order.begin(), order.end(), random_);
    }
    require(async_.end_block(), current().where);
    check_warpgroups();
  }

  bool copy_one() {
    const std::uint64_t choice = schedule_.order == Order::kShuffled ? random_() : 0;
    if (!async_.perform_copy(shared_.get(), choice)) return false;
    wake();
    return true;
  }

  /// Whoever waits at a barrier in shared memory looks again.
  void wake() {
    for (std::size_t i = 0; i < count_; ++i) {
      if (threads_[i]->state == State::kAtSharedBarrier) threads_[i]->state = State::kReady;
    }
  }

  /// A product takes all threads of four warps.
  void check_warpgroups() {
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t first = i / kWarpgroup * kWarpgroup;
      const std::int64_t started = threads_[i]->warpgroup.started;
      if (started != threads_[first]->warpgroup.started ||
          (started > 0 && first + kWarpgroup > count_)) {
        current_ = i;
        fail("products of a warpgroup that not all of its 128 threads started");
      }
      if (!threads_[i]->warpgroup.products.empty()) {
        current_ = i;
        fail("it ends with a product under way");
      }
    }
  }

  void require(const std::string& wrong, Source source) {
    if (wrong.empty()) return;
    current().where = source;
    fail(wrong);
  }

  /// Products see what threads wrote only behind the writer's fence.
  void require_fenced(std::int64_t first, std::int64_t bytes) {
    for (std::int64_t byte = first; byte < first + bytes; ++byte) {
      const Moment& write = detector_.last_write(byte);
      if (write.interval < first_interval_) continue;
      const Thread& writer = *threads_[write.thread];
      if (write.fences != writer.fences) continue;
      fail("a product reads shared byte " + std::to_string(byte) + ", which thread " +
           text(writer.indices.thread) + " wrote, with no fence_async since");
    }
  }

  unsigned warp() const { return static_cast<unsigned>(current_ / kWarpSize); }

  /// Resumes every thread that can run; false when there is none.
  bool run_round(const std::vector<std::int64_t>& order) {
    bool progressed = false;
    for (const std::int64_t index : order) {
      const auto i = static_cast<std::size_t>(index);
      if (threads_[i]->state != State::kReady) continue;
      progressed = true;
      current_ = i;
      threads_[i]->fiber.resume();
      if (error_ != nullptr) return true;
    }
    return progressed;
  }

  /// Lets the threads pass the barrier that all of them wait at; false when all are done. Anything
  /// else is a divergence.
  bool release() {
    const Thread& first = *threads_[0];
    bool together = true;
    for (std::size_t i = 0; i < count_; ++i)
      together = together && stands_with(*threads_[i], first);
    if (!together || first.state == State::kAtCollective ||
        first.state == State::kAtSharedBarrier) {
      report_divergence();
    }
    if (first.state == State::kDone) return false;
    next_interval();
    async_.join();
    for (std::size_t i = 0; i < count_; ++i) threads_[i]->state = State::kReady;
    return true;
  }

  static bool stands_with(const Thread& a, const Thread& b) {
    return a.state == b.state && (a.state == State::kDone ||
                                  (a.where.line == b.where.line && a.where.file == b.where.file));
  }

  /// Nobody can go on: tells of a thread that waits, and of one that it waits for in vain.
  [[noreturn]] void report_divergence() {
    for (std::size_t i = 0; i < count_; ++i) {
      const Thread& waiting = *threads_[i];
      if (waiting.state == State::kAtSharedBarrier) {
        current_ = i;
        fail("it waits for the end of a barrier's phase, which nobody can bring about");
      }
      const std::size_t warp = i / kWarpSize * kWarpSize;
      for (std::size_t j = 0; j < count_; ++j) {
        const bool awaited = waiting.state == State::kAtBarrier ||
                             (waiting.state == State::kAtCollective && j >= warp &&
                              j < warp + kWarpSize && (waiting.mask >> (j - warp) & 1u) != 0);
        if (awaited && !stands_with(*threads_[j], waiting)) fail_divergent(i, *threads_[j]);
      }
    }
    fail("the block is stuck [this is a bug]");
  }

  [[noreturn]] void fail_divergent(std::size_t waiting, const Thread& other) {
    current_ = waiting;
    std::string does = "has returned";
    if (other.state == State::kAtBarrier) does = "waits at the barrier of " + text(other.where);
    if (other.state == State::kAtCollective) {
      does = "waits in " + std::string(other.what) + " at " + text(other.where);
    }
    const bool barrier = current().state == State::kAtBarrier;
    fail((barrier
              ? std::string("divergent barrier: it waits for the block")
              : "divergent " + std::string(current().what) + ": it waits for lanes of its warp") +
         ", but thread " + text(other.indices.thread) + " " + does);
  }

  void require_agreement(const Thread& self, const Thread& other, std::size_t index) {
    if (other.mask == self.mask && other.where.line == self.where.line &&
        other.where.file == self.where.file && std::strcmp(other.what, self.what) == 0) {
      return;
    }
    fail("divergent " + std::string(self.what) + ": thread " +
         text(threads_[index]->indices.thread) + " waits in " + other.what + " at " +
         text(other.where) + (other.mask == self.mask ? "" : " with another mask"));
  }

  void wait() { current().fiber.pause(); }

  void next_interval() {
    // Cells start in interval 0. After four thousand million barriers they start over.
    if (++interval_ != 0) return;
    detector_.clear();
    interval_ = 1;
  }

  /// 0xFF bytes: NaN in every float format.
  void poison(std::int64_t first, std::int64_t bytes) {
    std::memset(shared_.get() + first, 0xFF, static_cast<std::size_t>(bytes));
  }

  /// Only errors of the kernel leave the block; anything else would have no frame to end in.
  static void thread_body(void* argument) {
    auto& self = *static_cast<Multiprocessor*>(argument);
    Thread& thread = self.current();
    try {
      self.call_->invoke(self.call_->function, self.call_->args);
    } catch (...) {
      self.error_ = std::current_exception();
    }
    thread.state = State::kDone;
  }

  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
  };

  const KernelCall* call_ = nullptr;
  DeviceLimits limits_;
  Schedule schedule_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::size_t count_ = 0;    ///< Threads of the block.
  std::size_t current_ = 0;  ///< The thread that runs.
  std::exception_ptr error_;
  std::unique_ptr<std::byte, Free> shared_{static_cast<std::byte*>(
      ::operator new (static_cast<std::size_t>(kSharedBytes), std::align_val_t{kAlignment}))};
  std::vector<StaticArray> arrays_;
  std::int64_t used_ = 0;
  RaceDetector detector_{kSharedBytes};
  AsyncProxy async_{kSharedBytes};
  std::uint32_t interval_ = 0;
  std::uint32_t first_interval_ = 0;  ///< Of the block.
  std::vector<std::uint32_t> warp_intervals_;
};

Multiprocessor& multiprocessor() {
  thread_local Multiprocessor instance;
  return instance;
}

/// The one whose fibers run: a plain pointer, as a thread_local with a destructor costs a check
/// each time.
thread_local Multiprocessor* active = nullptr;

}  // namespace

void execute(const KernelCall& call, const Schedule& schedule, const DeviceLimits& limits) {
  active = &multiprocessor();
  active->run(call, schedule, limits);
}

const Indices& indices() { return active->current().indices; }

void block_barrier(Source source) { active->barrier(source); }

void warp_collective(const char* what, std::uint32_t mask, void* payload, Compute compute,
                     Source source) {
  active->collective(what, mask, payload, compute, source);
}

void warp_barrier(std::uint32_t mask, Source source) {
  active->collective("sync_warp", mask, nullptr, nullptr, source);
}

void* static_shared(const void* key, std::int64_t bytes, Source source) {
  return active->static_array(key, bytes, source);
}

void* dynamic_shared_bytes(std::int64_t first, std::int64_t bytes, Source source) {
  return active->dynamic_array(first, bytes, source);
}

void touch_shared(Touch kind, const void* address, std::int64_t bytes, Source source) {
  active->touch(kind, address, bytes, source);
}

void copy_later(void* to, const void* from, std::int64_t bytes, Source source) {
  active->current().groups.back().push_back({to, from, bytes, source});
}

void commit_later() { active->current().groups.emplace_back(); }

void wait_later(int pending_groups) {
  auto& groups = active->current().groups;
  // The last one is still open.
  while (groups.size() > static_cast<std::size_t>(pending_groups) + 1) {
    for (const Copy& copy : groups.front()) {
      touch_shared(Touch::kWrite, copy.to, copy.bytes, copy.source);
      std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
    }
    groups.erase(groups.begin());
  }
}

void shared_barrier_init(const void* barrier, unsigned arrivals, Source source) {
  active->init_barrier(active->offset_of(barrier), arrivals, source);
}

void shared_barrier_arrive(const void* barrier, std::int64_t bytes, Source source) {
  active->arrive(active->offset_of(barrier), bytes, source);
}

void shared_barrier_wait(const void* barrier, unsigned parity, Source source) {
  active->wait_for_phase(active->offset_of(barrier), parity, source);
}

void async_fence() { active->fence_async(); }

void start_bulk_copy(void* to, const void* from, std::int64_t bytes, const void* barrier,
                     Source source) {
  active->start_copy(active->offset_of(to), from, bytes, active->offset_of(barrier), source);
}

std::int64_t shared_offset(const void* address) { return active->offset_of(address); }

const void* async_read(std::int64_t offset, std::int64_t bytes, Source source) {
  return active->read_async(offset, bytes, source);
}

WarpgroupState& warpgroup_state() { return active->current().warpgroup; }

void fail_access(const char* what, std::int64_t value, std::int64_t limit, Source source) {
  active->current().where = source;
  active->fail(std::string(what) + " " + std::to_string(value) + ", limit " +
               std::to_string(limit));
}

}  // namespace prs::cuda::emulated
