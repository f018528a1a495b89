// Products of 8-bit integers, and what stands between them: one table of functions for each
// instruction-set level. All levels give equal bits.
//
// A word is 32 bits and holds four 8-bit integers that follow each other along k (Gemm) or over
// channels (Conv), the first in its lowest bits. Activations are u8 there: an i8 has 128 added,
// which is a flip of its highest bit. Sums are exact in 32 bits.
//
// All functions are thread-safe, allocate nothing and keep no state. Outputs must not overlap
// inputs.
#pragma once

#include <cstdint>

#include "cpu/isa/gemm.hpp"

namespace prs::cpu {

/// From sums to outputs; see ops Requantization.
struct Int8Ends {
  const std::int32_t* start;  ///< [channels] what sums begin with: the zero point's share.
  const float* multiplier;    ///< [channels]
  const float* offset;        ///< [channels]
  float low = 0.0F;
  float high = 0.0F;
  std::int32_t zero_point = 0;
  bool to_bytes = false;       ///< Otherwise to f32.
  std::uint8_t x_flip = 0;     ///< Of each x: 0x80 for i8.
  std::uint8_t x_padding = 0;  ///< The zero point of x, flipped.
};

struct Int8GemmOperands {
  const std::uint8_t* x;   ///< [m, k]
  const std::uint32_t* b;  ///< Words, by pack_gemm_words().
  void* y;                 ///< [m, n] f32 or bytes
  std::uint32_t* scratch;  ///< gemm_scratch() words; 64-byte aligned
  Part part = {};          ///< As GemmOperands::part.
};

struct Int8ConvOperands {
  const std::uint8_t* x;         ///< [images, groups * unpacked_channels, in...]
  const std::uint32_t* weights;  ///< [groups * filters, k] words
  const std::int32_t* shifts;    ///< [k]
  void* y;                       ///< [images, groups * filters, out...] f32 or bytes
  std::uint32_t* scratch;        ///< conv_scratch() words; 64-byte aligned
  Part part = {};                ///< As ConvOperands::part.
};

/// QuantizeLinear of a run of numbers with one scale.
struct QuantizeRun {
  float scale = 1.0F;
  std::int32_t zero_point = 0;
  std::int32_t low = 0;  ///< Of the output's type.
  std::int32_t high = 255;
};

struct Int8Kernels {
  std::int64_t lanes;  ///< Words in a vector.
  std::int64_t tile_rows;
  std::int64_t tile_vectors;

  /// Of the task, m, n, k and skips_zeros count, the last for one row.
  void (*gemm)(const GemmTask& task, const Int8Ends& ends, const Int8GemmOperands& operands);
  std::int64_t (*gemm_scratch)(const GemmTask& task);
  /// The task counts in words: channels and k are those of words, and it is staged, not direct.
  void (*conv)(const ConvTask& task, const Int8Ends& ends, const Int8ConvOperands& operands);
  std::int64_t (*conv_scratch)(const ConvTask& task);

  void (*quantize)(const QuantizeRun& run, const float* x, std::int64_t count, std::uint8_t* y);
  /// The largest of the bytes of each window, 2 x 2 without padding, at stride 2, in planes of even
  /// width: x [planes, in[1], in[2]] -> y [planes, in[1] / 2, in[2] / 2]. flip as Int8Ends::x_flip.
  void (*max_pool_2x2)(const PoolTask& task, std::uint8_t flip, const std::uint8_t* x,
                       std::uint8_t* y);
};

}  // namespace prs::cpu
