// What the tests of fused kernels in bf16 and fp16 share.
#pragma once

#include <cmath>
#include <functional>
#include <random>

#include "unit/cuda/network_builder.hpp"
#include "unit/cuda/parity_support.hpp"

namespace prs::test {

inline constexpr Precision kHalfPrecisions[] = {Precision::kBf16, Precision::kFp16};
/// Of classes behind exact scores, and of scores but for what double and f32 differ in.
inline constexpr Tolerance kExactSums{.rtol = 1e-6, .atol = 1e-6};

/// The layers behind the input of a network.
using Layers = std::function<void(NetworkBuilder&)>;

inline Graph graph_of(DType dtype, const Shape& shape, const Layers& layers, Precision precision,
                      bool rounds) {
  NetworkBuilder network(dtype, shape, precision, rounds);
  layers(network);
  return network.graph();
}

/// Pixels, or multiples of 1/8 in [-2, 2).
inline Tensor input_of(DType dtype, const Shape& shape) {
  std::mt19937_64 random(5);
  if (dtype == DType::kUint8) return random_tensor(dtype, shape, random, 0, 256);
  Tensor input = random_tensor(dtype, shape, random, -2, 2);
  for (std::int64_t i = 0; i < input.elements(); ++i) {
    input.as<float>()[i] = std::floor(input.as<float>()[i] * 8) / 8;
  }
  return input;
}

}  // namespace prs::test
