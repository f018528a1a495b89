// Small networks for the tests of the fused kernels.
#pragma once

#include <cmath>
#include <optional>
#include <random>

#include "graph/graph.hpp"
#include "unit/cuda/parity_support.hpp"
#include "unit/ops/quantized_cases.hpp"

namespace prs::test {

/// Builds a graph layer by layer from one input; weights are random and fixed by the seed. With
/// `rounds`, what a product reads is rounded to the precision by Casts in front of it: the
/// interpreter then computes what a kernel of that precision does.
class NetworkBuilder {
 public:
  /// With a precision: weights are multiples of 1/8 between -1 and 1, so that sums of a few layers
  /// are exact in f32 and no order of adding changes how they are rounded afterwards.
  NetworkBuilder(DType dtype, const Shape& shape, std::optional<Precision> precision = {},
                 bool rounds = false)
      : precision_(precision), rounds_(rounds) {
    graph_.source = "test";
    current_ = value(dtype, shape);
    graph_.inputs.push_back({current_, dtype, {}});
  }

  NetworkBuilder& conv(const Shape& weights, ConvParams params, bool bias = true) {
    round();
    std::vector<ValueId> inputs = {current_, constant(weights)};
    if (bias) inputs.push_back(constant(Shape{weights[0]}));
    return node(OpKind::kConv, std::move(params), inputs);
  }
  NetworkBuilder& max_pool(std::int64_t size, std::int64_t stride) {
    PoolParams params;
    params.kernel_shape = {size, size};
    params.strides = {stride, stride};
    return node(OpKind::kMaxPool, params, {current_});
  }
  /// Rows of a table, by what came so far.
  NetworkBuilder& gather(const Shape& table) {
    return node(OpKind::kGather, GatherParams{}, {constant(table), current_});
  }
  NetworkBuilder& flatten() { return node(OpKind::kFlatten, FlattenParams{}, {current_}); }
  NetworkBuilder& gemm(std::int64_t outputs, GemmParams params = {}) {
    round();
    const std::int64_t inputs = type(current_).shape[1];
    const Shape weights = params.trans_b ? Shape{outputs, inputs} : Shape{inputs, outputs};
    return node(OpKind::kGemm, params, {current_, constant(weights), constant(Shape{outputs})});
  }
  /// To u8 or i8.
  NetworkBuilder& quantize(const Tensor& zero_point, float scale) {
    return step(OpKind::kQuantizeLinear, zero_point, scale);
  }
  NetworkBuilder& dequantize(const Tensor& zero_point, float scale) {
    return step(OpKind::kDequantizeLinear, zero_point, scale);
  }
  /// To `to`, with zero points, multipliers and offsets at random.
  NetworkBuilder& quantized_conv(const Shape& weights, const ConvParams& params, DType to) {
    return quantized_layer(OpKind::kQuantizedConv, weights, QuantizedConvParams{params, ends(to)},
                           weights[0]);
  }
  NetworkBuilder& quantized_gemm(std::int64_t outputs, DType to, bool trans_b = false) {
    const std::int64_t inputs = type(current_).shape[1];
    return quantized_layer(OpKind::kQuantizedGemm,
                           trans_b ? Shape{outputs, inputs} : Shape{inputs, outputs},
                           QuantizedGemmParams{trans_b, ends(to)}, outputs);
  }
  NetworkBuilder& node(OpKind kind, Params params, std::vector<ValueId> inputs = {}) {
    if (inputs.empty()) inputs = {current_};
    std::vector<InputInfo> types;
    for (const ValueId id : inputs) types.push_back({type(id), graph_.value(id).constant.get()});
    std::vector<TensorType> outputs(1);
    op_def(kind).infer({kind, params, types}, outputs);
    current_ = value(outputs[0].dtype, outputs[0].shape);
    graph_.nodes.push_back({kind,
                            "node" + std::to_string(graph_.nodes.size()),
                            std::move(params),
                            std::move(inputs),
                            {current_}});
    return *this;
  }

  Graph graph() {
    Graph result = graph_;
    result.outputs.push_back({current_, result.value(current_).dtype, {}});
    return result;
  }

 private:
  void round() {
    if (!rounds_ || type(current_).dtype != DType::kFloat32) return;
    node(OpKind::kCast,
         CastParams{*precision_ == Precision::kBf16 ? DType::kBFloat16 : DType::kFloat16});
    node(OpKind::kCast, CastParams{DType::kFloat32});
  }
  NetworkBuilder& step(OpKind kind, const Tensor& zero_point, float scale) {
    return node(kind, QuantizeParams{.to = zero_point.dtype()},
                {current_, constant(tensor<float>({}, {scale})), constant(zero_point)});
  }
  Requantization ends(DType to) { return random_ends(to, type(current_).dtype, random_); }
  NetworkBuilder& quantized_layer(OpKind kind, const Shape& weights, Params params,
                                  std::int64_t channels) {
    std::vector<ValueId> inputs = {
        current_, constant(random_tensor(DType::kInt8, weights, random_, -128, 128))};
    for (const Tensor& table : random_tables(channels, weights.elements() / channels, random_)) {
      inputs.push_back(constant(table));
    }
    return node(kind, std::move(params), inputs);
  }
  TensorType type(ValueId id) const { return {graph_.value(id).dtype, *graph_.value(id).shape}; }
  ValueId value(DType dtype, const Shape& shape) {
    Value value;
    value.name = "value" + std::to_string(graph_.values.size());
    value.dtype = dtype;
    value.shape = shape;
    return graph_.add_value(value);
  }
  ValueId constant(const Shape& shape) {
    Tensor values = random_tensor(DType::kFloat32, shape, random_);
    for (std::int64_t i = 0; precision_ && i < values.elements(); ++i) {
      values.as<float>()[i] = std::floor(values.as<float>()[i] * 8) / 8;
    }
    return constant(std::move(values));
  }
  ValueId constant(Tensor values) { return graph_.add_constant("constant", std::move(values)); }

  std::optional<Precision> precision_;
  bool rounds_;
  Graph graph_;
  ValueId current_ = kNoValue;
  std::mt19937_64 random_{7};
};

inline cuda::DeviceLimits limits_of(std::int64_t shared_bytes, int multiprocessors) {
  cuda::DeviceLimits limits;
  limits.shared_bytes = shared_bytes;
  limits.multiprocessors = multiprocessors;
  return limits;
}

/// As of compute capability 8.6, but for the multiprocessors.
inline const cuda::DeviceLimits kLarge = limits_of(99 << 10, 1);

inline GemmParams relu() {
  GemmParams params;
  params.activation.kind = Activation::Kind::kRelu;
  return params;
}

inline ConvParams padded(std::int64_t pad, Activation::Kind activation = Activation::Kind::kRelu) {
  ConvParams params;
  params.pads = {pad, pad, pad, pad};
  params.activation.kind = activation;
  return params;
}

/// What the plan says of fusing.
inline std::string note_of(const Graph& graph, const cuda::DeviceLimits& limits,
                           Precision precision = Precision::kFp32) {
  const auto backend = cuda::make_backend(make_test_runtime({}, limits));
  return backend->compile(graph, {.limits = {}, .precision = precision})->notes()[0];
}

}  // namespace prs::test
