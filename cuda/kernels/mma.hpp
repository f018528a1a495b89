// Products on tensor cores: what the Gemm and Conv kernels of tf32, bf16, fp16 and int8 share.
//
// A block of 8 warps computes a tile of kRows x kColumns; a warp 16 rows of it by mma.sync.m16n8.
// B comes packed (GemmMmaArgs) by cp.async, A element by element from where the kernel finds it;
// both are doubled in shared memory, so that a stage is multiplied while the next is on its way.
// Sums are f32, of bytes i32.
#pragma once

#include "kernels/common.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Elements as a kernel keeps them in shared memory, with what a fragment's loads have in common:
/// kDepth of a stage, kStep of one instruction, which is 32 bytes of a row.
template <typename Type, int kStageDepth, int kProductDepth>
struct MmaElement {
  using T = Type;
  using Value = float;  ///< What a source gives; of() makes T of it.
  using Sum = float;
  static constexpr int kDepth = kStageDepth;
  static constexpr int kStep = kProductDepth;
  static_assert(kStep * sizeof(T) == 32, "two rows of ldmatrix");

  PRS_DEVICE static void load_a(const Shared<T>& s, int at, int pitch, FragmentA& a) {
    const int l = static_cast<int>(lane());
    load_matrix_x4(a, s, at + l % 16 * pitch + l / 16 * (kStep / 2));
  }
  /// For 16 columns: two fragments.
  PRS_DEVICE static void load_b(const Shared<T>& s, int at, int pitch, FragmentB (&b)[2]) {
    const int l = static_cast<int>(lane());
    std::uint32_t r[4];
    load_matrix_x4(r, s, at + (l / 16 * 8 + l % 8) * pitch + l / 8 % 2 * (kStep / 2));
    b[0][0] = r[0];
    b[0][1] = r[1];
    b[1][0] = r[2];
    b[1][1] = r[3];
  }
};

/// 16-bit elements.
template <typename Type>
using Element16 = MmaElement<Type, 32, 16>;

struct ElementBf16 : Element16<BFloat16> {
  PRS_DEVICE static T of(float x) { return to_bfloat16(x); }
  PRS_DEVICE static std::uint32_t pair_of(float low, float high) {
    return to_bfloat16_pair(low, high);
  }
  PRS_DEVICE static void multiply(float (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k16_bf16(d, a, b);
  }
};

struct ElementF16 : Element16<Half> {
  PRS_DEVICE static T of(float x) { return to_half(x); }
  PRS_DEVICE static std::uint32_t pair_of(float low, float high) { return to_half_pair(low, high); }
  PRS_DEVICE static void multiply(float (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k16_f16(d, a, b);
  }
};

struct ElementTf32 : MmaElement<std::uint32_t, 16, 8> {
  PRS_DEVICE static T of(float x) { return to_tf32(x); }
  PRS_DEVICE static void multiply(float (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k8_tf32(d, a, b);
  }
};

/// Four bytes of k in a word: u8 of A, s8 of B.
struct ElementU8S8 : MmaElement<std::uint32_t, 16, 8> {
  using Value = std::uint32_t;
  using Sum = std::int32_t;

  PRS_DEVICE static T of(std::uint32_t bytes) { return bytes; }
  PRS_DEVICE static void multiply(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k32_u8s8(d, a, b);
  }
};

template <typename ElementType, int kTileRows, int kTileColumns>
struct MmaTile {
  using Element = ElementType;
  using T = typename Element::T;
  using Sum = typename Element::Sum;
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileColumns;
  static constexpr int kDepth = Element::kDepth;
  /// Rows start in other banks, and 16-byte aligned.
  static constexpr int kPitch = kDepth + 16 / static_cast<int>(sizeof(T));
  static constexpr int kWarpRows = kRows / 16;
  static constexpr int kWarpColumns = 8 / kWarpRows;
  static constexpr int kPairs = kColumns / kWarpColumns / 16;
  static constexpr int kTiles = kPairs * 2;  ///< Of 8 columns, of one warp.
  static constexpr int kLoads = kRows * kDepth / 256;
  using Sums = Sum[kTiles][4];
  static constexpr bool kShortFunctions = false;  ///< apply_short().
  static_assert(kWarpRows * 16 == kRows && kPairs * kWarpColumns * 16 == kColumns, "8 warps");
  static_assert(256 % kRows == 0, "a thread gathers of one row where it does not go along k");

  PRS_DEVICE static int rows() { return kRows; }

  /// Where element i of accumulator n of this thread lies in the tile.
  PRS_DEVICE static int row(int i) {
    const int warp = static_cast<int>(thread_x() / kWarpSize);
    return warp % kWarpRows * 16 + static_cast<int>(lane()) / 4 + i / 2 * 8;
  }
  PRS_DEVICE static int column(int n, int i) {
    const int warp = static_cast<int>(thread_x() / kWarpSize);
    return (warp / kWarpRows * kPairs * 2 + n) * 8 + static_cast<int>(lane()) % 4 * 2 + i % 2;
  }
};

/// Element number i of A's [kRows, kDepth] of a stage: neighbouring threads go along k, or along
/// the rows, as the source has it.
template <typename Tile, bool kAlongK>
PRS_DEVICE int slice_row(int i) {
  return kAlongK ? i / Tile::kDepth : i % Tile::kRows;
}
template <typename Tile, bool kAlongK>
PRS_DEVICE int slice_k(int i) {
  return kAlongK ? i % Tile::kDepth : i / Tile::kRows;
}

/// sums += A * B of one stage: the warp's rows of A begin at `a`, its columns of B at `b`.
template <typename Tile>
PRS_DEVICE void multiply_stage(const Shared<typename Tile::T>& s_a, int a,
                               const Shared<typename Tile::T>& s_b, int b,
                               typename Tile::Sums& sums) {
  for (int k = 0; k < Tile::kDepth; k += Tile::Element::kStep) {
    FragmentA r_a;
    Tile::Element::load_a(s_a, a + k, Tile::kPitch, r_a);
    PRS_UNROLL
    for (int pair = 0; pair < Tile::kPairs; ++pair) {
      FragmentB r_b[2];
      Tile::Element::load_b(s_b, b + pair * 16 * Tile::kPitch + k, Tile::kPitch, r_b);
      Tile::Element::multiply(sums[2 * pair], r_a, r_b[0]);
      Tile::Element::multiply(sums[2 * pair + 1], r_a, r_b[1]);
    }
  }
}

/// sums += A * B over all stages of one column tile; packed: [stages, kColumns, kDepth].
/// source.at(row, k): A's element, zero outside. All threads call it; it may be called again at
/// once.
template <typename Tile, typename Source>
PRS_DEVICE void mma_stages(const typename Tile::T* packed, std::int64_t stages,
                           const Source& source, typename Tile::Sums& sums) {
  using T = typename Tile::T;
  constexpr int kDepth = Tile::kDepth;
  constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
  PRS_SHARED(T, s_a, 2 * Tile::kRows * Tile::kPitch);     // [2, row, k]
  PRS_SHARED(T, s_b, 2 * Tile::kColumns * Tile::kPitch);  // [2, column, k]
  const int thread = static_cast<int>(thread_x());
  const int warp = thread / static_cast<int>(kWarpSize);
  typename Tile::Element::Value slice[Tile::kLoads];
  const auto fetch = [&](std::int64_t stage) {
    PRS_UNROLL
    for (int j = 0; j < Tile::kLoads; ++j) {
      const int i = thread + j * 256;
      slice[j] = source.at(slice_row<Tile, Source::kAlongK>(i),
                           stage * kDepth + slice_k<Tile, Source::kAlongK>(i));
    }
  };
  const auto copy = [&](std::int64_t stage) {
    const T* from = packed + stage * Tile::kColumns * kDepth;
    const int to = static_cast<int>(stage % 2) * Tile::kColumns * Tile::kPitch;
    for (int i = thread * kChunk; i < Tile::kColumns * kDepth; i += 256 * kChunk) {
      copy_async<16>(s_b, to + i / kDepth * Tile::kPitch + i % kDepth, from + i);
    }
    commit_copies();
  };
  copy(0);
  fetch(0);
  for (std::int64_t stage = 0; stage < stages; ++stage) {
    const int a0 = static_cast<int>(stage % 2) * Tile::kRows * Tile::kPitch;
    PRS_UNROLL
    for (int j = 0; j < Tile::kLoads; ++j) {
      const int i = thread + j * 256;
      s_a.store(a0 + slice_row<Tile, Source::kAlongK>(i) * Tile::kPitch +
                    slice_k<Tile, Source::kAlongK>(i),
                Tile::Element::of(slice[j]));
    }
    wait_copies<0>();
    // Also: everybody is done with the stage before, whose place the next copy takes.
    sync_threads();
    if (stage + 1 < stages) {
      copy(stage + 1);
      fetch(stage + 1);
    }
    const int a = a0 + warp % Tile::kWarpRows * 16 * Tile::kPitch;
    const int b = (static_cast<int>(stage % 2) * Tile::kColumns +
                   warp / Tile::kWarpRows * Tile::kPairs * 16) *
                  Tile::kPitch;
    multiply_stage<Tile>(s_a, a, s_b, b, sums);
  }
  sync_threads();
}

/// How a tile's products are made, for kernels of any instruction: add() is sums += A * B over a
/// column tile's stages.
template <typename TileType>
struct MmaProducts {
  using Tile = TileType;

  template <typename Source>
  PRS_DEVICE void add(const typename Tile::T* packed, std::int64_t stages, const Source& source,
                      typename Tile::Sums& sums) const {
    mma_stages<Tile>(packed, stages, source, sums);
  }
};

}  // namespace prs::cuda::PRS_CUDA_WORLD
