// Whether a fused kernel is the right one for few images. Each of its blocks computes all layers
// for images of its own, so that few images keep few multiprocessors busy; an operator a kernel
// spreads every layer over the device, for a launch each.
#pragma once

#include <cstdint>

#include "backend/fused/fused.hpp"

namespace prs::cuda {

/// How a multiprocessor computes: on CUDA cores, on tensor cores, and on those with an operand that
/// is gathered element by element.
enum class Arithmetic { kFloatProducts, kMatrixProducts, kGatheredProducts };

/// One kernel of a run: all its blocks together.
struct KernelWork {
  double flops = 0.0;
  double bytes = 0.0;  ///< Read or written, as often as that happens.
  std::int64_t blocks = 1;
  Arithmetic arithmetic = Arithmetic::kFloatProducts;
};

/// What the kernel takes in a CUDA graph, behind another one; counted from what a multiprocessor
/// does in a microsecond, which is good for a choice and for no more.
double estimate_us(const KernelWork& work, int multiprocessors);

/// plan_fused(), where that is not slower than an operator a kernel; and always where it keeps half
/// of the device busy.
FusedChoice choose_fused(const Fusion& fusion);

}  // namespace prs::cuda
