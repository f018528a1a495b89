// Products of bf16: one table of functions for each instruction-set level.
//
// A word is 32 bits and holds two bf16 that follow each other along k (Gemm) or over channels
// (Conv), the first in its low half; where there is no second one, it is 0. Sums are f32. Values
// are rounded to bf16 to nearest even; a level with instructions for it takes denormals as 0.
//
// All functions are thread-safe, allocate nothing and keep no state. Outputs must not overlap
// inputs. Results do not depend on how many rows, columns or images are computed together.
#pragma once

#include <cstdint>

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/lanes.hpp"

namespace prs::cpu {

struct Bf16GemmOperands {
  const void* a;           ///< [m, k] f32 or u8
  const std::uint32_t* b;  ///< Words, by pack_gemm_words(); multiplied by alpha.
  const float* bias;       ///< [m, n] as strided; may be null
  float* y;                ///< [m, n]
  std::uint32_t* scratch;  ///< gemm_scratch() words; 64-byte aligned
  Part part = {};          ///< As GemmOperands::part.
};

struct Bf16ConvOperands {
  const void* x;                 ///< [images, groups * unpacked_channels, in...] f32 or u8
  const std::uint32_t* weights;  ///< [groups * filters, k] words
  const float* bias;             ///< [groups * filters]; may be null
  const std::int32_t* shifts;    ///< [k]
  float* y;                      ///< [images, groups * filters, out...]
  std::uint32_t* scratch;        ///< conv_scratch() words; 64-byte aligned
  Part part = {};                ///< As ConvOperands::part.
};

struct Bf16Kernels {
  std::int64_t lanes;      ///< Words in a vector.
  std::int64_t tile_rows;  ///< The register tile.
  std::int64_t tile_vectors;

  /// y = activation(alpha * A B + beta * bias). The task's strides of B are not looked at.
  void (*gemm)(const GemmTask& task, const Bf16GemmOperands& operands);
  std::int64_t (*gemm_scratch)(const GemmTask& task);
  /// The task counts in words: channels and k are those of words, and it is staged, not direct.
  void (*conv)(const ConvTask& task, const Bf16ConvOperands& operands);
  std::int64_t (*conv_scratch)(const ConvTask& task);

  /// With an image in each lane. Both are null where the level has no instructions for products of
  /// bf16: f32 is faster there. First, blocks of planes, each [plane, lanes] -> words of two
  /// neighbouring planes, [planes / 2, rounded up, plane, lanes]; zeros where there is no second
  /// one.
  void (*pair_lanes)(const float* x, std::int64_t planes, std::int64_t plane, std::uint32_t* y);
  /// LaneKernels::conv() on words in the places of f32: task.in counts in channels of words, and x
  /// and weights are words. The bits are those of conv() or gemm() above.
  void (*lane_conv)(const LaneConvTask& task, const LaneConvOperands& operands);
};

}  // namespace prs::cpu
