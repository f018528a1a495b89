// The f32 loops of elementwise operators, softmax and reductions: one table of functions for each
// instruction-set level.
//
// All functions are pure, thread-safe and allocate nothing. An output may be the very same buffer
// as an input of the same layout, but must not overlap it otherwise. Counts of zero are allowed.
#pragma once

#include <cstdint>

#include "ops/params.hpp"

namespace prs::cpu {

/// The operands of y[r, c] = a[r, c] op b[r, c].
struct BinaryBlock {
  const float* a;
  std::int64_t a_row;  ///< Elements between rows of a; 0 repeats one row.
  const float* b;
  std::int64_t b_row;
  float* y;  ///< [rows, columns], dense
  std::int64_t rows;
  std::int64_t columns;
  Activation activation;  ///< Of the result.
};

/// Which operands have one value for each row instead of one for each element.
enum class RowOperands { kBothVector, kBScalar, kAScalar, kBothScalar };
inline constexpr int kRowOperandsCount = 4;

enum class BinaryFunction { kAdd, kSub, kMul, kDiv, kMax, kMin };
inline constexpr int kBinaryFunctionCount = 6;

inline constexpr int kActivationCount = 6;

/// The widest block of the *_columns functions, whose accumulators live on the caller's stack.
inline constexpr std::int64_t kMaxColumns = 256;

/// Functions of a reduction: `block` folds a [rows, columns] block into one accumulator, `columns`
/// folds every column into an accumulator of its own (at most kMaxColumns). Rows lie `row_stride`
/// elements apart.
template <typename T, typename Accumulator>
struct ReduceFunctions {
  Accumulator (*block)(const T* x, std::int64_t rows, std::int64_t row_stride, std::int64_t columns,
                       Accumulator initial);
  void (*columns)(const T* x, std::int64_t rows, std::int64_t row_stride, std::int64_t columns,
                  Accumulator* accumulators);
};

struct ElementwiseKernels {
  /// Max and Min propagate NaN. Indices: BinaryFunction, RowOperands.
  void (*binary[kBinaryFunctionCount][kRowOperandsCount])(const BinaryBlock& block);

  /// y[i] = activation(x[i]); alpha and beta as in Activation. Index: Activation::Kind.
  /// Relu, LeakyRelu and Clip exact; Sigmoid and Tanh within 4 ulp; NaN stays NaN.
  void (*activation[kActivationCount])(const float* x, float* y, std::int64_t count, float alpha,
                                       float beta);
  void (*negate)(const float* x, float* y, std::int64_t count);

  /// One softmax over `count` contiguous elements.
  void (*softmax_row)(const float* x, float* y, std::int64_t count);
  void (*log_softmax_row)(const float* x, float* y, std::int64_t count);
  /// `columns` softmaxes (any number), each over `count` elements that lie `stride` apart.
  void (*softmax_columns)(const float* x, float* y, std::int64_t count, std::int64_t stride,
                          std::int64_t columns);
  void (*log_softmax_columns)(const float* x, float* y, std::int64_t count, std::int64_t stride,
                              std::int64_t columns);

  /// Sums accumulate in double; max and min propagate NaN.
  ReduceFunctions<float, double> sum;
  ReduceFunctions<float, float> max;
  ReduceFunctions<float, float> min;

  /// y[i] = (x[i] - mean) * factor + bias
  void (*batch_norm_row)(const float* x, float mean, float factor, float bias, float* y,
                         std::int64_t count);
  /// The same with vectors of `period` values that repeat along x.
  void (*batch_norm_periodic)(const float* x, const float* mean, const float* factor,
                              const float* bias, std::int64_t period, float* y, std::int64_t count);

  /// y[i] = scale * x[i] + bias
  void (*normalize_row_f32)(const float* x, float scale, float bias, float* y, std::int64_t count);
  void (*normalize_row_u8)(const std::uint8_t* x, float scale, float bias, float* y,
                           std::int64_t count);
  /// The same with vectors of `period` values that repeat along x.
  void (*normalize_periodic_f32)(const float* x, const float* scale, const float* bias,
                                 std::int64_t period, float* y, std::int64_t count);
  void (*normalize_periodic_u8)(const std::uint8_t* x, const float* scale, const float* bias,
                                std::int64_t period, float* y, std::int64_t count);
};

}  // namespace prs::cpu
