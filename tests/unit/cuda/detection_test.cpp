// What the hardware leaves undefined is detected under every schedule, and told with kernel, block,
// thread and source line.
#include "emulation/emulated_runtime.hpp"
#include "unit/cuda/emulation_support.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr Shape kOneBlock{{1, 1, 1}, {64, 1, 1}};

TEST(CudaEmulation, DetectsAMissingBarrierAfterAWrite) {
  expect_detected(kOneBlock,
                  [] {
                    PRS_SHARED(float, values, 64);
                    const int i = static_cast<int>(thread_x());
                    values.store(i, 1.0F);
                    static_cast<void>(values.load(63 - i));
                  },
                  {"test_kernel", "block (0,0,0)", "thread (",
                   "detection_test.cpp:", "shared-memory race", "no barrier"});
}

TEST(CudaEmulation, DetectsAMissingBarrierBeforeTheNextWrite) {
  expect_detected(kOneBlock,
                  [] {
                    PRS_SHARED(float, values, 64);
                    const int i = static_cast<int>(thread_x());
                    for (int round = 0; round < 2; ++round) {
                      values.store(i, 1.0F);
                      sync_threads();
                      static_cast<void>(values.load(63 - i));
                    }
                  },
                  {"shared-memory race"});
}

TEST(CudaEmulation, DetectsTwoWritersOfOneElement) {
  expect_detected(kOneBlock,
                  [] {
                    PRS_SHARED(int, value, 1);
                    value.store(0, 7);
                  },
                  {"shared-memory race", "writes"});
}

TEST(CudaEmulation, DetectsThatShufflesOrderNoMemory) {
  expect_detected({{1, 1, 1}, {32, 1, 1}},
                  [] {
                    PRS_SHARED(unsigned, values, 32);
                    values.store(static_cast<int>(lane()), lane());
                    shuffle_xor(kFullMask, 0, 1);
                    static_cast<void>(values.load(static_cast<int>(lane() ^ 1)));
                  },
                  {"shared-memory race"});
}

TEST(CudaEmulation, DetectsThatAWarpBarrierOrdersOneWarpOnly) {
  expect_detected(kOneBlock,
                  [] {
                    PRS_SHARED(unsigned, values, 64);
                    values.store(static_cast<int>(thread_x()), lane());
                    sync_warp();
                    static_cast<void>(values.load(static_cast<int>(thread_x() ^ 32)));
                  },
                  {"shared-memory race"});
}

TEST(CudaEmulation, DetectsAnAtomicBesideAPlainRead) {
  expect_detected(kOneBlock,
                  [] {
                    PRS_SHARED(int, total, 1);
                    if (thread_x() == 0) total.store(0, 0);
                    sync_threads();
                    total.add(0, 1);
                    static_cast<void>(total.load(0));
                  },
                  {"shared-memory race"});
}

TEST(CudaEmulation, ReadersOfOneWarpMayBeFollowedByItsWriter) {
  run_all({{1, 1, 1}, {32, 1, 1}}, [] {
    PRS_SHARED(int, value, 1);
    if (lane() == 0) value.store(0, 1);
    sync_warp();
    EXPECT_EQ(value.load(0), 1);
    sync_warp();
    if (lane() == 3) {
      EXPECT_EQ(value.load(0), 1);
      value.store(0, 2);
    }
  });
}

TEST(CudaEmulation, DetectsABarrierThatSomeThreadsSkip) {
  expect_detected(
      kOneBlock,
      [] {
        if (thread_x() != 5) sync_threads();
      },
      {"test_kernel", "divergent barrier", "thread (5,0,0) has returned", "detection_test.cpp:"});
}

TEST(CudaEmulation, DetectsBarriersInBothBranches) {
  expect_detected(kOneBlock,
                  [] {
                    if (thread_x() < 32) {
                      sync_threads();
                    } else {
                      sync_threads();
                    }
                  },
                  {"divergent barrier", "waits at the barrier of"});
}

TEST(CudaEmulation, DetectsCollectivesThatLanesDoNotReach) {
  expect_detected({{1, 1, 1}, {32, 1, 1}},
                  [] {
                    if (lane() != 9) shuffle_xor(kFullMask, 0, 1);
                  },
                  {"divergent shuffle", "thread (9,0,0) has returned"});
  expect_detected({{1, 1, 1}, {32, 1, 1}},
                  [] {
                    if (lane() < 16) {
                      shuffle_xor(kFullMask, 0, 1);
                    } else {
                      ballot(kFullMask, true);
                    }
                  },
                  {"divergent"});
  expect_detected({{1, 1, 1}, {32, 1, 1}}, [] { ballot(lane() < 16 ? 0xFFFFu : kFullMask, true); },
                  {"divergent ballot"});
  expect_detected({{1, 1, 1}, {32, 1, 1}}, [] { ballot(1u, true); },
                  {"does not name the calling thread"});
  expect_detected({{1, 1, 1}, {24, 1, 1}}, [] { ballot(kFullMask, true); },
                  {"which the block does not have"});
}

TEST(CudaEmulation, DetectsIndicesOutsideOfASharedArray) {
  for (const int index : {-1, 16, 1 << 30}) {
    expect_detected({{1, 1, 1}, {1, 1, 1}},
                    [=] {
                      PRS_SHARED(float, values, 16);
                      values.store(index, 0.0F);
                    },
                    {"shared array index", "limit 16", "detection_test.cpp:"});
  }
  expect_detected({{1, 1, 1}, {1, 1, 1}, 64}, [] { dynamic_shared<float>(0, 17); },
                  {"the launch has 64"});
}

TEST(CudaEmulation, DetectsMisalignedVectors) {
  alignas(16) static const float values[8] = {};
  expect_detected({{1, 1, 1}, {1, 1, 1}}, [] { load4(values + 1); }, {"misaligned"});
  expect_detected({{1, 1, 1}, {1, 1, 1}},
                  [] {
                    PRS_SHARED(float, target, 8);
                    copy_async<16>(target, 2, values);
                  },
                  {"misaligned"});
  expect_detected({{1, 1, 1}, {1, 1, 1}},
                  [] {
                    PRS_SHARED(std::uint32_t, words, 8);
                    std::uint32_t r[2];
                    load_words(words, 2, r);
                    EXPECT_EQ(r[1], 0xFFFFFFFFU);
                    load_words(words, 3, r);
                  },
                  {"misaligned"});
}

TEST(CudaEmulation, WordsThatMoveTogetherRaceLikeOthers) {
  expect_detected({{1, 1, 1}, {2, 1, 1}},
                  [] {
                    PRS_SHARED(std::uint32_t, words, 4);
                    std::uint32_t r[4] = {};
                    if (thread_x() == 0) words.store(3, 1);
                    if (thread_x() == 1) load_words(words, 0, r);
                  },
                  {"race"});
}

TEST(CudaEmulation, RefusesLaunchesBeyondTheLimits) {
  const auto nothing = [] {};
  expect_detected({{1, 1, 1}, {1025, 1, 1}}, nothing, {"exceeds the limits", "1024"});
  expect_detected({{1, 1, 1}, {32, 33, 1}}, nothing, {"exceeds the limits"});
  expect_detected({{1, 1, 1}, {1, 1, 65}}, nothing, {"exceeds the limits"});
  expect_detected({{1, 65536, 1}, {1, 1, 1}}, nothing, {"exceeds the limits"});
  expect_detected({{0, 1, 1}, {1, 1, 1}}, nothing, {"exceeds the limits"});
  expect_detected({{1, 1, 1}, {1, 1, 1}, (48 << 10) + 1}, nothing, {"exceeds the limits"});
  expect_detected({{1, 1, 1}, {1, 1, 1}},
                  [] {
                    PRS_SHARED(float, large, 12289);
                    large.store(0, 1.0F);
                  },
                  {"static shared arrays"});
}

TEST(CudaEmulation, RunsOnAfterADetectedError) {
  EXPECT_THROW(run(kOneBlock,
                   [] {
                     if (thread_x() == 5) sync_threads();
                   }),
               Error);
  int threads = 0;
  run(kOneBlock, [&] {
    sync_threads();
    ++threads;
  });
  EXPECT_EQ(threads, 64);
}

TEST(CudaEmulationDeathTest, FindsWritesNextToABuffer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto runtime = make_runtime();
        auto* memory = static_cast<volatile char*>(runtime->allocate(5));
        memory[5] = 1;
        runtime->free(const_cast<char*>(memory));
      },
      "outside of its buffers|use-after-poison");
}

TEST(CudaEmulation, LimitsItsMemory) {
  const auto runtime = make_runtime();
  runtime->limit_memory(1000);
  void* memory = runtime->allocate(600);
  EXPECT_THROW(runtime->allocate(600), Error);
  runtime->free(memory);
  runtime->free(runtime->allocate(600));
  EXPECT_EQ(runtime->counts().live, 0);
  EXPECT_EQ(runtime->counts().allocations, 2);
}

}  // namespace
}  // namespace prs::cuda::emulated
