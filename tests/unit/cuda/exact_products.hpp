// Products of operands that every precision holds exactly: in float32 the sums alone are rounded,
// so that all kernels are held to fp32's bound.
#pragma once

#include <cmath>
#include <optional>
#include <random>
#include <span>

#include "unit/cuda/parity_support.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {

inline constexpr Precision kTensorCorePrecisions[] = {Precision::kTf32, Precision::kBf16,
                                                      Precision::kFp16};

/// Half a unit in the last place of a number in [1, 2).
inline double unit_of(Precision precision) {
  return precision == Precision::kBf16 ? 0x1p-8 : 0x1p-11;
}

/// Multiples of 1/64 in [-1, 1): exact in every precision, and of one sign too in products' sums.
inline Tensor exact_tensor(const Shape& shape, std::mt19937_64& random) {
  Tensor tensor = random_tensor(DType::kFloat32, shape, random);
  float* values = tensor.as<float>();
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    values[i] = std::floor(values[i] * 64.0F) / 64.0F;
  }
  return tensor;
}

/// On devices of all kinds, or on the one.
inline void expect_exact_products(const OpCase& test, std::int64_t k,
                                  std::span<const Precision> precisions = kTensorCorePrecisions,
                                  const std::optional<cuda::DeviceLimits>& limits = {}) {
  OpCase bare = test;
  if (auto* gemm = std::get_if<GemmParams>(&bare.params)) {
    gemm->activation = {};
    gemm->alpha = std::abs(gemm->alpha);
    gemm->beta = std::abs(gemm->beta);
  }
  if (auto* conv = std::get_if<ConvParams>(&bare.params)) conv->activation = {};
  const Tolerance tolerance{.rtol = 8 * kUlp32, .atol = product_bound(bare, k)};
  for (const Precision precision : precisions) {
    if (limits) {
      expect_device_parity(test, precision, *limits, tolerance);
    } else {
      expect_precision_parity(test, precision, tolerance);
    }
  }
}

}  // namespace prs::test
