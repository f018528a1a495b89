// MatMul's operands as a batch of matrix products.
#pragma once

#include "ops/op.hpp"

namespace prs::ops::matmul {

/// y[b] = A[b] * B[b] for each index b of the shape `batch`, y dense: [batch..., m, n].
struct Product {
  Shape batch;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::vector<std::int64_t> a_strides;  ///< In elements, one per axis of batch; 0 repeats.
  std::vector<std::int64_t> b_strides;
  Shape y;  ///< The ONNX shape of the result.
};

/// Throws invalid model when the shapes do not fit.
Product resolve(const Shape& a, const Shape& b);

/// The matrices of batch item i begin at these elements of A and B.
struct Offsets {
  std::int64_t a;
  std::int64_t b;
};
Offsets offsets(const Product& product, std::int64_t i);

}  // namespace prs::ops::matmul
