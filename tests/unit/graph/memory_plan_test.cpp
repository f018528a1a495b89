#include "graph/memory_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/expect_error.hpp"

namespace prs {
namespace {

bool share_bytes(const Lifetime& a, std::int64_t a_offset, const Lifetime& b,
                 std::int64_t b_offset) {
  return a_offset < b_offset + b.size_bytes && b_offset < a_offset + a.size_bytes;
}

TEST(MemoryPlan, ReusesMemoryOfBuffersThatAreNeverAliveTogether) {
  const Lifetime chain[] = {{1000, 0, 1}, {1000, 1, 2}, {1000, 2, 3}, {1000, 3, 4}};
  const MemoryPlan plan = plan_memory(chain);
  EXPECT_EQ(plan.arena_bytes, 2048);
}

TEST(MemoryPlan, LiveBuffersNeverOverlapAndAreAligned) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> lifetimes;
    for (std::size_t i = 0; i < 1 + random() % 40; ++i) {
      const int first = static_cast<int>(random() % 30);
      lifetimes.push_back({static_cast<std::int64_t>(random() % 5000), first,
                           first + static_cast<int>(random() % 8)});
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    for (std::size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % kArenaAlignment, 0);
      EXPECT_LE(plan.offsets[i] + lifetimes[i].size_bytes, plan.arena_bytes);
      for (std::size_t k = 0; k < i; ++k) {
        if (lifetimes[i].last < lifetimes[k].first || lifetimes[k].last < lifetimes[i].first)
          continue;
        EXPECT_FALSE(share_bytes(lifetimes[i], plan.offsets[i], lifetimes[k], plan.offsets[k]))
            << "round " << round << ": buffers " << i << " and " << k;
      }
    }
  }
}

TEST(MemoryPlan, PlacesManyBuffersSafelyAndTightly) {
  std::mt19937_64 random(13);
  std::vector<Lifetime> lifetimes;
  std::vector<std::int64_t> alive_bytes(30'000, 0);
  for (int step = 0; step < 20'000; ++step) {
    const Lifetime buffer{static_cast<std::int64_t>(random() % 5000), step,
                          step + static_cast<int>(random() % 20)};
    lifetimes.push_back(buffer);
    for (int i = buffer.first; i <= buffer.last; ++i) {
      alive_bytes[static_cast<std::size_t>(i)] += buffer.size_bytes;
    }
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kArenaAlignment, 0);
    EXPECT_LE(plan.offsets[i] + lifetimes[i].size_bytes, plan.arena_bytes);
    for (std::size_t k = i < 20 ? 0 : i - 20; k < i; ++k) {
      if (lifetimes[k].last < lifetimes[i].first) continue;
      EXPECT_FALSE(share_bytes(lifetimes[i], plan.offsets[i], lifetimes[k], plan.offsets[k]))
          << "buffers " << i << " and " << k;
    }
  }
  const std::int64_t most = *std::max_element(alive_bytes.begin(), alive_bytes.end());
  EXPECT_LT(plan.arena_bytes, most + most / 2);
}

TEST(MemoryPlan, PlacesBuffersThatAreAllAliveAtOnceInOneSweep) {
  const std::vector<Lifetime> lifetimes(200'000, Lifetime{1, 0, 1});
  const MemoryPlan plan = plan_memory(lifetimes);
  EXPECT_EQ(plan.arena_bytes, 200'000 * kArenaAlignment);
}

TEST(MemoryPlan, RefusesSizesThatOverflow) {
  const Lifetime huge[] = {{std::int64_t{1} << 60, 0, 1}, {std::int64_t{1} << 60, 0, 1}};
  test::expect_error(ErrorCode::kOutOfMemory, "overflow", [&] { plan_memory(huge); });
}

}  // namespace
}  // namespace prs
