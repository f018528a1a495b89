// ldmatrix and mma.sync against matrices spread over the lanes element by element, as the tables of
// the PTX ISA give them: written out here once more, not shared with the emulation.
#include <random>
#include <vector>

#include "unit/cuda/emulation_support.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr Shape kWarp{{1, 1, 1}, {32, 1, 1}};

/// "Matrix Fragments for mma.m16n8k16 with floating point type": element i of the 8 of A and the 4
/// of B in lane `lane`.
void place_k16(unsigned lane, int i, int& row, int& k) {
  const int group = static_cast<int>(lane >> 2);
  const int thread = static_cast<int>(lane % 4);
  row = (i < 2) || (i >= 4 && i < 6) ? group : group + 8;
  k = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
}

template <typename Mma, typename Pack>
void check_k16(const Mma& mma, const Pack& pack) {
  run_all(kWarp, [&] {
    // Small integers: exact in every format.
    const auto a = [](int m, int k) { return static_cast<float>((m * 7 + k * 3) % 11 - 5); };
    const auto b = [](int k, int n) { return static_cast<float>((k * 5 + n * 2) % 9 - 4); };
    std::uint32_t r_a[4] = {};
    std::uint32_t r_b[2] = {};
    for (int i = 0; i < 8; ++i) {
      int row = 0;
      int k = 0;
      place_k16(lane(), i, row, k);
      r_a[i / 2] |= pack(a(row, k)) << (16 * (i % 2));
    }
    for (int i = 0; i < 4; ++i) {
      const int k = static_cast<int>(lane() % 4) * 2 + (i & 1) + (i < 2 ? 0 : 8);
      r_b[i / 2] |= pack(b(k, static_cast<int>(lane() >> 2))) << (16 * (i % 2));
    }
    float d[4] = {100, 200, 300, 400};
    mma(d, r_a, r_b);
    for (int i = 0; i < 4; ++i) {
      const int row = static_cast<int>(lane() >> 2) + (i < 2 ? 0 : 8);
      const int column = static_cast<int>(lane() % 4) * 2 + (i & 1);
      float want = static_cast<float>(100 * (i + 1));
      for (int k = 0; k < 16; ++k) want += a(row, k) * b(k, column);
      EXPECT_EQ(d[i], want) << "lane " << lane() << " element " << i;
    }
  });
}

TEST(CudaMma, MultipliesHalvesAndBFloats) {
  check_k16([](auto& d, auto& a, auto& b) { mma_m16n8k16_f16(d, a, b); },
            [](float x) { return std::uint32_t{to_half(x).bits}; });
  check_k16([](auto& d, auto& a, auto& b) { mma_m16n8k16_bf16(d, a, b); },
            [](float x) { return std::uint32_t{to_bfloat16(x).bits}; });
}

TEST(CudaMma, MultipliesTf32) {
  run_all(kWarp, [] {
    const auto a = [](int m, int k) { return static_cast<float>(m * 8 + k); };
    const auto b = [](int k, int n) { return static_cast<float>(k - 2 * n); };
    const int group = static_cast<int>(lane() >> 2);
    const int thread = static_cast<int>(lane() % 4);
    const std::uint32_t r_a[4] = {to_tf32(a(group, thread)), to_tf32(a(group + 8, thread)),
                                  to_tf32(a(group, thread + 4)), to_tf32(a(group + 8, thread + 4))};
    const std::uint32_t r_b[2] = {to_tf32(b(thread, group)), to_tf32(b(thread + 4, group))};
    float d[4] = {};
    mma_m16n8k8_tf32(d, r_a, r_b);
    for (int i = 0; i < 4; ++i) {
      float want = 0;
      for (int k = 0; k < 8; ++k) want += a(group + i / 2 * 8, k) * b(k, thread * 2 + i % 2);
      EXPECT_EQ(d[i], want);
    }
  });
}

template <typename A, typename B, typename Mma>
void check_k32(const Mma& mma) {
  run_all(kWarp, [&] {
    const auto a = [](int m, int k) { return static_cast<A>(m * 37 + k * 11 + 90); };
    const auto b = [](int k, int n) { return static_cast<B>(k * 29 + n * 53 + 120); };
    const int group = static_cast<int>(lane() >> 2);
    const int thread = static_cast<int>(lane() % 4);
    std::uint32_t r_a[4] = {};
    std::uint32_t r_b[2] = {};
    for (int i = 0; i < 16; ++i) {
      const int row = (i < 4) || (i >= 8 && i < 12) ? group : group + 8;
      const int k = thread * 4 + (i & 3) + (i < 8 ? 0 : 16);
      r_a[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(a(row, k))} << (8 * (i % 4));
    }
    for (int i = 0; i < 8; ++i) {
      const int k = thread * 4 + (i & 3) + (i < 4 ? 0 : 16);
      r_b[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(b(k, group))} << (8 * (i % 4));
    }
    std::int32_t d[4] = {-1, -2, -3, -4};
    mma(d, r_a, r_b);
    for (int i = 0; i < 4; ++i) {
      std::int32_t want = -1 - i;
      for (int k = 0; k < 32; ++k) {
        want += std::int32_t{a(group + i / 2 * 8, k)} * std::int32_t{b(k, thread * 2 + i % 2)};
      }
      EXPECT_EQ(d[i], want);
    }
  });
}

TEST(CudaMma, MultipliesBytesOfBothSigns) {
  using I8 = std::int8_t;
  using U8 = std::uint8_t;
  check_k32<I8, I8>([](auto& d, auto& a, auto& b) { mma_m16n8k32_s8s8(d, a, b); });
  check_k32<U8, I8>([](auto& d, auto& a, auto& b) { mma_m16n8k32_u8s8(d, a, b); });
  check_k32<U8, U8>([](auto& d, auto& a, auto& b) { mma_m16n8k32_u8u8(d, a, b); });
}

/// The rows of four 8x8 matrices one after the other, in padded rows.
TEST(CudaMma, LoadsMatricesIntoFragments) {
  constexpr int kPitch = 16;
  run_all(kWarp, [] {
    PRS_SHARED(std::uint16_t, rows, 32 * kPitch);
    const int own = static_cast<int>(lane());
    for (int i = 0; i < 8; ++i) {
      rows.store(own * kPitch + i, static_cast<std::uint16_t>(100 * own + i));
    }
    sync_warp();
    std::uint32_t straight[4];
    std::uint32_t turned[4];
    load_matrix_x4(straight, rows, own * kPitch);
    load_matrix_x4_transposed(turned, rows, own * kPitch);
    for (int m = 0; m < 4; ++m) {
      const int row = 8 * m + own / 4;
      const int column = own % 4 * 2;
      EXPECT_EQ(straight[m] & 0xFFFFu, static_cast<unsigned>(100 * row + column));
      EXPECT_EQ(straight[m] >> 16, static_cast<unsigned>(100 * row + column + 1));
      EXPECT_EQ(turned[m] & 0xFFFFu, static_cast<unsigned>(100 * (8 * m + column) + own / 4));
      EXPECT_EQ(turned[m] >> 16, static_cast<unsigned>(100 * (8 * m + column + 1) + own / 4));
    }
  });
}

/// Elements of 32 bits, four a row: tf32, or bytes side by side. A register holds one.
TEST(CudaMma, LoadsRowsOfWordsIntoFragments) {
  constexpr int kPitch = 20;
  run_all(kWarp, [] {
    PRS_SHARED(std::uint32_t, rows, 32 * kPitch);
    const int own = static_cast<int>(lane());
    for (int i = 0; i < 4; ++i) {
      rows.store(own * kPitch + i, 0xAB000000u + static_cast<std::uint32_t>(100 * own + i));
    }
    sync_warp();
    std::uint32_t words[4];
    load_matrix_x4(words, rows, own * kPitch);
    for (int m = 0; m < 4; ++m) {
      EXPECT_EQ(words[m],
                0xAB000000u + static_cast<std::uint32_t>(100 * (8 * m + own / 4) + own % 4));
    }
  });
}

}  // namespace
}  // namespace prs::cuda::emulated
