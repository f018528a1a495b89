// What several kernel families use: loop nests, activations, sums over a block.
#pragma once

#include <cmath>

#include "device/launch.hpp"
#include "kernels/args.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The offset of operand k at number `index` of a loop nest in row-major order.
template <int kOperands>
PRS_DEVICE void offsets_at(const Loops<kOperands>& loops, std::int64_t index,
                           std::int64_t (&offsets)[kOperands]) {
  for (int k = 0; k < kOperands; ++k) offsets[k] = 0;
  for (int level = loops.depth - 1; level >= 0; --level) {
    const std::int64_t position = index % loops.extents[level];
    index /= loops.extents[level];
    for (int k = 0; k < kOperands; ++k) offsets[k] += position * loops.strides[level][k];
  }
}
PRS_DEVICE std::int64_t offset_at(const Loops<1>& loops, std::int64_t index) {
  std::int64_t offsets[1];
  offsets_at(loops, index, offsets);
  return offsets[0];
}

/// NaN stays NaN in all of them.
PRS_DEVICE float apply(const Epilogue& epilogue, float x) {
  switch (epilogue.function) {
    case Function::kNone:
      return x;
    case Function::kRelu:
      return x < 0 ? 0.0F : x;
    case Function::kLeakyRelu:
      return x < 0 ? epilogue.alpha * x : x;
    case Function::kClip: {
      const float raised = x < epilogue.alpha ? epilogue.alpha : x;
      return raised > epilogue.beta ? epilogue.beta : raised;
    }
    case Function::kSigmoid: {
      const float e = expf(-fabsf(x));
      return (x < 0 ? e : 1.0F) / (1.0F + e);
    }
    case Function::kTanh:
      return tanhf(x);
    case Function::kNegate:
      return -x;
  }
  return x;
}

/// As apply(), but sigmoid and tanh to 2^-20 of 1, by few instructions: for where they stand once
/// for each of a thread's many sums.
template <Function kFunction>
PRS_DEVICE float apply_short(const Epilogue& epilogue, float x) {
  constexpr float kLog2E = 1.44269504F;
  if constexpr (kFunction == Function::kSigmoid) {
    return fast_reciprocal(1.0F + fast_exp2(-kLog2E * x));
  } else if constexpr (kFunction == Function::kTanh) {
    return 2.0F * fast_reciprocal(1.0F + fast_exp2(-2.0F * kLog2E * x)) - 1.0F;
  } else {
    return apply({kFunction, epilogue.alpha, epilogue.beta}, x);
  }
}

template <bool kShort, Function kFunction, int kRows, int kCount>
PRS_DEVICE void apply_to_each(const Epilogue& epilogue, float (&values)[kRows][kCount]) {
  PRS_UNROLL
  for (int row = 0; row < kRows; ++row) {
    PRS_UNROLL
    for (int i = 0; i < kCount; ++i) {
      float& value = values[row][i];
      value = kShort ? apply_short<kFunction>(epilogue, value)
                     : apply({kFunction, epilogue.alpha, epilogue.beta}, value);
    }
  }
}

/// Of several values of a thread, kShort: by apply_short(). The choice stands outside of the loops,
/// which are unrolled: inside, all functions would be there once a value.
template <bool kShort = false, int kRows, int kCount>
PRS_DEVICE void apply_to_all(const Epilogue& epilogue, float (&values)[kRows][kCount]) {
  switch (epilogue.function) {
    case Function::kNone:
      return;
    case Function::kRelu:
      return apply_to_each<kShort, Function::kRelu>(epilogue, values);
    case Function::kLeakyRelu:
      return apply_to_each<kShort, Function::kLeakyRelu>(epilogue, values);
    case Function::kClip:
      return apply_to_each<kShort, Function::kClip>(epilogue, values);
    case Function::kSigmoid:
      return apply_to_each<kShort, Function::kSigmoid>(epilogue, values);
    case Function::kTanh:
      return apply_to_each<kShort, Function::kTanh>(epilogue, values);
    case Function::kNegate:
      return apply_to_each<kShort, Function::kNegate>(epilogue, values);
  }
}

template <int kCount>
PRS_DEVICE void apply_to_all(const Epilogue& epilogue, float (&values)[kCount]) {
  apply_to_all(epilogue, reinterpret_cast<float(&)[1][kCount]>(values));
}

PRS_DEVICE float infinity() { return bits_float(0x7F800000u); }

/// NaN wins.
PRS_DEVICE float larger(float a, float b) { return a != a || a > b ? a : b; }
PRS_DEVICE float smaller(float a, float b) { return a != a || a < b ? a : b; }

/// Whether (a, i) comes before (b, j) as the arg max; NaN is the largest of all.
template <typename Index>
PRS_DEVICE bool precedes(float a, Index i, float b, Index j, bool last) {
  const bool a_nan = a != a;
  const bool b_nan = b != b;
  if (a_nan != b_nan) return a_nan;
  if (!a_nan && a != b) return a > b;
  return last ? i > j : i < j;
}

/// The index of the largest of `extent` elements, in every lane of a full warp.
template <typename At>
PRS_DEVICE std::int64_t warp_arg_max(std::int64_t extent, bool last, const At& at) {
  // Lanes without an element stand behind every other: an index that never wins.
  float best = -infinity();
  std::int64_t index = last ? -1 : extent;
  for (std::int64_t i = lane(); i < extent; i += kWarpSize) {
    const float value = at(i);
    if (!precedes(value, i, best, index, last)) continue;
    best = value;
    index = i;
  }
  for (unsigned step = kWarpSize / 2; step > 0; step /= 2) {
    const float other = shuffle_xor(kFullMask, best, step);
    const std::int64_t other_index = shuffle_xor(kFullMask, static_cast<long long>(index), step);
    if (!precedes(other, other_index, best, index, last)) continue;
    best = other;
    index = other_index;
  }
  return index;
}

struct Add {
  template <typename T>
  PRS_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  PRS_DEVICE double operator()(double a, double b) const { return a != a || a > b ? a : b; }
};
struct Smaller {
  PRS_DEVICE double operator()(double a, double b) const { return a != a || a < b ? a : b; }
};

/// Combines one value a thread of a block of kThreads, for every thread: a tree of fixed shape, in
/// each warp and then over the warps. All threads call it; it may be called again at once.
template <typename Combine>
PRS_DEVICE double block_combine(double value, Combine combine) {
  constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);
  PRS_SHARED(double, partial, kWarps);
  for (unsigned step = kWarpSize / 2; step > 0; step /= 2) {
    value = combine(value, shuffle_xor(kFullMask, value, step));
  }
  if (lane() == 0) partial.store(static_cast<int>(thread_x() / kWarpSize), value);
  sync_threads();
  double result = partial.load(0);
  for (int warp = 1; warp < kWarps; ++warp) result = combine(result, partial.load(warp));
  sync_threads();
  return result;
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
