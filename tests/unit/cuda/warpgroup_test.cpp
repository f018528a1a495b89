// Barriers, bulk copies and products of a warpgroup against what the PTX ISA says of them, written
// out here once more; and what it leaves undefined, which is detected under every schedule.
#include <random>
#include <vector>

#include "device/hopper.hpp"
#include "unit/cuda/emulation_support.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr int kDepth = 64;  ///< Of a tile of B, a row of 128 bytes.

/// Small integers: exact in every format.
float element_a(int m, int k) { return static_cast<float>((m * 7 + k * 3) % 11 - 5); }
float element_b(int k, int n) { return static_cast<float>((k * 5 + n * 2) % 9 - 4); }

/// Where element k of a row of an operand in shared memory lies: rows of 128 bytes, "128-Byte
/// swizzling".
int operand_byte(int row, int k, int bytes) {
  const int byte = row * 128 + k * bytes;
  return byte ^ (byte & 0x380) >> 3;
}

/// B's tile as copies bring it.
template <typename Convert>
std::vector<std::uint16_t> tile_of_b(int columns, const Convert& convert) {
  std::vector<std::uint16_t> tile(static_cast<std::size_t>(columns * kDepth) + 8);
  for (int n = 0; n < columns; ++n) {
    for (int k = 0; k < kDepth; ++k) {
      tile[static_cast<std::size_t>(operand_byte(n, k, 2) / 2)] = convert(element_b(k, n));
    }
  }
  return tile;
}

/// A start at a multiple of 16 bytes, as a copy wants it.
const std::uint16_t* aligned(const std::vector<std::uint16_t>& values) {
  const auto address = reinterpret_cast<std::uintptr_t>(values.data());
  return values.data() + (16 - address % 16) % 16 / 2;
}

template <int kColumns>
constexpr Shape kWarpgroups{{2, 1, 1}, {256, 1, 1}, kColumns* kDepth * 2 + 16};

template <int kColumns>
void multiply_tile(bool bf16, const std::uint16_t* from) {
  const auto slots = dynamic_shared_1024<std::uint16_t>(0, kColumns * kDepth);
  const auto barriers = dynamic_shared_1024<std::uint64_t>(kColumns * kDepth * 2, 1);
  if (thread_x() == 0) {
    barrier_init(barriers, 0, 1);
    fence_async();
    barrier_arrive_expecting(barriers, 0, kColumns * kDepth * 2);
    copy_bulk(slots, 0, from, kColumns * kDepth * 2, barriers, 0);
  }
  sync_threads();
  barrier_wait(barriers, 0, 0);
  float d[kColumns / 8][4];
  for (auto& tile : d) {
    for (int i = 0; i < 4; ++i) tile[i] = static_cast<float>(100 * i);
  }
  const auto row = [](int i) {
    return static_cast<int>(thread_x() / 32 * 16 + lane() / 4) + (i / 2 % 2) * 8;
  };
  std::uint32_t a[4][4] = {};
  warpgroup_fence();
  for (int step = 0; step < 4; ++step) {
    for (int i = 0; i < 8; ++i) {
      const int k = step * 16 + static_cast<int>(lane() % 4) * 2 + i % 2 + i / 4 * 8;
      const float value = element_a(row(i), k);
      a[step][i / 2] |= std::uint32_t{bf16 ? to_bfloat16(value).bits : to_half(value).bits}
                        << (16 * (i % 2));
    }
    const std::uint64_t b = matrix_descriptor(slots, step * 16);
    if (bf16) {
      wgmma_m64k16_bf16<kColumns>(d, a[step], b);
    } else {
      wgmma_m64k16_f16<kColumns>(d, a[step], b);
    }
  }
  warpgroup_commit();
  EXPECT_EQ(d[0][1], 100.0F);  // Under way.
  warpgroup_wait(d);
  for (int tile = 0; tile < kColumns / 8; ++tile) {
    for (int i = 0; i < 4; ++i) {
      const int n = tile * 8 + static_cast<int>(lane() % 4) * 2 + i % 2;
      float want = static_cast<float>(100 * i);
      for (int k = 0; k < kDepth; ++k) want += element_a(row(i), k) * element_b(k, n);
      EXPECT_EQ(d[tile][i], want) << "thread " << thread_x() << " tile " << tile << " element "
                                  << i;
    }
  }
}

TEST(CudaWarpgroup, MultipliesTilesThatABulkCopyBrings) {
  const auto halves = tile_of_b(64, [](float x) { return to_half(x).bits; });
  const auto bfloats = tile_of_b(16, [](float x) { return to_bfloat16(x).bits; });
  std::vector<std::uint16_t> shifted(bfloats.size() + 8);
  std::copy(bfloats.begin(), bfloats.end() - 8,
            shifted.begin() + (aligned(shifted) - shifted.data()));
  std::vector<std::uint16_t> wide(halves.size() + 8);
  std::copy(halves.begin(), halves.end() - 8, wide.begin() + (aligned(wide) - wide.data()));
  run_all(kWarpgroups<64>, [&] { multiply_tile<64>(false, aligned(wide)); });
  run_all(kWarpgroups<16>, [&] { multiply_tile<16>(true, aligned(shifted)); });
}

/// Elements of A and B as a product of that type takes them, and as numbers.
struct SharedProduct {
  ProductType type;
  int a(int m, int k) const {
    return type == ProductType::kU8S8 ? (m * 7 + k * 3) % 256 : sign(m, k, 7);
  }
  int b(int k, int n) const {
    return type == ProductType::kU8S8 ? (k * 5 + n * 2) % 256 - 128 : sign(n, k, 5);
  }
  int bytes() const { return type == ProductType::kU8S8 ? 1 : 2; }
  int depth() const { return 128 / bytes(); }
  void store(const Shared<std::uint8_t>& s, int first, int row, int k, int value) const {
    const int at = first + operand_byte(row, k, bytes());
    if (type == ProductType::kU8S8) return s.store(at, static_cast<std::uint8_t>(value));
    const auto number = static_cast<float>(value);
    const std::uint16_t half =
        type == ProductType::kBf16 ? to_bfloat16(number).bits : to_half(number).bits;
    s.store(at, static_cast<std::uint8_t>(half));
    s.store(at + 1, static_cast<std::uint8_t>(half >> 8));
  }

 private:
  static int sign(int i, int k, int factor) { return (i * factor + k * 3) % 11 - 5; }
};

/// Both operands in shared memory, as threads write them: A [128, 128 bytes], then B.
template <int kColumns, typename Sum, typename Multiply>
void multiply_shared(const SharedProduct& product, const Multiply& multiply) {
  constexpr int kB = 128 * 128;
  const auto s = dynamic_shared_1024<std::uint8_t>(0, kB + kColumns * 128);
  for (int i = static_cast<int>(thread_x()); i < 128 + kColumns; i += 256) {
    for (int k = 0; k < product.depth(); ++k) {
      const bool in_a = i < 128;
      product.store(s, in_a ? 0 : kB, in_a ? i : i - 128, k,
                    in_a ? product.a(i, k) : product.b(k, i - 128));
    }
  }
  fence_async();
  sync_threads();
  const int group = static_cast<int>(thread_x()) / 128;
  Sum d[kColumns / 8][4];
  for (auto& tile : d) {
    for (int i = 0; i < 4; ++i) tile[i] = static_cast<Sum>(100 * i);
  }
  warpgroup_fence();
  for (int step = 0; step < 4; ++step) {
    multiply(d, matrix_descriptor(s, group * 64 * 128 + step * 32),
             matrix_descriptor(s, kB + step * 32));
  }
  warpgroup_commit();
  warpgroup_wait(d);
  for (int tile = 0; tile < kColumns / 8; ++tile) {
    for (int i = 0; i < 4; ++i) {
      const int m = static_cast<int>(thread_x() / 32 * 16 + lane() / 4) + i / 2 * 8;
      const int n = tile * 8 + static_cast<int>(lane() % 4) * 2 + i % 2;
      int want = 100 * i;
      for (int k = 0; k < product.depth(); ++k) want += product.a(m, k) * product.b(k, n);
      EXPECT_EQ(d[tile][i], static_cast<Sum>(want)) << "row " << m << " column " << n;
    }
  }
}

TEST(CudaWarpgroup, MultipliesRowsAndColumnsThatThreadsWrote) {
  constexpr Shape kTile{{1, 1, 1}, {256, 1, 1}, (128 + 64) * 128};
  run_all(kTile, [] {
    multiply_shared<64, float>({ProductType::kBf16},
                               [](auto& d, auto a, auto b) { wgmma_m64k16_bf16<64>(d, a, b); });
  });
  run_all(kTile, [] {
    multiply_shared<64, float>({ProductType::kF16},
                               [](auto& d, auto a, auto b) { wgmma_m64k16_f16<64>(d, a, b); });
  });
  run_all(kTile, [] {
    multiply_shared<64, std::int32_t>(
        {ProductType::kU8S8}, [](auto& d, auto a, auto b) { wgmma_m64k32_u8s8<64>(d, a, b); });
  });
}

TEST(CudaWarpgroup, DetectsAnOperandOfAThreadThatDidNotFence) {
  constexpr Shape kShape{{1, 1, 1}, {128, 1, 1}, 2 * 64 * 128};
  const auto kernel = [](unsigned unfenced) {
    return [unfenced] {
      const auto s = dynamic_shared_1024<std::uint16_t>(0, 2 * 64 * 64);
      for (int i = static_cast<int>(thread_x()); i < 2 * 64 * 64; i += 128) s.store(i, 0);
      if (thread_x() != unfenced) fence_async();
      sync_threads();
      float d[8][4] = {};
      warpgroup_fence();
      wgmma_m64k16_bf16<64>(d, matrix_descriptor(s, 0), matrix_descriptor(s, 64 * 64));
      warpgroup_commit();
      warpgroup_wait(d);
    };
  };
  run_all(kShape, kernel(128));
  expect_detected(kShape, kernel(5), {"no fence_async since"});
  expect_detected(kShape,
                  [] {
                    const auto s = dynamic_shared_1024<std::uint16_t>(0, 2 * 64 * 64);
                    float d[8][4] = {};
                    warpgroup_fence();
                    wgmma_m64k16_bf16<64>(d, matrix_descriptor(s, 64), matrix_descriptor(s, 0));
                    warpgroup_commit();
                    warpgroup_wait(d);
                  },
                  {"rows not at 1024 bytes"});
}

/// A ring of two slots of 128 rows, fed by thread 0 and read by one warpgroup. `waits`: for slots
/// to be empty; `seen`: for them to be full.
void run_ring(const std::uint16_t* from, int stages, bool waits, bool seen, bool tells) {
  constexpr int kSlot = 16 * kDepth;
  const auto slots = dynamic_shared_1024<std::uint16_t>(0, 2 * kSlot);
  const auto barriers = dynamic_shared_1024<std::uint64_t>(4 * kSlot, 4);
  if (thread_x() == 0) {
    for (int i = 0; i < 4; ++i) barrier_init(barriers, i, i < 2 ? 1 : 4);
    fence_async();
  }
  sync_threads();
  float d[2][4] = {};
  const FragmentA a = {};
  for (int stage = 0; stage < stages; ++stage) {
    const int slot = stage % 2;
    const auto round = static_cast<unsigned>(stage / 2);
    if (thread_x() == 0) {
      if (waits) barrier_wait(barriers, 2 + slot, (round + 1) % 2);
      barrier_arrive_expecting(barriers, slot, kSlot * 2);
      copy_bulk(slots, slot * kSlot, from, kSlot * 2, barriers, slot);
    }
    if (seen) barrier_wait(barriers, slot, round % 2);
    warpgroup_fence();
    wgmma_m64k16_bf16<16>(d, a, matrix_descriptor(slots, slot * kSlot));
    warpgroup_commit();
    warpgroup_wait(d);
    if (tells && lane() == 0) barrier_arrive(barriers, 2 + slot);
  }
}

class CudaBarriers : public ::testing::Test {
 protected:
  static constexpr Shape kRing{{1, 1, 1}, {128, 1, 1}, 4 * 16 * kDepth + 32};
  alignas(16) std::uint16_t zeros[16 * kDepth] = {};
};

TEST_F(CudaBarriers, CarryARingAroundManyTimes) {
  run_all(kRing, [&] { run_ring(zeros, 9, true, true, true); });
}
TEST_F(CudaBarriers, DetectThatNobodyWaitsForACopy) {
  expect_detected(kRing, [&] { run_ring(zeros, 2, true, false, true); }, {"was not waited for"});
}
TEST_F(CudaBarriers, DetectThatACopyOverwritesWhatOthersRead) {
  expect_detected(kRing, [&] { run_ring(zeros, 3, false, true, true); },
                  {"shared-memory race: a bulk copy"});
}
TEST_F(CudaBarriers, DetectAPhaseThatNobodyEnds) {
  expect_detected(kRing, [&] { run_ring(zeros, 3, true, true, false); },
                  {"waits for the end of a barrier's phase"});
}

TEST_F(CudaBarriers, DetectWhatTheirInitialisationLacks) {
  const auto kernel = [&](bool fenced, bool synced) {
    return [&, fenced, synced] {
      const auto slots = dynamic_shared_1024<std::uint16_t>(0, 64);
      const auto barriers = dynamic_shared_1024<std::uint64_t>(128, 1);
      if (thread_x() == 32) {
        barrier_init(barriers, 0, 1);
        if (fenced) fence_async();
        barrier_arrive_expecting(barriers, 0, 128);
        copy_bulk(slots, 0, zeros, 128, barriers, 0);
      }
      if (synced) sync_threads();
      barrier_wait(barriers, 0, 0);
    };
  };
  run_all(kRing, kernel(true, true));
  expect_detected(kRing, kernel(false, true), {"no fence_async"});
  expect_detected(kRing, kernel(true, false), {"barrier that"});
}

TEST_F(CudaBarriers, DetectMoreArrivalsThanAPhaseHas) {
  // Of a phase that bytes keep open.
  expect_detected(kRing,
                  [&] {
                    const auto barriers = dynamic_shared_1024<std::uint64_t>(0, 1);
                    if (thread_x() != 0) return;
                    barrier_init(barriers, 0, 1);
                    barrier_arrive_expecting(barriers, 0, 16);
                    barrier_arrive(barriers, 0);
                  },
                  {"more arrivals"});
}

TEST_F(CudaBarriers, DetectOrdinaryAccessesToWhatIsCopied) {
  expect_detected(kRing,
                  [&] {
                    const auto slots = dynamic_shared_1024<std::uint16_t>(0, 64);
                    const auto barriers = dynamic_shared_1024<std::uint64_t>(128, 1);
                    if (thread_x() != 0) return;
                    barrier_init(barriers, 0, 1);
                    fence_async();
                    barrier_arrive_expecting(barriers, 0, 128);
                    copy_bulk(slots, 0, zeros, 128, barriers, 0);
                    slots.store(5, 1);
                  },
                  {"bulk copies go to"});
}

TEST_F(CudaBarriers, DetectACopyOfAnotherSizeThanAMultipleOf16) {
  expect_detected(kRing,
                  [&] {
                    const auto slots = dynamic_shared_1024<std::uint16_t>(0, 64);
                    const auto barriers = dynamic_shared_1024<std::uint64_t>(128, 1);
                    if (thread_x() != 0) return;
                    barrier_init(barriers, 0, 1);
                    barrier_arrive(barriers, 0);
                    fence_async();
                    copy_bulk(slots, 0, zeros, 24, barriers, 0);
                  },
                  {"multiple of 16"});
}

TEST(CudaWarpgroup, DetectsProductsThatLackSomething) {
  constexpr Shape kShape{{1, 1, 1}, {256, 1, 1}, 2048};
  const auto kernel = [](bool fenced, bool committed, bool waited, unsigned threads) {
    return [=] {
      const auto slots = dynamic_shared_1024<std::uint16_t>(0, 1024);
      for (int i = static_cast<int>(thread_x()); i < 1024; i += 256) slots.store(i, 0);
      fence_async();
      sync_threads();
      if (thread_x() >= threads) return;
      float d[2][4] = {};
      const FragmentA a = {};
      if (fenced) warpgroup_fence();
      wgmma_m64k16_f16<16>(d, a, matrix_descriptor(slots, 0));
      if (committed) warpgroup_commit();
      if (waited) warpgroup_wait(d);
    };
  };
  run_all(kShape, kernel(true, true, true, 128));
  expect_detected(kShape, kernel(false, true, true, 128), {"no warpgroup_fence"});
  expect_detected(kShape, kernel(true, false, true, 128), {"not committed"});
  expect_detected(kShape, kernel(true, true, false, 128), {"under way"});
  expect_detected(kShape, kernel(true, true, true, 160), {"not all of its 128 threads"});
}

TEST(CudaConversions, PairsBytesAndShortFunctions) {
  EXPECT_EQ(to_half_pair(1.0F, -2.0F), 0xC0003C00u);
  EXPECT_EQ(to_bfloat16_pair(1.0F, -2.0F), 0xC0003F80u);
  EXPECT_EQ(permute_bytes(0x33221100u, 0x77665544u, 0x7250u), 0x77225500u);
  EXPECT_EQ(fast_exp2(3.0F), 8.0F);
  EXPECT_EQ(fast_reciprocal(8.0F), 0.125F);
}

}  // namespace
}  // namespace prs::cuda::emulated
