// The primitives of device.hpp against what CUDA documents: indices, barriers, shared memory,
// shuffles, votes, atomics, cp.async.
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "unit/cuda/emulation_support.hpp"

namespace prs::cuda::emulated {
namespace {

TEST(CudaEmulation, GivesEveryThreadItsIndicesOnce) {
  for (const Schedule& schedule : kSchedules) {
    std::vector<int> seen(2 * 3 * 5 * 4 * 2);
    run(
        {{2, 3, 5}, {4, 2, 1}},
        [&] {
          const unsigned block = (block_z() * 3 + block_y()) * 2 + block_x();
          ++seen[(block * 2 + thread_y()) * 4 + thread_x()];
          EXPECT_EQ(block_dim_x(), 4U);
          EXPECT_EQ(grid_z(), 5U);
        },
        schedule);
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

TEST(CudaEmulation, ABarrierLetsEveryThreadSeeWhatOthersWrote) {
  std::vector<int> got(256);
  run_all({{1, 1, 1}, {256, 1, 1}}, [&] {
    PRS_SHARED(int, values, 256);
    const int i = static_cast<int>(thread_x());
    values.store(i, 3 * i);
    sync_threads();
    const int other = values.load(255 - i);
    sync_threads();
    values.store(i, other);
    got[thread_x()] = values.load(i);
  });
  for (int i = 0; i < 256; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], 3 * (255 - i));
}

TEST(CudaEmulation, SharedMemoryStartsAsNaNInEveryBlock) {
  int numbers = 0;
  run_all({{3, 1, 1}, {32, 1, 1}, 128}, [&] {
    PRS_SHARED(float, fixed, 32);
    const auto dynamic = dynamic_shared<float>(0, 32);
    const int i = static_cast<int>(thread_x());
    numbers += std::isnan(fixed.load(i)) && std::isnan(dynamic.load(i)) ? 0 : 1;
    fixed.store(i, 1.0F);
    dynamic.store(i, 1.0F);
  });
  EXPECT_EQ(numbers, 0);
}

TEST(CudaEmulation, ShufflesMoveValuesBetweenLanes) {
  run_all({{1, 1, 1}, {64, 1, 1}}, [] {
    const int value = static_cast<int>(thread_x()) * 10;
    const int warp = static_cast<int>(thread_x() / 32) * 32;
    const int own = static_cast<int>(lane());
    EXPECT_EQ(shuffle(kFullMask, value, 5), (warp + 5) * 10);
    // The source lane is taken modulo the warp.
    EXPECT_EQ(shuffle(kFullMask, value, 37), (warp + 5) * 10);
    EXPECT_EQ(shuffle_xor(kFullMask, value, 3), (warp + (own ^ 3)) * 10);
    // A lane whose source lies past the end keeps its own value.
    EXPECT_EQ(shuffle_down(kFullMask, value, 4), (warp + (own < 28 ? own + 4 : own)) * 10);
    EXPECT_EQ(warp_sum(own), 31 * 32 / 2);
    EXPECT_EQ(warp_max(own == 7 ? 99.0F : static_cast<float>(own)), 99.0F);
    EXPECT_TRUE(std::isnan(warp_max(own == 7 ? NAN : 1.0F)));
  });
}

TEST(CudaEmulation, LanesOfAMaskShuffleAmongThemselves) {
  run_all({{1, 1, 1}, {32, 1, 1}}, [] {
    const std::uint32_t low = 0x0000FFFFu;
    const std::uint32_t mask = lane() < 16 ? low : ~low;
    const unsigned got = shuffle(mask, lane(), lane() ^ 1);
    EXPECT_EQ(got, lane() ^ 1);
  });
}

TEST(CudaEmulation, VotesCountTheLanesOfTheMask) {
  run_all({{1, 1, 1}, {32, 1, 1}}, [] {
    EXPECT_EQ(ballot(kFullMask, lane() % 3 == 0), 0x49249249u);
    EXPECT_TRUE(any(kFullMask, lane() == 31));
    EXPECT_FALSE(any(kFullMask, false));
    EXPECT_FALSE(all(kFullMask, lane() != 31));
    EXPECT_TRUE(all(kFullMask, true));
    if (lane() < 8) {
      EXPECT_EQ(ballot(0xFFu, lane() >= 4), 0xF0u);
      EXPECT_TRUE(all(0xFFu, true));
    }
  });
}

TEST(CudaEmulation, AWarpBarrierOrdersTheWarpsSharedMemory) {
  run_all({{1, 1, 1}, {64, 1, 1}}, [] {
    PRS_SHARED(unsigned, values, 64);
    const int i = static_cast<int>(thread_x());
    for (unsigned round = 0; round < 3; ++round) {
      values.store(i, lane() + round);
      sync_warp();
      EXPECT_EQ(values.load(i ^ 1), (lane() ^ 1) + round);
      sync_warp();
    }
  });
}

TEST(CudaEmulation, AtomicsReturnTheOldValueAndLoseNothing) {
  int sum = 0;
  int largest = -1;
  unsigned winner = 0;
  int winners = 0;
  run({{4, 1, 1}, {128, 1, 1}}, [&] {
    PRS_SHARED(int, total, 1);
    if (thread_x() == 0) total.store(0, 0);
    sync_threads();
    total.add(0, 1);
    sync_threads();
    EXPECT_EQ(total.load(0), 128);
    const int before = atomic_add(&sum, 2);
    EXPECT_EQ(before % 2, 0);
    atomic_max(&largest, static_cast<int>(thread_x()));
    winners += atomic_cas(&winner, 0u, global_thread() == 0 ? 1u : 2u) == 0 ? 1 : 0;
  });
  EXPECT_EQ(sum, 2 * 4 * 128);
  EXPECT_EQ(largest, 127);
  EXPECT_EQ(winners, 1);
}

enum class Fence { kNone, kBeforeTheAtomic, kBehindTheAtomic };

/// The sum of all threads' numbers in all blocks, by the last block.
void sum_by_the_last_block(Fence fence, int expected) {
  for (const Schedule& schedule : kSchedules) {
    std::vector<int> partial(4 * 64, -1);
    unsigned ticket = 0;
    int sum = 0;
    const auto kernel = [&] {
      PRS_SHARED(int, last, 1);
      publish(partial.data() + global_thread(), static_cast<int>(global_thread()));
      sync_threads();
      if (thread_x() == 0) {
        if (fence == Fence::kBeforeTheAtomic) fence_blocks();
        last.store(0, atomic_add(&ticket, 1u) == 3 ? 1 : 0);
        if (fence == Fence::kBehindTheAtomic) fence_blocks();
      }
      sync_threads();
      if (last.load(0) == 0 || thread_x() != 0) return;
      for (const int& part : partial) sum += load_published(&part);
    };
    run({{4, 1, 1}, {64, 1, 1}}, kernel, schedule);
    EXPECT_EQ(sum, expected);
    EXPECT_EQ(partial[255], 255) << "stored when the kernel ends, fence or not";
  }
}

TEST(CudaEmulation, AFenceBehindABarrierMakesTheBlocksStoresSeen) {
  sum_by_the_last_block(Fence::kBeforeTheAtomic, 255 * 128);
}

TEST(CudaEmulation, WithoutAFenceInTimeAnotherBlockReadsWhatWasThere) {
  sum_by_the_last_block(Fence::kNone, -4 * 64);
  sum_by_the_last_block(Fence::kBehindTheAtomic, -4 * 64);
}

TEST(CudaEmulation, AFenceMakesOnlyItsThreadsStoresSeenBeforeABarrier) {
  int own = 0;
  int other = 0;
  run({{1, 1, 1}, {2, 1, 1}}, [&] {
    if (thread_x() == 1) publish(&other, 1);
    sync_warp(3);
    if (thread_x() != 0) return;
    publish(&own, 1);
    fence_blocks();
    EXPECT_EQ(load_published(&own), 1);
    EXPECT_EQ(load_published(&other), 0);
  });
}

TEST(CudaEmulation, DotsOfBytesTakeTheFirstUnsignedAndTheSecondSigned) {
  EXPECT_EQ(dot_u8s8(0xFF01'0280u, 0x80FF'7F02u, 7), 7 + 255 * -128 + 1 * -1 + 2 * 127 + 128 * 2);
}

TEST(CudaEmulation, AsynchronousCopiesArriveWhenTheirGroupIsWaitedFor) {
  alignas(16) float source[16];
  std::iota(source, source + 16, 1.0F);
  run_all({{1, 1, 1}, {1, 1, 1}}, [&] {
    PRS_SHARED(float, target, 16);
    copy_async<16>(target, 0, source);
    commit_copies();
    copy_async<4>(target, 4, source + 4);
    copy_async<8>(target, 6, source + 6);
    commit_copies();
    copy_async<16>(target, 8, source + 8);
    EXPECT_TRUE(std::isnan(target.load(0)));
    wait_copies<1>();
    EXPECT_EQ(target.load(3), 4.0F);
    EXPECT_TRUE(std::isnan(target.load(4)));
    wait_copies<0>();
    EXPECT_EQ(target.load(4), 5.0F);
    EXPECT_EQ(target.load(7), 8.0F);
    // Not committed: no wait covers it.
    EXPECT_TRUE(std::isnan(target.load(8)));
  });
}

TEST(CudaEmulation, ConvertsFloatsToNearest) {
  EXPECT_EQ(to_half(1.0F).bits, 0x3C00);
  EXPECT_EQ(to_half(65520.0F).bits, 0x7C00);
  EXPECT_EQ(to_half(1.0F + 0x1p-11F).bits, 0x3C00);
  EXPECT_EQ(to_half(1.0F + 0x1.8p-10F).bits, 0x3C02);
  EXPECT_EQ(to_bfloat16(1.0F + 0x1p-8F).bits, 0x3F80);
  EXPECT_EQ(to_bfloat16(1.0F + 0x1.8p-7F).bits, 0x3F82);
  EXPECT_EQ(to_float(Half{0x0001}), 0x1p-24F);
  EXPECT_EQ(to_float(BFloat16{0xC000}), -2.0F);
  // tf32 keeps 10 bits; ties go away from zero.
  EXPECT_EQ(bits_float(to_tf32(1.0F + 0x1p-11F)), 1.0F + 0x1p-10F);
  EXPECT_EQ(bits_float(to_tf32(-1.0F - 0x1p-11F)), -1.0F - 0x1p-10F);
  EXPECT_EQ(bits_float(to_tf32(1.0F + 0x1p-12F)), 1.0F);
  EXPECT_TRUE(std::isinf(bits_float(to_tf32(INFINITY))));
  EXPECT_EQ(to_half_pair(1.0F, 65520.0F), 0x7C003C00U);
  EXPECT_EQ(to_bfloat16_pair(1.0F + 0x1p-8F, -2.0F), 0xC0003F80U);
}

}  // namespace
}  // namespace prs::cuda::emulated
