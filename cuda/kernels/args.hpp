// The arguments of the kernels: one plain struct each. Extents and strides count elements unless a
// name says otherwise; device pointers come from the plan (constants) or the run (operands). C++17.
#pragma once

#include <cstdint>

#include "device/types.hpp"

namespace prs::cuda {

inline constexpr int kMaxRank = 8;
/// Threads of a block, unless a kernel says otherwise.
inline constexpr unsigned kThreads = 256;

/// The numbers are prs::Activation::Kind's.
enum class Function : int { kNone, kRelu, kLeakyRelu, kClip, kSigmoid, kTanh, kNegate };

struct Epilogue {
  Function function = Function::kNone;
  float alpha = 0.0F;
  float beta = 0.0F;
};

/// Nested loops, outermost first, with what each of kOperands moves per iteration.
template <int kOperands>
struct Loops {
  int depth = 0;
  std::int64_t extents[kMaxRank] = {};
  std::int64_t strides[kMaxRank][kOperands] = {};
};

struct UnaryArgs {
  const float* x;
  float* y;
  std::int64_t count;
  Epilogue function;
  const float* low;  ///< Clip's bounds when known at run time only; else null.
  const float* high;
};

enum class BinaryFunction : int { kAdd, kSub, kMul, kDiv, kMax, kMin };

struct BinaryArgs {
  const float* a;
  const float* b;
  float* y;  ///< Dense.
  std::int64_t count;
  Loops<2> loops;
  BinaryFunction function;
  Epilogue epilogue;
};

/// y = scale[c] * x + bias[c] over x seen as [outer, channels, inner].
struct NormalizeArgs {
  const void* x;
  float* y;
  std::int64_t count;
  std::int64_t channels;
  std::int64_t inner;
  const float* scale;  // [channels]
  const float* bias;   // [channels]
};

struct BatchNormArgs {
  const float* x;
  float* y;
  std::int64_t count;
  std::int64_t channels;
  std::int64_t inner;
  const float* scale;  // [channels], as the next three
  const float* bias;
  const float* mean;
  const float* variance;
  float epsilon;
};

/// The numbers are prs::DType's.
enum class Element : int {
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kU32 = 12,
  kU64 = 13,
  kBF16 = 16,
};

struct CastArgs {
  const void* x;
  void* y;
  std::int64_t count;
  Element from;
  Element to;
};

struct GemmArgs {
  const void* a;      // batch of [M, K] by strides
  const float* b;     // batch of [K, N] by strides
  const float* bias;  // [M, N] by strides, or null
  float* y;           // [batch, M, N], dense
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::int64_t a_row, a_column;
  std::int64_t b_row, b_column;
  std::int64_t bias_row, bias_column;
  float alpha, beta;
  Epilogue epilogue;
  std::int64_t batch;
  Loops<2> batches;  ///< Where the matrices of a batch entry begin, in A and B.
};

/// One position of a filter: what it adds to a window's first input element, and the distances that
/// decide whether it lies inside.
struct Tap {
  std::int64_t offset;
  std::int32_t d, h, w;
  std::int32_t unused;
};

struct Axis {
  std::int64_t in, out, kernel, stride, dilation, pad_begin;
};

struct ConvArgs {
  const void* x;                                   // [images, groups * channels, D, H, W]
  const float* weights;                            // [groups * filters, k]
  const float* bias;                               // [groups * filters], or null
  float* y;                                        // [images, groups * filters, outputs]
  const Tap* taps;                                 // [k]
  std::int64_t images, groups, channels, filters;  ///< The last two of one group.
  std::int64_t k;
  std::int64_t inputs;   ///< D * H * W.
  std::int64_t outputs;  ///< Of one image and filter.
  Axis axes[3];
  Epilogue epilogue;
};

/// How the tensor-core kernels take their constant matrix: for each tile of columns (wide 64,
/// narrow 16), each stage of k (32 elements of 16 bits, or 16 of tf32), one [columns, depth], zeros
/// where the matrix ends.
struct GemmMmaArgs {
  GemmArgs gemm;       ///< Of one batch entry; b is not read.
  const void* packed;  // [column tiles, stages, columns, depth]
  std::int64_t stages;
  bool pixels;   ///< a is u8.
  bool rounded;  ///< a is of the kernel's own 16-bit type.
};
struct ConvMmaArgs {
  ConvArgs conv;       ///< weights are not read.
  const void* packed;  // [groups, column tiles, stages, columns, depth]
  std::int64_t stages;
  bool pixels;  ///< x is u8.
};

/// By wgmma: a stage is kWgmmaRowBytes of k, whose chunks of 16 bytes lie in row n at c ^ n % 8
/// (also of a packed one), columns are 64, 128 or 256, rows 64 or 128 by the launch: two threads
/// each.
inline constexpr int kWgmmaRowBytes = 128;
inline constexpr int kWgmmaSlots = 4;  ///< Stages of B in shared memory.
/// Stages of A there, where it is gathered; where it is copied, as many as of B.
inline constexpr int kWgmmaGatherBuffers = 2;

constexpr std::int64_t wgmma_shared_bytes(std::int64_t rows, std::int64_t columns,
                                          std::int64_t buffers) {
  return (buffers * rows + kWgmmaSlots * columns) * kWgmmaRowBytes +
         kWgmmaSlots * static_cast<std::int64_t>(sizeof(std::uint64_t));
}

/// What becomes of the sums of a quantised layer: prs::Requantization.
struct Requantize {
  void* y;
  Element to;                  ///< kF32, kU8 or kI8.
  const std::int32_t* starts;  // [channels]: minus the share of x's zero point in the sums
  const float* multipliers;    // [channels]
  const float* offsets;        // [channels]
  float low, high;
  std::int32_t zero_point;  ///< Of y.
};

/// What rounds a float below 2^22 to an integer, to nearest even, when it is added: numbers of 2^23
/// and more have no fraction, and the integer is in their low bits. A conversion would take a unit
/// with an eighth of the lanes.
inline constexpr float kRoundToInteger = 12582912.0F;

/// Weights are packed as GemmMmaArgs has it, in stages of 64 bytes of k, by wgmma as above.
struct QuantizedGemmArgs {
  const std::uint8_t* x;  // [M, K]
  const void* packed;
  std::int64_t m, n, k;
  std::int64_t stages;
  std::uint32_t flip;  ///< What makes four bytes of x u8: the sign bits of i8, else 0.
  Requantize out;
};
struct QuantizedConvArgs {
  ConvArgs conv;       ///< weights, bias, y and epilogue are not read.
  const void* packed;  ///< Of the direct kernel i8 [groups * filters, k].
  std::int64_t stages;
  std::uint32_t flip;
  std::uint8_t padding;  ///< The byte that x would have outside of it.
  Requantize out;
};

/// QuantizeLinear and DequantizeLinear over x seen as [outer, channels, inner].
struct QuantizeArgs {
  const void* x;
  void* y;
  std::int64_t count;
  std::int64_t channels;
  std::int64_t inner;
  const float* scales;      // [channels]
  const void* zero_points;  // [channels] of the quantised type, or null
};

struct PoolArgs {
  const void* x;          // [planes, D, H, W]
  void* y;                // [planes, outputs]
  std::int64_t* indices;  ///< MaxPool's second result, or null.
  const float*
      divisors;        ///< AveragePool: the taps that count, [D' + H' + W'] one axis after another.
  std::int64_t count;  ///< Outputs of all planes.
  Axis axes[3];
  bool column_major;  ///< Indices count the innermost axis last.
};

enum class Reduction : int { kSum, kMean, kMax, kMin };

struct ReduceArgs {
  const float* x;
  float* y;
  std::int64_t outputs;
  std::int64_t elements;  ///< Of one output.
  Loops<1> kept;
  Loops<1> reduced;
  Reduction reduction;
};

/// x seen as [outer, extent, inner]: one row an (outer, inner), its elements `inner` apart.
struct RowArgs {
  const float* x;
  void* y;  ///< f32 as x (softmax), i64 [outer, inner] (arg max)
  std::int64_t rows;
  std::int64_t extent;
  std::int64_t inner;
  bool variant;  ///< Softmax: its logarithm. ArgMax: the last of equal elements.
};

struct MeanVarianceArgs {
  const float* x;
  float* y;
  std::int64_t groups;
  std::int64_t elements;  ///< Of one group.
  Loops<1> kept;
  Loops<1> inner;
  double epsilon;
};

/// to[..] = from[..] for every index of the loops; operand 0 is from, 1 is to.
struct CopyArgs {
  const void* from;
  void* to;
  std::int64_t count;
  Loops<2> loops;
};

struct FillArgs {
  void* to;
  std::int64_t count;
  std::uint64_t bits;  ///< The element, in the low bytes.
};

/// Where a kernel tells of contents that it refuses: the first to find one writes.
struct Complaint {
  unsigned step;  ///< 0: none; else the number of the step, from 1.
  unsigned unused;
  std::int64_t value;
};

struct GatherArgs {
  const void* x;        // [outer, extent, slice]
  const void* indices;  // [number], i32 or i64
  void* y;              // [outer, number, slice]
  std::int64_t count;   ///< Elements of y.
  std::int64_t extent, number, slice;
  bool narrow;  ///< Indices are i32.
  Complaint* complaint;
  unsigned step;
};

/// The numbers are prs::PadParams::Mode's.
enum class PadMode : int { kConstant, kReflect, kEdge, kWrap };

struct PadArgs {
  const void* x;
  const void* value;  ///< One element on the device, or null for `bits`.
  void* y;
  std::int64_t count;
  std::uint64_t bits;
  PadMode mode;
  int rank;
  std::int64_t extents[kMaxRank];  ///< Of y.
  std::int64_t first[kMaxRank];    ///< As prs::ops::pad::AxisPad.
  std::int64_t kept[kMaxRank];
  std::int64_t before[kMaxRank];
  std::int64_t strides[kMaxRank];  ///< Of x.
};

/// Independent sums that a thread (FMA) or a warp (mma) keeps, enough to hide an instruction's
/// latency.
inline constexpr int kPeakSums = 8;

/// B of the wgmma kernels: 256 columns of 64.
inline constexpr int kPeakTileBytes = 256 * 64 * 2;

/// Arithmetic in registers and nothing else: sum j starts at j and takes `rounds` products.
struct PeakArgs {
  float* y;  ///< [threads]: the thread's sums, added up.
  std::int64_t rounds;
  float factor;           ///< FMA: sum = sum * factor + factor.
  std::uint32_t operand;  ///< mma: every register of both operands.
};

}  // namespace prs::cuda
