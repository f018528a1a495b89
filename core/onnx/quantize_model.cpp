#include "onnx/quantize_model.hpp"

#include <google/protobuf/stubs/logging.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <unordered_map>

#include "check.hpp"
#include "graph/graph.hpp"
#include "onnx/tensor_proto.hpp"

namespace prs::onnx {
namespace {

using ::onnx::GraphProto;
using ::onnx::ModelProto;
using ::onnx::NodeProto;
using ::onnx::TensorProto;

/// From which opset on QuantizeLinear exists, and takes one scale a channel.
constexpr std::int64_t kFirstOpset = 10;
constexpr std::int64_t kPerChannelOpset = 13;

std::int64_t int_attribute(const NodeProto& node, const char* name, std::int64_t fallback) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return fallback;
}

float float_attribute(const NodeProto& node, const char* name, float fallback) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.f();
  }
  return fallback;
}

/// The axis of a layer's weights along which its output channels lie; -1 for other nodes, and for
/// those that 8-bit layers do not cover.
int channel_axis(const NodeProto& node) {
  if (!node.domain().empty() && node.domain() != "ai.onnx") return -1;
  if (node.op_type() == "Conv") return 0;
  if (node.op_type() == "MatMul") return 1;
  if (node.op_type() != "Gemm" || int_attribute(node, "transA", 0) != 0) return -1;
  return int_attribute(node, "transB", 0) != 0 ? 0 : 1;
}

/// u8 numbers that cover a range and 0.
struct Scale {
  float scale;
  std::uint8_t zero_point;
};

Scale cover(const Range& range) {
  const double low = std::min(0.0, static_cast<double>(range.low));
  const double high = std::max(0.0, static_cast<double>(range.high));
  double scale = (high - low) / 255.0;
  if (range.step > 0.0F && static_cast<double>(range.step) * 255.5 >= high - low) {
    scale = static_cast<double>(range.step);
  }
  // All zeros: any scale will do.
  if (!(scale > 1e-30)) scale = 1.0;
  const double zero_point = std::clamp(std::nearbyint(-low / scale), 0.0, 255.0);
  return {static_cast<float>(scale), static_cast<std::uint8_t>(zero_point)};
}

template <typename T>
void add_tensor(GraphProto& graph, const std::string& name, std::int32_t type,
                const std::vector<std::int64_t>& dims, const std::vector<T>& values) {
  TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
}

}  // namespace

struct FloatModel::Impl {
  ModelProto model;
  std::int64_t opset = 0;
  ExternalData external{{}};
  std::unordered_map<std::string, Tensor> constants;  ///< The f32 initializers.
  std::set<std::string> names;                        ///< Of all values and nodes.

  /// A name that nothing has yet.
  std::string fresh(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !names.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }

  bool is_layer(const NodeProto& node) const {
    const int axis = channel_axis(node);
    if (axis < 0 || node.input_size() < 2) return false;
    const auto weights = constants.find(node.input(1));
    if (weights == constants.end() || constants.contains(node.input(0))) return false;
    const Shape& shape = weights->second.shape();
    return node.op_type() == "Conv" ? shape.rank() >= 3 : shape.rank() == 2;
  }

  /// QuantizeLinear or DequantizeLinear of operands of these names, in front of what is to come.
  std::string add_step(std::vector<NodeProto>& nodes, const char* op, const std::string& input,
                       const std::string& scale, const std::string& zero_point,
                       const std::string& output, int axis) {
    NodeProto node;
    node.set_op_type(op);
    node.set_name(fresh(output + "_" + op));
    node.add_input(input);
    node.add_input(scale);
    node.add_input(zero_point);
    node.add_output(fresh(output));
    if (axis >= 0) {
      ::onnx::AttributeProto& attribute = *node.add_attribute();
      attribute.set_name("axis");
      attribute.set_type(::onnx::AttributeProto::INT);
      attribute.set_i(axis);
    }
    nodes.push_back(std::move(node));
    return nodes.back().output(0);
  }

  std::string quantize_activation(std::vector<NodeProto>& nodes, const std::string& name,
                                  const Scale& scale) {
    GraphProto& graph = *model.mutable_graph();
    const std::string scale_name = fresh(name + "_scale");
    const std::string zero_name = fresh(name + "_zero_point");
    add_tensor<float>(graph, scale_name, TensorProto::FLOAT, {}, {scale.scale});
    add_tensor<std::uint8_t>(graph, zero_name, TensorProto::UINT8, {}, {scale.zero_point});
    const std::string steps =
        add_step(nodes, "QuantizeLinear", name, scale_name, zero_name, name + "_quantized", -1);
    return add_step(nodes, "DequantizeLinear", steps, scale_name, zero_name, name + "_dequantized",
                    -1);
  }

  /// i8 weights and i32 bias in place of the layer's own.
  void quantize_layer(std::vector<NodeProto>& nodes, NodeProto& layer, float x_scale) {
    GraphProto& graph = *model.mutable_graph();
    const Tensor weights = constants.at(layer.input(1));
    const Shape& shape = weights.shape();
    const int axis = channel_axis(layer);
    const std::int64_t channels = shape[axis];
    const std::int64_t inner = shape.elements(axis + 1, shape.rank());
    const bool each = opset >= kPerChannelOpset;
    const Tensor* bias = nullptr;
    if (layer.input_size() > 2 && constants.contains(layer.input(2))) {
      const Tensor& given = constants.at(layer.input(2));
      const bool scaled =
          layer.op_type() == "Gemm" && (float_attribute(layer, "alpha", 1.0F) != 1.0F ||
                                        float_attribute(layer, "beta", 1.0F) != 1.0F);
      if (given.shape() == Shape{channels} && !scaled) bias = &given;
    }
    const auto channel = [&](std::int64_t i) {
      return static_cast<std::size_t>(each ? i / inner % channels : 0);
    };
    std::vector<float> largest(static_cast<std::size_t>(each ? channels : 1), 0.0F);
    for (std::int64_t i = 0; i < weights.elements(); ++i) {
      largest[channel(i)] = std::max(largest[channel(i)], std::abs(weights.as<float>()[i]));
    }
    std::vector<float> scales;
    for (std::size_t c = 0; c < largest.size(); ++c) {
      // Not so small that the bias leaves 32 bits; of weights that are all zero that alone decides.
      float widest = 0.0F;
      for (std::int64_t b = 0; bias != nullptr && b < channels; ++b) {
        if (!each || b == static_cast<std::int64_t>(c)) {
          widest = std::max(widest, std::abs(bias->as<float>()[b]));
        }
      }
      const float scale = std::max(largest[c] / 127.0F, widest / (x_scale * 0x1p28F));
      scales.push_back(scale > 1e-30F ? scale : 1.0F);
    }
    std::vector<std::int8_t> steps(static_cast<std::size_t>(weights.elements()));
    for (std::int64_t i = 0; i < weights.elements(); ++i) {
      const float step = std::nearbyint(weights.as<float>()[i] / scales[channel(i)]);
      steps[static_cast<std::size_t>(i)] =
          static_cast<std::int8_t>(std::clamp(step, -127.0F, 127.0F));
    }
    const std::vector<std::int64_t> dims(shape.begin(), shape.end());
    std::vector<std::int64_t> scale_dims;
    if (each) scale_dims.push_back(channels);
    const std::string& name = layer.input(1);
    const std::string steps_name = fresh(name + "_quantized");
    const std::string scale_name = fresh(name + "_scale");
    const std::string zero_name = fresh(name + "_zero_point");
    add_tensor(graph, steps_name, TensorProto::INT8, dims, steps);
    add_tensor(graph, scale_name, TensorProto::FLOAT, scale_dims, scales);
    add_tensor(graph, zero_name, TensorProto::INT8, scale_dims,
               std::vector<std::int8_t>(scales.size(), 0));
    layer.set_input(1, add_step(nodes, "DequantizeLinear", steps_name, scale_name, zero_name,
                                name + "_dequantized", each ? axis : -1));
    if (bias == nullptr) return;
    std::vector<float> bias_scales;
    for (const float scale : scales) bias_scales.push_back(scale * x_scale);
    std::vector<std::int32_t> bias_steps;
    for (std::int64_t c = 0; c < channels; ++c) {
      const double scale = static_cast<double>(bias_scales[each ? static_cast<std::size_t>(c) : 0]);
      bias_steps.push_back(static_cast<std::int32_t>(
          std::nearbyint(static_cast<double>(bias->as<float>()[c]) / scale)));
    }
    const std::string& bias_name = layer.input(2);
    const std::string bias_steps_name = fresh(bias_name + "_quantized");
    const std::string bias_scale_name = fresh(bias_name + "_scale");
    const std::string bias_zero_name = fresh(bias_name + "_zero_point");
    add_tensor(graph, bias_steps_name, TensorProto::INT32, {channels}, bias_steps);
    add_tensor(graph, bias_scale_name, TensorProto::FLOAT, scale_dims, bias_scales);
    add_tensor(graph, bias_zero_name, TensorProto::INT32, scale_dims,
               std::vector<std::int32_t>(scales.size(), 0));
    layer.set_input(2, add_step(nodes, "DequantizeLinear", bias_steps_name, bias_scale_name,
                                bias_zero_name, bias_name + "_dequantized", each ? 0 : -1));
  }

  /// Drops the initializers that nothing reads any more.
  void drop_unread() {
    std::set<std::string> read;
    for (const NodeProto& node : model.graph().node()) {
      for (const std::string& input : node.input()) read.insert(input);
    }
    for (const auto& output : model.graph().output()) read.insert(output.name());
    for (const auto& input : model.graph().input()) read.insert(input.name());
    auto& initializers = *model.mutable_graph()->mutable_initializer();
    const auto kept =
        std::remove_if(initializers.begin(), initializers.end(),
                       [&](const TensorProto& tensor) { return !read.contains(tensor.name()); });
    initializers.erase(kept, initializers.end());
  }
};

FloatModel::FloatModel(std::span<const char> bytes, std::string source)
    : source_(std::move(source)), impl_(std::make_unique<Impl>()) {
  const google::protobuf::LogSilencer silencer;
  if (!impl_->model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    fail_model("{}: not an ONNX model, or a truncated one", source_);
  }
  const GraphProto& graph = impl_->model.graph();
  for (const auto& opset : impl_->model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") impl_->opset = opset.version();
  }
  if (impl_->opset < kFirstOpset) {
    fail_unsupported("{}: opset {} has no QuantizeLinear; export the model with opset {} or later",
                     source_, impl_->opset, kPerChannelOpset);
  }
  for (const TensorProto& tensor : graph.initializer()) {
    impl_->names.insert(tensor.name());
    if (tensor.data_location() == TensorProto::EXTERNAL) {
      fail_unsupported("{}: the model's weights are in other files; save it as one file first",
                       source_);
    }
    if (tensor.data_type() != TensorProto::FLOAT) continue;
    try {
      impl_->constants.emplace(tensor.name(), to_tensor(tensor, impl_->external));
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: initializer '{}': {}", source_,
                                            printable(tensor.name()), error.message()));
    }
  }
  for (const auto& input : graph.input()) impl_->names.insert(input.name());
  for (const NodeProto& node : graph.node()) {
    impl_->names.insert(node.name());
    for (const std::string& output : node.output()) impl_->names.insert(output);
    if (node.op_type() == "QuantizeLinear" || node.op_type() == "QLinearConv") {
      fail_argument("{}: the model is quantised already (node '{}'); use it as it is", source_,
                    printable(node.name()));
    }
  }
  std::set<std::string> seen;
  for (const NodeProto& node : graph.node()) {
    if (impl_->is_layer(node) && seen.insert(node.input(0)).second) {
      activations_.push_back(node.input(0));
    }
  }
  if (activations_.empty()) {
    fail_argument(
        "{}: nothing to quantise: the model has no Conv, Gemm or MatMul with constant f32 weights",
        source_);
  }
}

FloatModel::~FloatModel() = default;

std::string FloatModel::quantize(const std::map<std::string, Range>& ranges) {
  std::vector<NodeProto> nodes;
  std::unordered_map<std::string, std::string> dequantized;
  for (const NodeProto& old : impl_->model.graph().node()) {
    NodeProto node = old;
    const auto range = impl_->is_layer(node) ? ranges.find(node.input(0)) : ranges.end();
    if (range != ranges.end()) {
      const std::string& activation = range->first;
      const Scale scale = cover(range->second);
      auto at = dequantized.find(activation);
      if (at == dequantized.end()) {
        at = dequantized.emplace(activation, impl_->quantize_activation(nodes, activation, scale))
                 .first;
      }
      node.set_input(0, at->second);
      impl_->quantize_layer(nodes, node, scale.scale);
    }
    nodes.push_back(std::move(node));
  }
  if (dequantized.empty()) {
    fail_argument("{}: nothing to quantise: no layer with constant f32 weights leads to the output",
                  source_);
  }
  auto& list = *impl_->model.mutable_graph()->mutable_node();
  list.Clear();
  for (NodeProto& node : nodes) *list.Add() = std::move(node);
  impl_->drop_unread();
  impl_->model.set_producer_name("prs-gpu quantize");
  impl_->model.clear_producer_version();
  return impl_->model.SerializeAsString();
}

}  // namespace prs::onnx
