// A convolution as the instruction-set kernels take it.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/isa/gemm.hpp"
#include "cpu/kernel.hpp"
#include "ops/conv.hpp"

namespace prs::cpu {

/// What kernels of all kinds need of the call.
struct ConvLayout {
  ops::Window window;
  std::int64_t images;
  std::int64_t groups;
  std::int64_t channels;  ///< Of x, per group.
  std::int64_t filters;   ///< Channels of y, per group.
  bool has_bias;
  Activation activation;
};

/// Of a Conv with a bias as input 2.
ConvLayout read_conv_layout(const Call& call, const ConvParams& params);

/// Whether every output is a product of the channels of one input position.
bool is_pointwise(const ops::Window& window);

ConvTask make_conv_task(const ConvLayout& layout, DType x, const GemmKernels& kernels);

/// The same over words of `per_word` channels (isa/words.hpp).
ConvTask make_conv_word_task(const ConvLayout& layout, DType x, std::int64_t per_word);

/// Whether positions in one group's (staged) input fit into the kernels' 32-bit shifts.
bool fits_shifts(const ConvTask& task);

/// Products of all images: of words, where the task counts in them.
std::int64_t conv_products(const ConvTask& task);

/// ConvOperands::shifts.
std::vector<std::int32_t> make_shifts(const ConvTask& task, const ops::Window& window);

}  // namespace prs::cpu
