// Who holds which GPU of a node.
#include "gpu/pool.hpp"

#include <gtest/gtest.h>

#include "gpu/visibility.hpp"
#include "support/expect_error.hpp"

namespace prs::gpu {
namespace {

using Slots = std::vector<int>;
using test::expect_error;

TEST(SlotPool, G2_TwoGpusFourProcesses) {
  const VisibleDevices visible = visible_devices({.gpu_count_found = "2"}, {});
  SlotPool pool(static_cast<int>(visible.entries.size()));
  EXPECT_EQ(worker_value(visible, pool.acquire(1)), "0");
  EXPECT_EQ(worker_value(visible, pool.acquire(1)), "1");
  EXPECT_EQ(worker_value(visible, pool.acquire(1)), "");
  EXPECT_EQ(worker_value(visible, pool.acquire(1)), "");
}

TEST(SlotPool, G4_TheNextAcquirerGetsAReleasedSlot) {
  SlotPool pool(2);
  const Slots process000 = pool.acquire(1);
  EXPECT_EQ(pool.acquire(1), Slots{1});
  EXPECT_EQ(pool.acquire(1), Slots{});
  pool.release(process000);
  EXPECT_EQ(pool.acquire(1), Slots{0});
}

TEST(SlotPool, G4_TheLowestFreeSlotComesFirst) {
  SlotPool pool(4);
  EXPECT_EQ(pool.acquire(4), (Slots{0, 1, 2, 3}));
  pool.release({3});
  pool.release({1});
  EXPECT_EQ(pool.acquire(1), Slots{1});
  EXPECT_EQ(pool.acquire(1), Slots{3});
}

TEST(SlotPool, G5_SeveralSlotsAreGivenAllOrNone) {
  SlotPool pool(3);
  EXPECT_EQ(pool.acquire(2), (Slots{0, 1}));
  EXPECT_EQ(pool.acquire(2), Slots{});
  EXPECT_EQ(pool.acquire(1), Slots{2}) << "a refusal takes nothing";
}

TEST(SlotPool, G5_ZeroMeansAllOfTheNode) {
  SlotPool pool(3);
  EXPECT_EQ(pool.acquire(0), (Slots{0, 1, 2}));
  EXPECT_EQ(pool.acquire(0), Slots{});
  pool.release({0, 2});
  EXPECT_EQ(pool.acquire(0), Slots{}) << "one is still held";
  pool.release({1});
  EXPECT_EQ(pool.acquire(0), (Slots{0, 1, 2}));
}

TEST(SlotPool, ANodeWithoutGpusGivesNone) {
  SlotPool pool;
  EXPECT_EQ(pool.slots(), 0);
  EXPECT_EQ(pool.acquire(1), Slots{});
  EXPECT_EQ(pool.acquire(0), Slots{});
  pool.release({});
}

TEST(SlotPool, MisuseIsAMistakeOfOurs) {
  SlotPool pool(2);
  const Slots both = pool.acquire(2);
  pool.release({1});
  expect_error(ErrorCode::kInternal, "GPU slot 1 released, but nobody holds it",
               [&] { pool.release(both); });
  expect_error(ErrorCode::kInternal, "slot 0", [&] { pool.release({0, 0}); });
  expect_error(ErrorCode::kInternal, "GPU slot 2 of 2", [&] { pool.release({2}); });
  expect_error(ErrorCode::kInternal, "GPU slot -1 of 2", [&] { pool.release({-1}); });
  EXPECT_EQ(pool.acquire(2), Slots{}) << "a refused release releases nothing";
  expect_error(ErrorCode::kInternal, "-1 GPU slots wanted", [&] { pool.acquire(-1); });
  expect_error(ErrorCode::kInternal, "-2 GPU slots", [] { SlotPool{-2}; });
}

}  // namespace
}  // namespace prs::gpu
