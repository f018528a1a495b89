// The f32 kernels that compute one image in each lane of a vector: one table of functions for each
// instruction-set level.
//
// A block of `lanes` images is laid out [channels, height, pitch, lanes], so that neither the edges
// of rows nor odd channel counts leave a lane idle, and no operator shuffles lanes. pitch = zero
// columns before a row + width + zero columns after it; above and below, taps are skipped instead.
//
// All functions are thread-safe, allocate nothing and keep no state. Outputs must not overlap
// inputs. Buffers of blocks are 64-byte aligned. Sums run in the order of the kernels for single
// images, so that the same bits come out: a result does not depend on how many images are computed.
#pragma once

#include <cstdint>

#include "cpu/isa/part.hpp"
#include "ops/params.hpp"

namespace prs::cpu {

/// One block's tensor. Plain numbers: sources of several levels include this.
struct LaneTensor {
  std::int64_t channels = 0;
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t pad = 0;    ///< Zero columns before each row.
  std::int64_t pitch = 1;  ///< pad + width + zero columns after each row
};

/// Convolution with its activation, and a max pool over `pool` x `pool` windows that neither
/// overlap nor leave gaps. Only those convolution outputs are computed that the pool reads.
struct LaneConvTask {
  LaneTensor in;
  LaneTensor out;             ///< After the pool; channels: the filters.
  std::int64_t taps[2] = {};  ///< Rows, columns.
  std::int64_t stride[2] = {};
  std::int64_t dilation[2] = {};
  std::int64_t pad[2] = {};  ///< Rows above, columns before; in.pad covers the latter.
  std::int64_t pool = 1;     ///< 1 (none) to LaneKernels::max_pool_extent; winograd: 1 or 2
  Activation activation;     ///< None, Relu, LeakyRelu or Clip.
};

struct LaneConvOperands {
  const float* x;
  const float* weights;        ///< As pack or pack_winograd made them.
  const float* bias;           ///< [filters, rounded up to whole tiles]
  const std::int32_t* shifts;  ///< [taps]; winograd: [channels]
  float* y;                    ///< Zero columns are left as they are.
  float* scratch;              ///< winograd only: winograd_scratch() floats
  Part part = {};              ///< Of the outputs, to be computed.
};

/// Convolution of single images with 3 x 3 taps, stride and dilation 1. Axes: height, width.
struct WinogradTask {
  std::int64_t images = 0;
  std::int64_t channels = 0;
  std::int64_t filters = 0;
  std::int64_t in[2] = {};
  std::int64_t out[2] = {};
  std::int64_t pad[2] = {};  ///< Rows above, columns before.
  bool x_is_u8 = false;
  Activation activation;  ///< None, Relu, LeakyRelu or Clip.
};

struct WinogradOperands {
  const void* x;             ///< [images, channels, in...]
  const float* weights;      ///< As pack_winograd made them.
  const float* bias;         ///< [filters]
  const std::int32_t* rows;  ///< [channels], c -> c * tile_positions * lanes
  float* y;                  ///< [images, filters, out...]
  float* scratch;            ///< tile_winograd_scratch() floats; 64-byte aligned
  Part part = {};            ///< Of the filters, to be computed; each takes scratch of its own.
};

struct LanePoolTask {
  LaneTensor in;
  LaneTensor out;
  std::int64_t kernel[2] = {};
  std::int64_t stride[2] = {};
  std::int64_t dilation[2] = {};
  std::int64_t pad[2] = {};  ///< Rows above, columns before.
};

struct LaneKernels {
  std::int64_t lanes;         ///< Images in a block.
  std::int64_t tile_filters;  ///< The register tile.
  std::int64_t tile_positions;
  std::int64_t max_pool_extent;  ///< The largest window that conv fuses.

  /// `count` images, 1 to lanes, `stride` elements apart, into a block. Lanes past them repeat the
  /// last image. Zero columns are left as they are.
  void (*load_u8)(const std::uint8_t* x, std::int64_t stride, std::int64_t count,
                  const LaneTensor& shape, float* y);
  void (*load_f32)(const float* x, std::int64_t stride, std::int64_t count, const LaneTensor& shape,
                   float* y);
  /// The way back: `count` images of `size` values each, one after the other. No zero columns.
  void (*store)(const float* x, std::int64_t size, std::int64_t count, float* y);
  void (*clear_pads)(const LaneTensor& shape, float* y);

  void (*conv)(const LaneConvTask& task, const LaneConvOperands& operands);
  /// 3 x 3 taps, stride and dilation 1: F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for
  /// Convolutional Neural Networks", 2015. Rows of in hold 4 * ceil(width / 4) + 2 columns from the
  /// window of the first output on, for the width before the pool. Numerics: |y - ref| <=
  /// 16 * u * 9 * channels * max |w| * max |x|, u = 2^-24; about ten times what conv gives.
  void (*winograd)(const LaneConvTask& task, const LaneConvOperands& operands);
  std::int64_t (*winograd_scratch)(const LaneConvTask& task);
  /// The same for single images, with a tile in each lane: the same bits come out.
  void (*tile_winograd)(const WinogradTask& task, const WinogradOperands& operands);
  std::int64_t (*tile_winograd_scratch)(const WinogradTask& task);

  void (*max_pool)(const LanePoolTask& task, const float* x, float* y);
  /// divisors: the taps that count, out.height + out.width values.
  void (*average_pool)(const LanePoolTask& task, const float* divisors, const float* x, float* y);
};

}  // namespace prs::cpu
