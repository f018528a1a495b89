// Random layers of 8-bit integers, for the tests of every backend.
#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/op_test.hpp"

namespace prs::test {

/// The outputs of a layer: u8, i8 or f32.
inline Requantization random_ends(DType to, DType x, std::mt19937_64& random) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Requantization out;
  out.to = to;
  out.x_zero_point = static_cast<std::int32_t>(random() % 100);
  if (x == DType::kInt8) out.x_zero_point -= 60;
  if (to == DType::kFloat32) {
    out.low = random() % 2 == 0 ? 0.0F : -infinity;
    out.high = infinity;
    return out;
  }
  out.y_zero_point = static_cast<std::int32_t>(random() % 100);
  const int lowest = to == DType::kInt8 ? -128 : 0;
  out.low = static_cast<float>(random() % 2 == 0 ? lowest - out.y_zero_point : 0);
  out.high = static_cast<float>(lowest + 255 - out.y_zero_point);
  return out;
}

/// Of sums of k products: most outputs in range.
inline std::vector<Tensor> random_tables(std::int64_t channels, std::int64_t k,
                                         std::mt19937_64& random) {
  const double step = 0.02 / std::sqrt(static_cast<double>(k + 1));
  return {random_tensor(DType::kFloat32, Shape{channels}, random, 0, step),
          random_tensor(DType::kFloat32, Shape{channels}, random, -20, 20)};
}

inline constexpr DType kQuantizedOutputs[] = {DType::kUint8, DType::kInt8, DType::kFloat32};

/// Of x and w, with the x type's and outputs' kind by `variant`.
inline OpCase random_quantized_conv(const ConvParams& conv, const Shape& x, const Shape& w,
                                    std::size_t variant, std::mt19937_64& random) {
  const DType type = variant % 2 == 0 ? DType::kUint8 : DType::kInt8;
  const double low = type == DType::kInt8 ? -128.0 : 0.0;
  OpCase test{OpKind::kQuantizedConv,
              QuantizedConvParams{conv, random_ends(kQuantizedOutputs[variant % 3], type, random)},
              {random_tensor(type, x, random, low, low + 256),
               random_tensor(DType::kInt8, w, random, -128, 128)},
              1,
              {1}};
  for (Tensor& table : random_tables(w[0], w.elements(1, w.rank()), random)) {
    test.inputs.push_back(table);
  }
  return test;
}

/// [m, k] by [k, n], as above; every third with B transposed.
inline OpCase random_quantized_gemm(std::int64_t m, std::int64_t n, std::int64_t k,
                                    std::size_t variant, std::mt19937_64& random) {
  const DType type = variant % 2 == 0 ? DType::kUint8 : DType::kInt8;
  const bool trans_b = variant % 3 == 0;
  const double low = type == DType::kInt8 ? -128.0 : 0.0;
  OpCase test{
      OpKind::kQuantizedGemm,
      QuantizedGemmParams{trans_b, random_ends(kQuantizedOutputs[variant % 3], type, random)},
      {random_tensor(type, Shape{m, k}, random, low, low + 256),
       random_tensor(DType::kInt8, trans_b ? Shape{n, k} : Shape{k, n}, random, -128, 128)},
      1,
      {1}};
  for (Tensor& table : random_tables(n, k, random)) test.inputs.push_back(table);
  return test;
}

}  // namespace prs::test
