// The f32 loops of Gemm, MatMul, Conv and the pools: one table of functions for each
// instruction-set level.
//
// All functions are thread-safe, allocate nothing and keep no state. Outputs must not overlap
// inputs. Sums run in one fixed order, k = 0, 1, 2, ..., so a result does not depend on how many
// rows, columns or images are computed with it.
#pragma once

#include <cstdint>

#include "cpu/isa/part.hpp"
#include "ops/params.hpp"

namespace prs::cpu {

/// y = activation(alpha * A B + beta * bias).
struct GemmTask {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t a_row_stride = 0;  ///< All strides in elements.
  std::int64_t a_column_stride = 1;
  std::int64_t b_row_stride = 0;
  std::int64_t b_column_stride = 1;
  std::int64_t bias_row_stride = 0;     ///< 0 repeats one row.
  std::int64_t bias_column_stride = 0;  ///< 0 or 1.
  float alpha = 1.0F;
  float beta = 1.0F;
  bool a_is_u8 = false;
  bool b_is_packed = false;  ///< By pack(), which has applied alpha already.
  /// Rows of B that meet only zeros may be left out: B is packed and finite, sums begin with +0 or
  /// with normal numbers, the same in each row.
  bool skips_zeros = false;
  Activation activation;
};

struct GemmOperands {
  const void* a;      ///< [m, k] f32 or u8
  const float* b;     ///< [k, n]
  const float* bias;  ///< [m, n] as strided; may be null
  float* y;           ///< [m, n]
  float* scratch;     ///< gemm_scratch() floats; 64-byte aligned
  Part part = {};     ///< Of the columns, to be computed; each takes scratch of its own.
};

/// A convolution of `groups` independent groups. Axes: depth, height, width.
///
/// Where `staged`, each group's input is first copied to [channels, staged_extent[0],
/// staged_extent[1], stride[2], pitch]: padded with zeros, as f32, and each row dealt out into
/// stride[2] phases, so that the inputs that one tap needs for neighbouring outputs are neighbours.
/// Otherwise x itself has that form, with one phase. Tap k of the output at plane d, row h, column
/// w then reads element shifts[k] + (d * stride[0] * staged_extent[1] + h * stride[1]) * row + w,
/// row = stride[2] * pitch, of its group's input.
struct ConvTask {
  std::int64_t images = 0;
  std::int64_t groups = 0;
  std::int64_t channels = 0;           ///< Of x, per group; of words (words.hpp): of x, packed.
  std::int64_t unpacked_channels = 0;  ///< Of words: those of x; the last word may lack some.
  std::int64_t filters = 0;            ///< Channels of y, per group.
  std::int64_t k = 0;                  ///< channels * taps
  std::int64_t in[3] = {};
  std::int64_t out[3] = {};
  std::int64_t stride[3] = {};
  std::int64_t pad_begin[3] = {};
  std::int64_t extent[3] = {};  ///< Of a window: (kernel - 1) * dilation + 1.
  std::int64_t staged_extent[3] = {};
  std::int64_t pitch = 0;
  bool staged = false;
  bool x_is_u8 = false;
  /// Read the input in place, vectors along output rows; otherwise gather column panels (im2col).
  bool direct = false;
  Activation activation;
};

struct ConvOperands {
  const void* x;               ///< [images, groups * channels, in...]
  const float* weights;        ///< [groups * filters, k]
  const float* bias;           ///< [groups * filters]; may be null
  const std::int32_t* shifts;  ///< [k]
  float* y;                    ///< [images, groups * filters, out...]
  float* scratch;              ///< conv_scratch() floats; 64-byte aligned
  Part part = {};              ///< Of the filters, to be computed; each takes scratch of its own.
};

/// Pooling of `planes` planes. Axes: depth, height, width.
struct PoolTask {
  std::int64_t planes = 0;
  std::int64_t in[3] = {};
  std::int64_t out[3] = {};
  std::int64_t kernel[3] = {};
  std::int64_t stride[3] = {};
  std::int64_t dilation[3] = {};
  std::int64_t pad_begin[3] = {};
};

struct PoolOperands {
  const float* x;         ///< [planes, in...]
  const float* divisors;  ///< Average only: the taps that count, out[0] + out[1] + out[2] values.
  float* y;               ///< [planes, out...]
  float* scratch;         ///< pool_scratch() floats; 64-byte aligned
};

struct GemmKernels {
  std::int64_t lanes;      ///< f32 in a vector.
  std::int64_t tile_rows;  ///< The register tile.
  std::int64_t tile_columns;
  std::int64_t row_columns;  ///< Of the tile of a single row.

  void (*gemm)(const GemmTask& task, const GemmOperands& operands);
  std::int64_t (*gemm_scratch)(const GemmTask& task);
  /// B in the kernel's own order, multiplied by alpha: packed_size() floats.
  void (*pack)(const GemmTask& task, const float* b, float* packed);
  std::int64_t (*packed_size)(std::int64_t n, std::int64_t k);

  void (*conv)(const ConvTask& task, const ConvOperands& operands);
  std::int64_t (*conv_scratch)(const ConvTask& task);

  void (*max_pool)(const PoolTask& task, const PoolOperands& operands);
  void (*average_pool)(const PoolTask& task, const PoolOperands& operands);
  std::int64_t (*pool_scratch)(const PoolTask& task);

  /// y[p] = the largest value, or the mean, of x[p, 0..size).
  void (*max_planes)(const float* x, float* y, std::int64_t planes, std::int64_t size);
  void (*average_planes)(const float* x, float* y, std::int64_t planes, std::int64_t size);
};

}  // namespace prs::cpu
