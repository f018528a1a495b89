// Gemm's extents as the shape rule, the reference and the kernels see them.
#pragma once

#include "ops/op.hpp"

namespace prs::ops::gemm {

/// Element types of Gemm and MatMul.
inline constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64, DType::kInt32,
                                    DType::kInt64,   DType::kUint32,  DType::kUint64};

struct Extents {
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
};

/// Throws invalid model when a and b do not fit each other.
Extents resolve(const GemmParams& params, const Shape& a, const Shape& b);

}  // namespace prs::ops::gemm
