// Barriers, bulk copies and products of a warpgroup against what the PTX ISA says of them, written
// out here once more; and what it leaves undefined, which is detected under every schedule.
#include <cstring>
#include <vector>

#include "device/hopper.hpp"
#include "unit/cuda/emulation_support.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr int kDepth = 64;  ///< Of a tile of B of 16-bit numbers, a row of 128 bytes.

/// Small integers: exact in every format.
float element_a(int m, int k) { return static_cast<float>((m * 7 + k * 3) % 11 - 5); }
float element_b(int k, int n) { return static_cast<float>((k * 5 + n * 2) % 9 - 4); }

/// Where element k of a row of an operand in shared memory lies: rows of 128 bytes, "128-Byte
/// swizzling".
int operand_byte(int row, int k, int bytes) {
  const int byte = row * 128 + k * bytes;
  return byte ^ (byte & 0x380) >> 3;
}

/// What the products are of: a register of A holds 4 / sizeof(B) numbers.
struct OfF16 {
  using B = std::uint16_t;
  using Sum = float;
  static std::uint32_t a(int m, int k) { return to_half(element_a(m, k)).bits; }
  static B b(int k, int n) { return to_half(element_b(k, n)).bits; }
  static float product(int m, int k, int n) { return element_a(m, k) * element_b(k, n); }
  template <int kColumns>
  static void multiply(float (&d)[kColumns / 8][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_f16<kColumns>(d, a, b);
  }
  template <int kColumns>
  static void multiply(float (&d)[kColumns / 8][4], std::uint64_t a, std::uint64_t b) {
    wgmma_m64k16_f16<kColumns>(d, a, b);
  }
};
struct OfBf16 : OfF16 {
  static std::uint32_t a(int m, int k) { return to_bfloat16(element_a(m, k)).bits; }
  static B b(int k, int n) { return to_bfloat16(element_b(k, n)).bits; }
  template <int kColumns>
  static void multiply(float (&d)[kColumns / 8][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_bf16<kColumns>(d, a, b);
  }
  template <int kColumns>
  static void multiply(float (&d)[kColumns / 8][4], std::uint64_t a, std::uint64_t b) {
    wgmma_m64k16_bf16<kColumns>(d, a, b);
  }
};
/// With A in shared memory alone.
struct OfTf32 {
  using B = std::uint32_t;
  using Sum = float;
  static std::uint32_t a(int m, int k) { return to_tf32(element_a(m, k)); }
  static B b(int k, int n) { return to_tf32(element_b(k, n)); }
  static float product(int m, int k, int n) { return element_a(m, k) * element_b(k, n); }
  template <int kColumns>
  static void multiply(float (&d)[kColumns / 8][4], std::uint64_t a, std::uint64_t b) {
    wgmma_m64k8_tf32<kColumns>(d, a, b);
  }
};
/// All bytes, among them those that would be others with the other sign.
struct OfU8S8 {
  using B = std::int8_t;
  using Sum = std::int32_t;
  static std::uint32_t a(int m, int k) { return static_cast<std::uint32_t>(m * 37 + k * 11) % 256; }
  static B b(int k, int n) { return static_cast<B>((k * 29 + n * 53) % 256 - 128); }
  static std::int32_t product(int m, int k, int n) {
    return static_cast<std::int32_t>(a(m, k)) * b(k, n);
  }
  template <int kColumns>
  static void multiply(std::int32_t (&d)[kColumns / 8][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k32_u8s8<kColumns>(d, a, b);
  }
  template <int kColumns>
  static void multiply(std::int32_t (&d)[kColumns / 8][4], std::uint64_t a, std::uint64_t b) {
    wgmma_m64k32_u8s8<kColumns>(d, a, b);
  }
};

/// 16 bytes, where a copy may begin.
struct alignas(16) Chunk {
  std::uint8_t bytes[16];
};

/// B's tile as copies bring it, [columns] rows of 128 bytes with their chunks where "128-Byte
/// swizzling" has them.
template <typename Of>
std::vector<Chunk> tile_of_b(int columns) {
  constexpr int kBytes = static_cast<int>(sizeof(typename Of::B));
  std::vector<Chunk> tile(static_cast<std::size_t>(columns * 8));
  for (int n = 0; n < columns; ++n) {
    for (int k = 0; k < 128 / kBytes; ++k) {
      const int byte = operand_byte(n, k, kBytes);
      const auto element = Of::b(k, n);
      std::memcpy(tile[static_cast<std::size_t>(byte / 16)].bytes + byte % 16, &element,
                  sizeof(element));
    }
  }
  return tile;
}

template <int kColumns>
constexpr Shape kWarpgroups{{2, 1, 1}, {256, 1, 1}, kColumns * 128 + 16};

template <typename Of, int kColumns>
void multiply_tile(const Chunk* from) {
  constexpr int kInRegister = 4 / static_cast<int>(sizeof(typename Of::B));
  const auto slots = dynamic_shared_1024<std::uint16_t>(0, kColumns * kDepth);
  const auto barriers = dynamic_shared_1024<std::uint64_t>(kColumns * 128, 1);
  if (thread_x() == 0) {
    barrier_init(barriers, 0, 1);
    fence_async();
    barrier_arrive_expecting(barriers, 0, kColumns * 128);
    copy_bulk(slots, 0, reinterpret_cast<const std::uint16_t*>(from), kColumns * 128, barriers, 0);
  }
  sync_threads();
  barrier_wait(barriers, 0, 0);
  using Sum = typename Of::Sum;
  Sum d[kColumns / 8][4];
  for (auto& tile : d) {
    for (int i = 0; i < 4; ++i) tile[i] = static_cast<Sum>(100 * i);
  }
  const auto row = [](int i) {
    return static_cast<int>(thread_x() / 32 * 16 + lane() / 4) + i % 2 * 8;
  };
  std::uint32_t a[4][4] = {};
  warpgroup_fence();
  for (int step = 0; step < 4; ++step) {
    for (int i = 0; i < 4 * kInRegister; ++i) {
      const int r = i / kInRegister;
      const int at = i % kInRegister;
      const int k = (step * 8 + r / 2 * 4 + static_cast<int>(lane() % 4)) * kInRegister + at;
      a[step][r] |= Of::a(row(r), k) << (32 / kInRegister * at);
    }
    Of::template multiply<kColumns>(d, a[step], matrix_descriptor(slots, step * 16));
  }
  warpgroup_commit();
  EXPECT_EQ(d[0][1], 100);  // Under way.
  warpgroup_wait(d);
  for (int tile = 0; tile < kColumns / 8; ++tile) {
    for (int i = 0; i < 4; ++i) {
      const int n = tile * 8 + static_cast<int>(lane() % 4) * 2 + i % 2;
      auto want = static_cast<Sum>(100 * i);
      for (int k = 0; k < 32 * kInRegister; ++k) want += Of::product(row(i / 2), k, n);
      EXPECT_EQ(d[tile][i], want) << "thread " << thread_x() << " tile " << tile << " element "
                                  << i;
    }
  }
}

template <typename Of, int kColumns>
void multiply_tiles() {
  const std::vector<Chunk> tile = tile_of_b<Of>(kColumns);
  run_all(kWarpgroups<kColumns>, [&] { multiply_tile<Of, kColumns>(tile.data()); });
}

TEST(CudaWarpgroup, MultipliesTilesThatABulkCopyBrings) {
  multiply_tiles<OfF16, 64>();
  multiply_tiles<OfBf16, 16>();
  multiply_tiles<OfU8S8, 64>();
  multiply_tiles<OfU8S8, 16>();
}

/// Both operands in shared memory, as threads write them: A [128, 128 bytes], then B.
template <typename Of, int kColumns>
void multiply_shared() {
  using B = typename Of::B;
  constexpr int kBytes = static_cast<int>(sizeof(B));
  constexpr int kRow = 128 / kBytes;
  const auto s = dynamic_shared_1024<B>(0, (128 + kColumns) * kRow);
  for (int row = static_cast<int>(thread_x()); row < 128 + kColumns; row += 256) {
    for (int k = 0; k < kRow; ++k) {
      s.store(operand_byte(row, k, kBytes) / kBytes,
              row < 128 ? static_cast<B>(Of::a(row, k)) : Of::b(k, row - 128));
    }
  }
  fence_async();
  sync_threads();
  const int first_row = static_cast<int>(thread_x()) / 128 * 64;
  typename Of::Sum d[kColumns / 8][4] = {};
  warpgroup_fence();
  for (int step = 0; step < 4; ++step) {
    const int k = step * 32 / kBytes;
    Of::template multiply<kColumns>(d, matrix_descriptor(s, first_row * kRow + k),
                                    matrix_descriptor(s, 128 * kRow + k));
  }
  warpgroup_commit();
  warpgroup_wait(d);
  for (int tile = 0; tile < kColumns / 8; ++tile) {
    for (int i = 0; i < 4; ++i) {
      const int m = static_cast<int>(thread_x() / 32 * 16 + lane() / 4) + i / 2 * 8;
      const int n = tile * 8 + static_cast<int>(lane() % 4) * 2 + i % 2;
      typename Of::Sum want = 0;
      for (int k = 0; k < kRow; ++k) want += Of::product(m, k, n);
      EXPECT_EQ(d[tile][i], want) << "row " << m << " column " << n;
    }
  }
}

TEST(CudaWarpgroup, MultipliesRowsAndColumnsThatThreadsWrote) {
  constexpr Shape kTile{{1, 1, 1}, {256, 1, 1}, (128 + 128) * 128};
  run_all(kTile, [] { multiply_shared<OfBf16, 64>(); });
  run_all(kTile, [] { multiply_shared<OfF16, 128>(); });
  run_all(kTile, [] { multiply_shared<OfTf32, 64>(); });
  run_all(kTile, [] { multiply_shared<OfU8S8, 64>(); });
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
  const float nan = bits_float(0x7FC00000u);
  for (const float number : {-1.0F, 2.0F}) {
    EXPECT_EQ(maximum_number(nan, number), number);
    EXPECT_EQ(maximum_number(number, nan), number);
    EXPECT_EQ(minimum_number(nan, number), number);
    EXPECT_EQ(minimum_number(number, nan), number);
  }
  EXPECT_EQ(maximum_number(-1.0F, 2.0F), 2.0F);
  EXPECT_EQ(minimum_number(-1.0F, 2.0F), -1.0F);
  EXPECT_EQ(float_bits(maximum_number(-0.0F, 0.0F)), 0u);
  EXPECT_EQ(float_bits(maximum_number(0.0F, -0.0F)), 0u);
  EXPECT_EQ(float_bits(minimum_number(0.0F, -0.0F)), 0x80000000u);
  EXPECT_EQ(float_bits(minimum_number(-0.0F, 0.0F)), 0x80000000u);
  EXPECT_EQ(fast_reciprocal(8.0F), 0.125F);
}

}  // namespace
}  // namespace prs::cuda::emulated
