// The loops of isa/elementwise.hpp, written so that GCC turns them into vector code: no branches
// inside, selections as bit masks where a branch would keep the compiler from it, sums in a fixed
// number of lanes, since without -ffast-math it may not reorder additions itself.
//
// PRS_IVDEP stands where an output may be the same buffer as an input: iterations touch
// the same index only, but the compiler's run-time overlap check would choose the scalar loop.
#include "cpu/isa/begin.hpp"

#include <Eigen/Core>

#include "cpu/isa/elementwise.hpp"

namespace prs::cpu::PRS_ISA {

extern const ElementwiseKernels kElementwise;

namespace {

using Count = std::int64_t;
/// Contiguous elements for Eigen's reductions. Only for maxima and minima: the order of its sums
/// depends on the alignment, and an image's scores must not depend on its place in the batch.
using Row = Eigen::Map<const Eigen::ArrayXf>;

constexpr float kInfinity = __builtin_inff();
/// One 64-byte vector, or several narrower ones.
constexpr int kLanes = 16;

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

inline float select(bool condition, float yes, float no) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return from_bits((bits_of(yes) & mask) | (bits_of(no) & ~mask));
}

inline float magnitude(float x) { return from_bits(bits_of(x) & 0x7FFFFFFFu); }

/// exp(x) within 2 ulp, denormal results included; exp(-inf) = 0, exp(+inf) = inf, NaN stays NaN.
inline float exp(float x) {
  // Past these bounds the result is inf or rounds to 0 anyway.
  float t = select(x < -105.0f, -105.0f, x);
  t = select(t > 89.0f, 89.0f, t);
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  constexpr float kRound = 12582912.0f;
  const float shifted = t * 1.44269504f + kRound;
  const std::int32_t n = static_cast<std::int32_t>(bits_of(shifted) - bits_of(kRound));
  const float whole = shifted - kRound;
  // x - n * ln 2, with ln 2 in two parts, the first short enough for an exact product.
  const float r = (t - whole * 0.693359375f) - whole * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors, so that n may exceed the exponent range on both sides. For NaN n is
  // arbitrary, hence the unsigned arithmetic.
  const std::int32_t half = n >> 1;
  const std::uint32_t rest = static_cast<std::uint32_t>(n) - static_cast<std::uint32_t>(half);
  const float scale_half = from_bits((static_cast<std::uint32_t>(half) + 127u) << 23);
  const float scale_rest = from_bits((rest + 127u) << 23);
  return p * scale_half * scale_rest;
}

struct Copy {
  static float apply(float x, float, float) { return x; }
};
struct Relu {
  static float apply(float x, float, float) { return x < 0.0f ? 0.0f : x; }
};
struct LeakyRelu {
  static float apply(float x, float alpha, float) { return select(x < 0.0f, alpha * x, x); }
};
struct Clip {
  static float apply(float x, float low, float high) {
    const float raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
};
struct Sigmoid {
  static float apply(float x, float, float) {
    // exp of the negative magnitude cannot overflow and keeps small results accurate.
    const float e = exp(-magnitude(x));
    return select(x < 0.0f, e, 1.0f) / (1.0f + e);
  }
};
struct Tanh {
  static float apply(float x, float, float) {
    const float a = magnitude(x);
    // Below 0.625 the exponential form would cancel; the polynomial is odd tanh(a) / a there.
    const float z = a * a;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float small = a + a * (p * z);
    const float large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
    const float result = select(a < 0.625f, small, large);
    return from_bits(bits_of(result) | (bits_of(x) & 0x80000000u));
  }
};

template <typename Function>
void activation(const float* x, float* y, Count count, float alpha, float beta) {
  PRS_IVDEP
  for (Count i = 0; i < count; ++i) y[i] = Function::apply(x[i], alpha, beta);
}

void negate(const float* x, float* y, Count count) {
  PRS_IVDEP
  for (Count i = 0; i < count; ++i) y[i] = -x[i];
}

struct Add {
  static float apply(float a, float b) { return a + b; }
};
struct Sub {
  static float apply(float a, float b) { return a - b; }
};
struct Mul {
  static float apply(float a, float b) { return a * b; }
};
struct Div {
  static float apply(float a, float b) { return a / b; }
};
struct Max {
  static float extreme(const Row& x) { return x.maxCoeff<Eigen::PropagateNaN>(); }
  static float apply(float a, float b) {
    const float larger = a > b ? a : b;  // b when one is NaN
    return a != a ? a : larger;
  }
};
struct Min {
  static float extreme(const Row& x) { return x.minCoeff<Eigen::PropagateNaN>(); }
  static float apply(float a, float b) {
    const float smaller = a < b ? a : b;
    return a != a ? a : smaller;
  }
};

template <typename Function, bool kAVector, bool kBVector>
void binary_row(const float* a, const float* b, float* y, Count count) {
  PRS_IVDEP
  for (Count i = 0; i < count; ++i)
    y[i] = Function::apply(a[kAVector ? i : 0], b[kBVector ? i : 0]);
}

template <typename Function, bool kAVector, bool kBVector>
void binary(const BinaryBlock& block) {
  // The activation follows in pieces that the first cache level still holds.
  constexpr Count kPiece = 2048;
  const auto activate = kElementwise.activation[static_cast<int>(block.activation.kind)];
  const bool active = block.activation.kind != Activation::Kind::kNone;
  const Count columns = block.columns < kPiece ? block.columns : kPiece;
  const Count rows = columns == block.columns && columns > 0 ? kPiece / columns : 1;
  for (Count row = 0; row < block.rows; row += rows) {
    const Count row_end = row + rows < block.rows ? row + rows : block.rows;
    for (Count column = 0; column < block.columns; column += columns) {
      const Count width = column + columns < block.columns ? columns : block.columns - column;
      float* piece = block.y + row * block.columns + column;
      for (Count r = row; r < row_end; ++r) {
        binary_row<Function, kAVector, kBVector>(
            block.a + r * block.a_row + (kAVector ? column : 0),
            block.b + r * block.b_row + (kBVector ? column : 0), piece + (r - row) * block.columns,
            width);
      }
      if (active) {
        activate(piece, piece, (row_end - row) * width, block.activation.alpha,
                 block.activation.beta);
      }
    }
  }
}

inline float largest_of(const float* x, Count count) {
  return count == 0 ? -kInfinity : Row(x, count).maxCoeff();
}

inline float sum_of_lanes(const float* lanes) {
  float sum = 0.0f;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

/// sum_i exp(x[i] - shift); stores the terms to y unless that is null.
template <bool kStore>
float sum_of_exp(const float* x, float shift, float* y, Count count) {
  float lanes[kLanes] = {};
  Count i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    float terms[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) terms[lane] = exp(x[i + lane] - shift);
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[lane];
    if constexpr (kStore) {
      for (int lane = 0; lane < kLanes; ++lane) y[i + lane] = terms[lane];
    }
  }
  float sum = 0.0f;
  for (; i < count; ++i) {
    const float term = exp(x[i] - shift);
    sum += term;
    if constexpr (kStore) y[i] = term;
  }
  return sum + sum_of_lanes(lanes);
}

void softmax_row(const float* x, float* y, Count count) {
  const float sum = sum_of_exp<true>(x, largest_of(x, count), y, count);
  for (Count i = 0; i < count; ++i) y[i] = y[i] / sum;
}

void log_softmax_row(const float* x, float* y, Count count) {
  const float largest = largest_of(x, count);
  const float log_sum = __builtin_logf(sum_of_exp<false>(x, largest, nullptr, count));
  PRS_IVDEP
  for (Count i = 0; i < count; ++i) y[i] = (x[i] - largest) - log_sum;
}

template <bool kLog>
void softmax_column_block(const float* x, float* y, Count count, Count stride, Count columns) {
  float largest[kMaxColumns];
  float sum[kMaxColumns];
  for (Count c = 0; c < columns; ++c) {
    largest[c] = -kInfinity;
    sum[c] = 0.0f;
  }
  for (Count i = 0; i < count; ++i) {
    const float* row = x + i * stride;
    for (Count c = 0; c < columns; ++c) largest[c] = row[c] > largest[c] ? row[c] : largest[c];
  }
  for (Count i = 0; i < count; ++i) {
    const float* row = x + i * stride;
    float* out = y + i * stride;
    PRS_IVDEP
    for (Count c = 0; c < columns; ++c) {
      const float term = exp(row[c] - largest[c]);
      sum[c] += term;
      if constexpr (!kLog) out[c] = term;
    }
  }
  if constexpr (kLog) {
    for (Count c = 0; c < columns; ++c) sum[c] = __builtin_logf(sum[c]);
  }
  for (Count i = 0; i < count; ++i) {
    const float* row = x + i * stride;
    float* out = y + i * stride;
    PRS_IVDEP
    for (Count c = 0; c < columns; ++c) {
      out[c] = kLog ? (row[c] - largest[c]) - sum[c] : out[c] / sum[c];
    }
  }
}

template <bool kLog>
void softmax_columns(const float* x, float* y, Count count, Count stride, Count columns) {
  for (Count c = 0; c < columns; c += kMaxColumns) {
    const Count width = c + kMaxColumns < columns ? kMaxColumns : columns - c;
    softmax_column_block<kLog>(x + c, y + c, count, stride, width);
  }
}

double sum_block(const float* x, Count rows, Count row_stride, Count columns, double initial) {
  double lanes[kLanes] = {};
  double sum = initial;
  for (Count row = 0; row < rows; ++row, x += row_stride) {
    Count i = 0;
    for (; i + kLanes <= columns; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(x[i + lane]);
    }
    for (; i < columns; ++i) sum += static_cast<double>(x[i]);
  }
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

void sum_columns(const float* x, Count rows, Count row_stride, Count columns,
                 double* accumulators) {
  for (Count row = 0; row < rows; ++row, x += row_stride) {
    for (Count c = 0; c < columns; ++c) accumulators[c] += static_cast<double>(x[c]);
  }
}

template <typename Function>
float extreme_block(const float* x, Count rows, Count row_stride, Count columns, float initial) {
  float result = initial;
  for (Count row = 0; row < rows && columns > 0; ++row, x += row_stride) {
    result = Function::apply(result, Function::extreme(Row(x, columns)));
  }
  return result;
}

template <typename Function>
void extreme_columns(const float* x, Count rows, Count row_stride, Count columns,
                     float* accumulators) {
  for (Count row = 0; row < rows; ++row, x += row_stride) {
    for (Count c = 0; c < columns; ++c) accumulators[c] = Function::apply(accumulators[c], x[c]);
  }
}

void batch_norm_row(const float* x, float mean, float factor, float bias, float* y, Count count) {
  PRS_IVDEP
  for (Count i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor + bias;
}

void batch_norm_periodic(const float* x, const float* mean, const float* factor, const float* bias,
                         Count period, float* y, Count count) {
  for (Count start = 0; start < count; start += period) {
    const Count width = start + period < count ? period : count - start;
    PRS_IVDEP
    for (Count i = 0; i < width; ++i) {
      y[start + i] = (x[start + i] - mean[i]) * factor[i] + bias[i];
    }
  }
}

template <typename T>
void normalize_row(const T* x, float scale, float bias, float* y, Count count) {
  PRS_IVDEP
  for (Count i = 0; i < count; ++i) y[i] = scale * static_cast<float>(x[i]) + bias;
}

template <typename T>
void normalize_periodic(const T* x, const float* scale, const float* bias, Count period, float* y,
                        Count count) {
  for (Count start = 0; start < count; start += period) {
    const Count width = start + period < count ? period : count - start;
    PRS_IVDEP
    for (Count i = 0; i < width; ++i) {
      y[start + i] = scale[i] * static_cast<float>(x[start + i]) + bias[i];
    }
  }
}

}  // namespace

// One row of the table, in the order of RowOperands.
#define PRS_BINARY(Function)                                                                       \
  {                                                                                                \
    &binary<Function, true, true>, &binary<Function, true, false>, &binary<Function, false, true>, \
        &binary<Function, false, false>                                                            \
  }

const ElementwiseKernels kElementwise{
    .binary = {PRS_BINARY(Add), PRS_BINARY(Sub), PRS_BINARY(Mul), PRS_BINARY(Div), PRS_BINARY(Max),
               PRS_BINARY(Min)},
    .activation = {&activation<Copy>, &activation<Relu>, &activation<LeakyRelu>, &activation<Clip>,
                   &activation<Sigmoid>, &activation<Tanh>},
    .negate = &negate,
    .softmax_row = &softmax_row,
    .log_softmax_row = &log_softmax_row,
    .softmax_columns = &softmax_columns<false>,
    .log_softmax_columns = &softmax_columns<true>,
    .sum = {&sum_block, &sum_columns},
    .max = {&extreme_block<Max>, &extreme_columns<Max>},
    .min = {&extreme_block<Min>, &extreme_columns<Min>},
    .batch_norm_row = &batch_norm_row,
    .batch_norm_periodic = &batch_norm_periodic,
    .normalize_row_f32 = &normalize_row<float>,
    .normalize_row_u8 = &normalize_row<std::uint8_t>,
    .normalize_periodic_f32 = &normalize_periodic<float>,
    .normalize_periodic_u8 = &normalize_periodic<std::uint8_t>,
};

#undef PRS_BINARY

}  // namespace prs::cpu::PRS_ISA
