#include "engine/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

#include "prs/engine.hpp"

namespace prs {
namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  ThreadPool pool(4);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::atomic<int>> counts(static_cast<std::size_t>(round % 37));
    pool.run(static_cast<std::int64_t>(counts.size()),
             [&](std::int64_t task) { ++counts[static_cast<std::size_t>(task)]; });
    for (const std::atomic<int>& count : counts) ASSERT_EQ(count.load(), 1);
  }
}

TEST(ThreadPool, RethrowsAnExceptionAndCanBeUsedAgain) {
  ThreadPool pool(3);
  for (int round = 0; round < 100; ++round) {
    EXPECT_THROW(pool.run(50,
                          [](std::int64_t task) {
                            if (task == 17) throw std::runtime_error("17");
                          }),
                 std::runtime_error);
    std::atomic<int> done{0};
    pool.run(50, [&](std::int64_t) { ++done; });
    EXPECT_EQ(done.load(), 50);
  }
}

TEST(ThreadPool, RunsTasksAtOnce) {
  ThreadPool pool(3);
  for (int round = 0; round < 200; ++round) {
    std::latch all(3);  // Passed only when three threads are inside.
    pool.run(3, [&](std::int64_t) { all.arrive_and_wait(); });
  }
}

TEST(ThreadPool, WakesThreadsThatWentToSleep) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::latch both(2);
    pool.run(2, [&](std::int64_t) { both.arrive_and_wait(); });
    // Longer than a thread looks for work before it sleeps.
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(500);
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
  }
}

TEST(ThreadPool, DoesPartsAloneAfterTheOthersCameLateTooOften) {
  constexpr int kMostLate = 5;
  ThreadPool pool(2, kMostLate);
  const std::thread::id caller = std::this_thread::get_id();
  const auto run = [&](auto last) {
    std::latch both(2);  // Passed only when two threads are inside.
    std::atomic<bool> done{false};
    const auto start = std::chrono::steady_clock::now();
    std::int64_t calls = 0;
    pool.run_parts(2, [&](std::int64_t, std::int64_t parts) {
      if (parts == 1) {
        ++calls;
        return;
      }
      both.arrive_and_wait();
      if (std::this_thread::get_id() == caller) {
        done = true;
      } else {
        last(start, done);
      }
    });
    return calls == 1;
  };
  // As long again as the caller took, and as long once more: late whatever the machine does.
  const auto late = [](auto start, const std::atomic<bool>& done) {
    while (!done) std::this_thread::yield();
    const auto now = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < now + 2 * (now - start)) std::this_thread::yield();
  };
  for (int i = 0; i < kMostLate; ++i) EXPECT_FALSE(run(late)) << i;
  for (int i = 0; i < 4096; ++i) ASSERT_TRUE(run(late)) << i;
  EXPECT_FALSE(run(late));
}

TEST(ThreadPool, ServesMoreThreadsThanProcessors) {
  ThreadPool pool(2 * available_processors() + 1);
  std::atomic<std::int64_t> total{0};
  for (int round = 0; round < 200; ++round) {
    pool.run(40, [&](std::int64_t task) { total += task; });
  }
  EXPECT_EQ(total.load(), 200 * 780);
}

TEST(ThreadPool, ServesSeveralCallersAtOnce) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.run(8, [&](std::int64_t task) { total += task; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 4 * 200 * 28);
}

/// Keeps the calling thread, and those that it starts, on one of its processors.
class OneProcessor {
 public:
  OneProcessor() {
    EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
    }
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }
  ~OneProcessor() { EXPECT_EQ(::sched_setaffinity(0, sizeof before_, &before_), 0); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  cpu_set_t before_;
};

TEST(ThreadPool, DoesPartsAloneWhereNobodyComes) {
  const OneProcessor pinned;
  ThreadPool pool(2);
  // No part is longer than it takes to hand the processor over.
  std::atomic<std::int64_t> alone{0};
  constexpr std::int64_t kRuns = 20'000;
  for (std::int64_t i = 0; i < kRuns; ++i) {
    pool.run_parts(2, [&](std::int64_t, std::int64_t parts) {
      if (parts == 1) ++alone;
    });
  }
  EXPECT_GT(alone, kRuns / 2);
}

TEST(AvailableProcessors, AreThoseOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(available_processors(), 1);
  EXPECT_LE(available_processors(), CPU_COUNT(&before));
  const OneProcessor pinned;
  EXPECT_EQ(available_processors(), 1);
}

}  // namespace
}  // namespace prs
