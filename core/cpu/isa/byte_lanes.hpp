// The 8-bit integer kernels that compute one image in each lane of a vector: one table of functions
// for each instruction-set level. All levels give equal bits, those of the kernels for single
// images (int8.hpp).
//
// A block of `lanes` images is made of words (int8.hpp): [groups, rows, pitch, lanes], each lane of
// a vector with a word of its image. What a word holds:
//   channels:  4 channels of one position; groups = channels / 4, rounded up. Bytes of channels
//              that do not exist are undefined and meet weights of 0.
//   pixels:    4 neighbouring positions of the only channel, from the word's own column on. A
//              filter's row of 5 takes 2 words so, instead of 5 that are three quarters empty.
// Activations are u8; an i8 has 128 added. Padding lies in the block, as bytes of the zero point.
//
// All functions are thread-safe, allocate nothing and keep no state. Outputs must not overlap
// inputs. Buffers of blocks are 64-byte aligned.
#pragma once

#include <cstdint>

#include "cpu/isa/part.hpp"

namespace prs::cpu {

/// One block's tensor. Plain numbers: sources of several levels include this.
struct ByteTensor {
  std::int64_t channels = 0;
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t pad[2] = {};  ///< Padding above, and before each row.
  std::int64_t rows = 1;     ///< Padding above + height + padding below.
  std::int64_t pitch = 1;    ///< Likewise for a row; pixels: of the words, wherever windows begin.
  bool pixels = false;
  std::uint8_t padding = 0;  ///< The zero point.
};

/// Of the channels. Static, not inline: each level has functions of its own.
static constexpr std::int64_t word_groups(const ByteTensor& tensor) {
  return (tensor.channels + 3) / 4;
}

/// How images lie in memory: [channels, height, width] bytes each, `stride` bytes apart.
struct ByteImages {
  std::int64_t stride = 0;
  std::int64_t count = 0;  ///< 1 to lanes.
  std::uint8_t flip = 0;   ///< Of each byte: 0x80 for i8.
};

/// Convolution, requantisation, and a max pool over `pool` x `pool` windows that neither overlap
/// nor leave gaps. Only those outputs are computed that the pool reads. The window of the first
/// output begins with the first row and column of `in`, padding included.
struct ByteConvTask {
  ByteTensor in;
  ByteTensor out;         ///< After the pool; channels: the filters. Not pixels.
  std::int64_t taps = 0;  ///< Words under a window, in one group.
  std::int64_t stride[2] = {};
  std::int64_t pool = 1;  ///< 1 (none) to ByteLaneKernels::max_pool_extent
  bool to_bytes = true;   ///< Otherwise to f32 [filters, height, width, lanes].
  float low = 0.0F;
  float high = 0.0F;
  std::int32_t zero_point = 0;  ///< Of bytes, 128 added for i8.
};

/// The channels' tables are those of Int8Ends, rounded up to whole register tiles with zeros.
struct ByteConvOperands {
  const std::uint32_t* x;
  const std::uint32_t* weights;  ///< [filters / tile, groups, taps, tile] words of s8
  const std::int32_t* shifts;    ///< [taps] where in x, in words of a block
  const std::int32_t* start;
  const float* multiplier;  ///< Not negative when there is a pool: it takes the largest sums.
  const float* offset;
  void* y;         ///< Padding is left as it is.
  Part part = {};  ///< Of the outputs, to be computed.
};

struct BytePoolTask {
  ByteTensor in;  ///< Without padding; not pixels.
  ByteTensor out;
  std::int64_t kernel[2] = {};
  std::int64_t stride[2] = {};
  std::int64_t dilation[2] = {};
  std::int64_t pad[2] = {};  ///< Rows above, columns before.
};

struct ByteLaneKernels {
  std::int64_t lanes;         ///< Images in a block.
  std::int64_t tile_filters;  ///< The register tile.
  std::int64_t tile_positions;
  std::int64_t max_pool_extent;  ///< The largest window that conv fuses.

  /// Images into a block, its padding too. Lanes past them repeat the last one. scratch: a byte for
  /// each lane and element, the elements rounded up to a multiple of 16.
  void (*load)(const std::uint8_t* x, const ByteImages& images, const ByteTensor& shape,
               std::uint8_t* scratch, std::uint32_t* y);
  /// The way back, for a block of channels without padding.
  void (*store)(const std::uint32_t* x, const ByteTensor& shape, const ByteImages& images,
                std::uint8_t* y);
  void (*fill_padding)(const ByteTensor& shape, std::uint32_t* y);

  void (*conv)(const ByteConvTask& task, const ByteConvOperands& operands);
  void (*max_pool)(const BytePoolTask& task, const std::uint32_t* x, std::uint32_t* y);
};

}  // namespace prs::cpu
