// What the plans of layers of 8-bit integers share, fused or not.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/packed.hpp"
#include "graph/graph.hpp"

namespace prs::cuda {

/// The zero point of x as the kernels see x: as u8, i8 128 steps further up.
std::int32_t u8_zero_point(DType x, std::int32_t zero_point);

/// What makes four bytes of x that: i8's sign bits turned over.
std::uint32_t u8_flip(DType x);

/// What each channel's sum begins with: minus the share of that zero point. For i8 weights.
std::vector<std::int32_t> sum_starts(const Tensor& weights, const MatrixView& view,
                                     std::int32_t zero_point);

/// What a node's sums are requantised by: a QuantizedConv of one group or a QuantizedGemm, whose
/// constants the result refers to. One of each an output.
struct RequantizeTables {
  std::vector<std::int32_t> starts;
  const float* multipliers;
  const float* offsets;
};
RequantizeTables requantize_tables(const Graph& graph, const Node& node);

/// The constants of a QuantizeLinear or DequantizeLinear with one scale.
struct OneScale {
  float scale;
  std::int32_t zero_point;
};
OneScale one_scale(const Graph& graph, const Node& node);

}  // namespace prs::cuda
