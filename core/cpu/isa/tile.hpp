// The register tile that GEMM and convolution are made of: R rows by V vectors of sums.
//
//   for r, v:  sums[r][v] = the bias, or the partial sums in y
//   for k, r, v:  sums[r][v] += a[r, k] * b[k, v]
//   for r, v:  y[r, v] = activation(sums[r][v])     (the activation with the last block of k)
//
// What a, b and the sums are, and how the sums begin and end, is the arithmetic's: F32 here, those
// on words in words.hpp.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/part.hpp"
#include "cpu/isa/vec.hpp"
#include "ops/params.hpp"

namespace prs::cpu::PRS_ISA {

// As many sums as registers hold beside one row of B and one element of A: 24 of 32 registers with
// AVX-512, 12 of 16 with AVX2; without FMA one more register holds the product.
#if defined(__AVX512F__)
inline constexpr int kTileRows = 8;
inline constexpr int kTileVectors = 3;
#elif defined(__AVX__)
inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = 3;
#else
inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = 2;
#endif
inline constexpr int kTileColumns = kTileVectors * kLanes;
/// Vectors of a tile of one row: enough sums to hide the latency of their additions.
inline constexpr int kRowVectors = 8;
/// Panels of B that a single row passes at once, for the same reason; a register each of AVX2's 16.
inline constexpr int kRowPanels = 4;
inline constexpr int kMaxVectors =
    kRowVectors > kRowPanels* kTileVectors ? kRowVectors : kRowPanels* kTileVectors;

/// Of so many rows (or filters) those of a part, in whole tiles: none of it where first >= end.
inline PartRange tile_rows_of(std::int64_t rows, const Part& part) {
  const PartRange tiles = share_of((rows + kTileRows - 1) / kTileRows, part);
  return {tiles.first * kTileRows, smaller(tiles.end * kTileRows, rows)};
}

/// Where a tile's sums begin and what becomes of them.
struct TileEnds {
  const float* bias;  ///< At the tile's first element; null: begin with 0.
  std::int64_t bias_row_stride;
  std::int64_t bias_column_stride;  ///< 0 or 1
  float beta;
  Activation activation;
  bool first;  ///< Begin with beta * bias; otherwise with what y holds.
  bool last;   ///< Apply the activation.
};

/// Of a tile of a GEMM that begins at that element and is computed at once.
PRS_INLINE TileEnds gemm_ends(const GemmTask& task, const float* bias, std::int64_t row,
                              std::int64_t column) {
  if (bias != nullptr) bias += row * task.bias_row_stride + column * task.bias_column_stride;
  return {.bias = bias,
          .bias_row_stride = task.bias_row_stride,
          .bias_column_stride = task.bias_column_stride,
          .beta = task.beta,
          .activation = task.activation,
          .first = true,
          .last = true};
}

/// Vector v of row k of B begins at base + k * stride + v * kLanes.
struct DenseRows {
  const float* base;
  std::int64_t stride;
  PRS_INLINE Vec operator()(std::int64_t k, int v) const {
    return load(base + k * stride + v * kLanes);
  }
};

/// Vector v of row k of B begins at base[v] + shifts[k].
struct ShiftedRows {
  const float* base[kRowVectors];
  const std::int32_t* shifts;
  PRS_INLINE Vec operator()(std::int64_t k, int v) const { return load(base[v] + shifts[k]); }
};

/// B in panels of kWidth vectors: vector v of row k is vector v % kWidth of that row in panel
/// v / kWidth, and `panel` floats lie between two panels.
template <int kWidth>
struct PanelRows {
  const float* base;
  std::int64_t panel;
  PRS_INLINE Vec operator()(std::int64_t k, int v) const {
    return load(base + v / kWidth * panel + (k * kWidth + v % kWidth) * kLanes);
  }
};

/// The rows of B, and columns of A, that a tile meets: all of them, or those in a list.
struct EveryK {
  PRS_INLINE std::int64_t operator()(std::int64_t i) const { return i; }
};
struct ListedK {
  const std::int32_t* list;
  PRS_INLINE std::int64_t operator()(std::int64_t i) const { return list[i]; }
};

/// Where the vectors of y lie: vector v of row r at y + row_at[r] + at[v], `lanes[v]` of it.
struct TileTarget {
  float* y;
  std::int64_t row_at[kTileRows];
  std::int64_t at[kMaxVectors];
  std::int64_t lanes[kMaxVectors];
};

/// Rows `stride` elements apart.
template <typename Target>
void set_rows(Target& target, std::int64_t stride) {
  for (std::int64_t r = 0; r < kTileRows; ++r) target.row_at[r] = r * stride;
}

PRS_INLINE Vec load_part(const float* p, std::int64_t lanes) {
  return lanes == kLanes ? load(p) : load_lanes(p, lanes);
}

PRS_INLINE void store_part(float* p, Vec x, std::int64_t lanes) {
  if (lanes == kLanes) {
    store(p, x);
  } else {
    store_lanes(p, x, lanes);
  }
}

template <int R, int V>
PRS_INLINE void begin_tile(Vec (&sums)[R][V], const TileEnds& ends, const TileTarget& target) {
  if (!ends.first) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        sums[r][v] = load_part(target.y + target.row_at[r] + target.at[v], target.lanes[v]);
      }
    }
  } else if (ends.bias == nullptr) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = Vec{};
    }
  } else if (ends.bias_column_stride == 0) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      const Vec bias = broadcast(ends.beta * ends.bias[r * ends.bias_row_stride]);
      PRS_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = bias;
    }
  } else {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        const float* bias = ends.bias + r * ends.bias_row_stride + target.at[v];
        sums[r][v] = ends.beta * load_part(bias, target.lanes[v]);
      }
    }
  }
}

template <typename A, int R, int V, typename Rows, typename Ks>
PRS_INLINE void accumulate(typename A::Sum (&sums)[R][V], const typename A::Element* a,
                           std::int64_t a_stride, const Rows& rows, const Ks& ks,
                           std::int64_t depth) {
  for (std::int64_t i = 0; i < depth; ++i) {
    const std::int64_t k = ks(i);
    Vec b[V];
    PRS_UNROLL for (int v = 0; v < V; ++v) b[v] = rows(k, v);
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      const Vec x = A::spread(a[r * a_stride + k]);
      PRS_UNROLL for (int v = 0; v < V; ++v) A::add_product(sums[r][v], x, b[v]);
    }
  }
}

/// Stores one vector of sums through a transcendental function. Vectors may overlap others that are
/// stored already: nothing but this one's own sums may pass through the function.
[[gnu::noinline]] inline void store_activated(float* y, Vec sums, std::int64_t lanes,
                                              Activation::Kind kind) {
  for (std::int64_t i = 0; i < lanes; ++i) {
    if (kind == Activation::Kind::kTanh) {
      y[i] = __builtin_tanhf(sums[i]);
    } else {
      // exp of the negative magnitude cannot overflow.
      const float e = __builtin_expf(-__builtin_fabsf(sums[i]));
      y[i] = (sums[i] < 0.0F ? e : 1.0F) / (1.0F + e);
    }
  }
}

/// Relu, Clip and LeakyRelu; other kinds leave the sums as they are.
template <int R, int V>
PRS_INLINE void activate_tile(Vec (&sums)[R][V], Activation::Kind kind,
                              const Activation& activation) {
  // Comparisons that are false keep x: NaN stays NaN.
  if (kind == Activation::Kind::kRelu) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        sums[r][v] = Vec{} > sums[r][v] ? Vec{} : sums[r][v];
      }
    }
  } else if (kind == Activation::Kind::kClip) {
    const Vec low = broadcast(activation.alpha);
    const Vec high = broadcast(activation.beta);
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        const Vec raised = sums[r][v] < low ? low : sums[r][v];
        sums[r][v] = raised > high ? high : raised;
      }
    }
  } else if (kind == Activation::Kind::kLeakyRelu) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        sums[r][v] = sums[r][v] < 0.0F ? activation.alpha * sums[r][v] : sums[r][v];
      }
    }
  }
}

template <int R, int V>
PRS_INLINE void end_tile(Vec (&sums)[R][V], const TileEnds& ends, const TileTarget& target) {
  const Activation::Kind kind = ends.last ? ends.activation.kind : Activation::Kind::kNone;
  activate_tile(sums, kind, ends.activation);
  const bool transcendental = kind == Activation::Kind::kSigmoid || kind == Activation::Kind::kTanh;
  PRS_UNROLL for (int r = 0; r < R; ++r) {
    PRS_UNROLL for (int v = 0; v < V; ++v) {
      float* y = target.y + target.row_at[r] + target.at[v];
      if (transcendental) {
        store_activated(y, sums[r][v], target.lanes[v], kind);
      } else {
        store_part(y, sums[r][v], target.lanes[v]);
      }
    }
  }
}

/// Sums of f32, whatever is multiplied.
struct FloatSums {
  using Sum = Vec;
  using Ends = TileEnds;
  using Target = TileTarget;

  template <int R, int V>
  PRS_INLINE static void begin(Vec (&sums)[R][V], const Ends& ends, const Target& target) {
    begin_tile(sums, ends, target);
  }
  template <int R, int V>
  PRS_INLINE static void end(Vec (&sums)[R][V], const Ends& ends, const Target& target) {
    end_tile(sums, ends, target);
  }
};

/// Products of f32.
struct F32 : FloatSums {
  using Element = float;
  static constexpr bool kHasWideRow = true;

  PRS_INLINE static Vec spread(float a) { return broadcast(a); }
  PRS_INLINE static void add_product(Vec& sum, Vec a, Vec b) { sum += a * b; }
};

/// `depth`: how many of ks.
template <typename A, int R, int V, typename Rows, typename Ks>
void run_tile(const typename A::Element* a, std::int64_t a_stride, const Rows& rows, const Ks& ks,
              std::int64_t depth, const typename A::Ends& ends, const typename A::Target& target) {
  typename A::Sum sums[R][V];
  A::begin(sums, ends, target);
  accumulate<A>(sums, a, a_stride, rows, ks, depth);
  A::end(sums, ends, target);
}

template <typename A, typename Rows, typename Ks>
using TileFunction = void (*)(const typename A::Element* a, std::int64_t a_stride, const Rows& rows,
                              const Ks& ks, std::int64_t depth, const typename A::Ends& ends,
                              const typename A::Target& target);

/// The tile of `rows` rows (1..kTileRows) and `vectors` vectors (1..kTileVectors; of one row
/// 1..kRowVectors where the arithmetic has wide rows).
template <typename A, typename Rows, typename Ks = EveryK>
PRS_INLINE TileFunction<A, Rows, Ks> tile_function(std::int64_t rows, std::int64_t vectors) {
#define PRS_TILE(r, v) &run_tile<A, r, v, Rows, Ks>
  if constexpr (A::kHasWideRow) {
    static constexpr TileFunction<A, Rows, Ks> kSingle[kRowVectors] = {
        PRS_TILE(1, 1), PRS_TILE(1, 2), PRS_TILE(1, 3), PRS_TILE(1, 4),
        PRS_TILE(1, 5), PRS_TILE(1, 6), PRS_TILE(1, 7), PRS_TILE(1, 8)};
    if (rows == 1) return kSingle[vectors - 1];
  }
  // A level with fewer rows or vectors has its last tile repeated.
#define PRS_TILES(r)                                                                            \
  {                                                                                             \
    PRS_TILE((r < kTileRows ? r : kTileRows), 1), PRS_TILE((r < kTileRows ? r : kTileRows), 2), \
        PRS_TILE((r < kTileRows ? r : kTileRows), kTileVectors)                                 \
  }
  static constexpr TileFunction<A, Rows, Ks> kTiles[8][3] = {
      PRS_TILES(1), PRS_TILES(2), PRS_TILES(3), PRS_TILES(4),
      PRS_TILES(5), PRS_TILES(6), PRS_TILES(7), PRS_TILES(8)};
#undef PRS_TILES
#undef PRS_TILE
  return kTiles[rows - 1][vectors - 1];
}

}  // namespace prs::cpu::PRS_ISA
