// What both ways to run Winograd's F(4x4, 3x3) share: with an image in each lane, or with a tile in
// each lane. They differ in how they read inputs and write outputs only, so that their sums run in
// one order and their results have the same bits.
//
//   V[i, c, p] = (Bt d B)[i]                       for each channel c, vector p; i = 0..35
//   M[i, f, p] = sum over c of U[i, f, c] V[i, c, p]        36 small products, as register tiles
//   y = activation(At M A + bias)                  for each filter f, vector p
//
// U = G g Gt was computed from the weights beforehand. Tile-wise: 36 products for 16 outputs
// instead of 144.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include "cpu/isa/lane_tile.hpp"

namespace prs::cpu::PRS_ISA {

inline constexpr int kOutputs = 4;  ///< Of a tile, along each axis.
inline constexpr int kInputs = 6;
inline constexpr int kProducts = kInputs * kInputs;

/// Floats between two of the 36 matrices. Their size alone is often a multiple of a page, where
/// every store of a tile's 36 values would fall into the same few cache lines.
PRS_INLINE std::int64_t matrix_stride(std::int64_t rows) {
  return (rows * kTileVectors + 1) * kLanes;
}

/// Bt x. The other products are exact: it is all one whether they are fused.
PRS_INLINE void transform_input(const Vec (&x)[kInputs], Vec (&y)[kInputs]) {
  const Vec a = x[4] - 4.0F * x[2];
  const Vec b = x[3] - 4.0F * x[1];
  const Vec c = x[4] - x[2];
  const Vec d = 2.0F * (x[3] - x[1]);
  y[0] = multiply_add(-5.0F, x[2], x[4]) + 4.0F * x[0];
  y[1] = a + b;
  y[2] = a - b;
  y[3] = c + d;
  y[4] = c - d;
  y[5] = multiply_add(-5.0F, x[3], x[5]) + 4.0F * x[1];
}

/// At x
PRS_INLINE void transform_output(const Vec (&x)[kInputs], Vec (&y)[kOutputs]) {
  const Vec sum12 = x[1] + x[2];
  const Vec difference12 = x[1] - x[2];
  const Vec sum34 = x[3] + x[4];
  const Vec difference34 = x[3] - x[4];
  y[0] = x[0] + sum12 + sum34;
  y[1] = difference12 + 2.0F * difference34;
  y[2] = sum12 + 4.0F * sum34;
  y[3] = difference12 + 8.0F * difference34 + x[5];
}

/// Bt d along the second axis, of what Bt along the first one gave: row i of V.
PRS_INLINE void store_input_row(const Vec (&half)[kInputs], int i, std::int64_t stride, float* v) {
  Vec results[kInputs];
  transform_input(half, results);
  PRS_UNROLL for (int j = 0; j < kInputs; ++j) store(v + (i * kInputs + j) * stride, results[j]);
}

/// M[0..36) -> the outputs of a tile.
PRS_INLINE void transform_products(const float* m, std::int64_t stride, float bias,
                                   const Activation& activation,
                                   Vec (&outputs)[kOutputs][kOutputs]) {
  Vec half[kInputs][kOutputs];
  PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
    Vec values[kInputs];
    PRS_UNROLL for (int j = 0; j < kInputs; ++j) {
      values[j] = load(m + (i * kInputs + j) * stride);
    }
    transform_output(values, half[i]);
  }
  PRS_UNROLL for (int j = 0; j < kOutputs; ++j) {
    Vec values[kInputs];
    Vec results[kOutputs];
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) values[i] = half[i][j];
    transform_output(values, results);
    PRS_UNROLL for (int i = 0; i < kOutputs; ++i) outputs[i][j] = results[i] + broadcast(bias);
  }
  activate_tile(outputs, activation.kind, activation);
}

/// M from V for 1 to kTileVectors vectors and the filters of `wanted`, whose first is a multiple of
/// kTileRows. weights: U, [36, filters / kTileRows, channels, kTileRows]; rows: c -> c *
/// kTileVectors * kLanes.
void multiply_transformed(const float* weights, const std::int32_t* rows, std::int64_t channels,
                          std::int64_t filters, const PartRange& wanted, std::int64_t vectors,
                          const float* v, float* m);

}  // namespace prs::cpu::PRS_ISA
