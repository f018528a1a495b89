// What the attributes of each operator become after import: typed parameters, one struct a family.
//
// The importer's parse functions fill these; shape rules, references and every backend read them.
// Attributes that later opsets turned into inputs appear as std::optional "legacy" members: empty
// means "look at the input".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "prs/tensor.hpp"

namespace prs {

/// A function applied to each element of an operator's result before it is stored.
struct Activation {
  enum class Kind { kNone, kRelu, kLeakyRelu, kClip, kSigmoid, kTanh };
  Kind kind = Kind::kNone;
  float alpha = 0.0F;  ///< LeakyRelu: slope of the negative part. Clip: lower bound.
  float beta = 0.0F;   ///< Clip: upper bound.
};

enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };

/// Conv. Empty vectors mean ONNX's defaults (kernel_shape from the weights, strides and dilations
/// 1, pads 0). pads = all begins, then all ends.
struct ConvParams {
  std::vector<std::int64_t> kernel_shape;
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> dilations;
  std::vector<std::int64_t> pads;
  AutoPad auto_pad = AutoPad::kNotSet;
  std::int64_t group = 1;
  Activation activation;  ///< Set by fusion only.
};

/// MaxPool and AveragePool; conventions as ConvParams.
struct PoolParams {
  std::vector<std::int64_t> kernel_shape;
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> dilations;
  std::vector<std::int64_t> pads;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
  bool count_include_pad = false;  ///< AveragePool only.
  std::int64_t storage_order = 0;  ///< MaxPool's Indices: 0 row-major, 1 column-major.
};

/// Gemm: activation(alpha * A' * B' + beta * C). MatMul with a fused bias becomes a Gemm.
struct GemmParams {
  float alpha = 1.0F;
  float beta = 1.0F;
  bool trans_a = false;
  bool trans_b = false;
  Activation activation;  ///< Set by fusion only.
};

/// Add, Sub, Mul, Div. With legacy_broadcast set (opsets below 7), B is stretched to A's shape with
/// its first dimension at legacy_axis (default: right-aligned).
struct BinaryParams {
  bool legacy_broadcast = false;
  std::optional<std::int64_t> legacy_axis;
  Activation activation;  ///< Set by fusion only.
};

/// Neg, Relu, LeakyRelu (alpha), Sigmoid, Tanh.
struct UnaryParams {
  float alpha = 0.01F;
};

/// Clip. The bounds are inputs 1 and 2 from opset 11; legacy attributes before.
struct ClipParams {
  std::optional<float> legacy_min;
  std::optional<float> legacy_max;
};

/// Softmax, LogSoftmax. coerce_2d: opsets below 13 flatten to [prod(..axis), prod(axis..)] first.
struct SoftmaxParams {
  std::int64_t axis = -1;
  bool coerce_2d = false;
};

struct BatchNormParams {
  float epsilon = 1e-5F;
  float momentum = 0.9F;
  bool training_mode = false;
  bool spatial = true;  ///< false (opsets below 9): statistics for every element, not per channel.
};

struct ReshapeParams {
  bool allowzero = false;
  std::optional<std::vector<std::int64_t>> legacy_shape;  ///< Opsets below 5.
};

struct FlattenParams {
  std::int64_t axis = 1;
};

/// Squeeze and Unsqueeze; axes are input 1 from opset 13.
struct AxesParams {
  std::optional<std::vector<std::int64_t>> legacy_axes;
};

/// ReduceMean, ReduceSum, ReduceMax, ReduceMin; axes are input 1 from opset 13 or 18.
struct ReduceParams {
  std::optional<std::vector<std::int64_t>> legacy_axes;
  bool keepdims = true;
  bool noop_with_empty_axes = false;
};

/// Empty perm reverses the dimensions.
struct TransposeParams {
  std::vector<std::int64_t> perm;
};

struct ConcatParams {
  std::int64_t axis = 0;
};

struct ConstantParams {
  Tensor value;
};

/// value holds one element.
struct ConstantOfShapeParams {
  Tensor value;
};

struct ShapeParams {
  std::int64_t start = 0;
  std::optional<std::int64_t> end;
};

struct GatherParams {
  std::int64_t axis = 0;
};

/// Slice; starts, ends, axes and steps are inputs 1 to 4 from opset 10.
struct SliceParams {
  std::optional<std::vector<std::int64_t>> legacy_starts;
  std::optional<std::vector<std::int64_t>> legacy_ends;
  std::optional<std::vector<std::int64_t>> legacy_axes;
};

/// Dropout at inference, which is all that is supported.
struct DropoutParams {
  bool mask_like_input = false;  ///< Opsets below 10: the mask has x's element type, not bool.
};

struct CastParams {
  DType to = DType::kFloat32;
};

/// Pad; pads, constant value and axes are inputs 1 to 3 from opset 11.
struct PadParams {
  enum class Mode { kConstant, kReflect, kEdge, kWrap };
  Mode mode = Mode::kConstant;
  std::optional<std::vector<std::int64_t>> legacy_pads;
  float legacy_value = 0.0F;
};

struct ArgMaxParams {
  std::int64_t axis = 0;
  bool keepdims = true;
  bool select_last_index = false;
};

/// MeanVarianceNormalization: axes that mean and variance are taken over.
struct MeanVarianceParams {
  std::vector<std::int64_t> axes = {0, 2, 3};
};

/// Normalize, our own operator: y = scale[c] * x + bias[c] from u8 or f32 x to f32 y. Both vectors
/// hold one value, or one for each index of channel_axis.
struct NormalizeParams {
  std::vector<float> scale;
  std::vector<float> bias;
  std::int64_t channel_axis = 1;
};

/// QuantizeLinear and DequantizeLinear.
struct QuantizeParams {
  std::int64_t axis = 1;     ///< Of scales that are no scalar.
  DType to = DType::kUint8;  ///< QuantizeLinear without a zero point: the output's type.
};

/// What becomes of the sums of a quantised layer. Channel c's value is
/// v = min(max(f32(sum) * multiplier[c] + offset[c], low), high), each operation rounded to f32
/// (NaN becomes low). An f32 output is v; a quantised one v rounded to nearest even, plus its zero
/// point.
struct Requantization {
  DType to = DType::kFloat32;  ///< Or kUint8, kInt8.
  std::int32_t x_zero_point = 0;
  std::int32_t y_zero_point = 0;
  float low = 0.0F;  ///< Of a quantised output: zero point added, in its type's range.
  float high = 0.0F;
};

/// QuantizedConv, our own operator: a Conv of u8 or s8 x with s8 weights, without bias.
struct QuantizedConvParams {
  ConvParams conv;
  Requantization out;
};

/// QuantizedGemm, our own operator: x B, of u8 or s8 x with s8 B.
struct QuantizedGemmParams {
  bool trans_b = false;
  Requantization out;
};

using Params =
    std::variant<std::monostate, ConvParams, PoolParams, GemmParams, BinaryParams, UnaryParams,
                 ClipParams, SoftmaxParams, BatchNormParams, ReshapeParams, FlattenParams,
                 AxesParams, ReduceParams, TransposeParams, ConcatParams, ConstantParams,
                 ConstantOfShapeParams, ShapeParams, GatherParams, SliceParams, CastParams,
                 PadParams, ArgMaxParams, NormalizeParams, MeanVarianceParams, DropoutParams,
                 QuantizeParams, QuantizedConvParams, QuantizedGemmParams>;

}  // namespace prs
