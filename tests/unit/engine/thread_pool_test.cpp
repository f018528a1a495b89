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

TEST(AvailableProcessors, AreThoseOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(available_processors(), 1);
  EXPECT_LE(available_processors(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_processors(), 1);
  EXPECT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

}  // namespace
}  // namespace prs
