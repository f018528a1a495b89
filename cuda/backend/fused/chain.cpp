#include "backend/fused/chain.hpp"

#include <algorithm>

#include "graph/step.hpp"
#include "ops/arg_max.hpp"
#include "ops/conv.hpp"
#include "ops/gemm.hpp"
#include "ops/pool.hpp"
#include "ops/support.hpp"

namespace prs::cuda {
namespace {

const Tensor* f32_constant(const Graph& graph, const Node& node, std::size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return nullptr;
  const Tensor* tensor = graph.value(node.inputs[i]).constant.get();
  return tensor != nullptr && tensor->dtype() == DType::kFloat32 ? tensor : nullptr;
}

bool has_input(const Node& node, std::size_t i) {
  return i < node.inputs.size() && node.inputs[i] != kNoValue;
}

/// i8 weights, multipliers and offsets, which a quantised layer has behind its input.
bool has_quantized_constants(const Graph& graph, const Node& node) {
  const auto is_constant = [&](std::size_t i) {
    return graph.value(node.inputs[i]).constant != nullptr;
  };
  return is_constant(1) && is_constant(2) && is_constant(3);
}

/// Of QuantizeLinear or DequantizeLinear: one scale and at most one zero point, both constant.
bool has_one_scale(const Graph& graph, const Node& node) {
  const Tensor* scale = f32_constant(graph, node, 1);
  if (scale == nullptr || scale->elements() != 1) return false;
  if (!has_input(node, 2)) return true;
  const auto& zero_point = graph.value(node.inputs[2]).constant;
  return zero_point != nullptr && zero_point->elements() == 1;
}

/// Extents with which no product of a few, in int, overflows before it is compared with the limits.
bool is_small(const ops::Window& window) {
  constexpr std::int64_t kLargest = 1 << 15;
  return std::all_of(window.begin(), window.end(), [](const ops::WindowAxis& axis) {
    return std::max({axis.in + axis.pad_begin + axis.pad_end, axis.out, axis.stride,
                     axis.dilation}) <= kLargest;
  });
}

/// A square window of at most 3 x 3 without padding, all of it inside.
bool pool_fits(const ops::Window& window) {
  const auto& [depth, height, width] = window;
  const auto inside = [](const ops::WindowAxis& axis) {
    return axis.pad_begin == 0 && axis.dilation == 1 &&
           (axis.out - 1) * axis.stride + axis.kernel <= axis.in;
  };
  return depth.kernel == 1 && depth.in == 1 && height.kernel == width.kernel &&
         height.kernel <= 3 && inside(height) && inside(width);
}

class ChainFinder {
 public:
  explicit ChainFinder(const Graph& graph) : graph_(graph), readers_(graph.values.size(), 0) {
    for (const Node& node : graph.nodes) {
      for (const ValueId id : node.inputs) {
        if (id != kNoValue) ++readers_[static_cast<std::size_t>(id)];
      }
    }
    for (const GraphPort& port : graph.outputs) ++readers_[static_cast<std::size_t>(port.value)];
  }

  Chain run() {
    if (graph_.inputs.size() != 1) {
      chain_.end = "a graph with several inputs";
      return std::move(chain_);
    }
    chain_.input = current_ = graph_.inputs[0].value;
    const Value& input = graph_.value(current_);
    const bool known = input.dtype == DType::kUint8 || input.dtype == DType::kFloat32;
    if (!known || input.shape->rank() < 1) {
      chain_.end = "an input that is not a batch of u8 or f32";
      return std::move(chain_);
    }
    images_ = (*input.shape)[0];
    for (std::size_t i = 0; i < graph_.nodes.size() && chain_.scores == Scores::kStored; ++i) {
      const Node& node = graph_.nodes[i];
      const bool next = !node.inputs.empty() && node.inputs[0] == current_ &&
                        readers_[static_cast<std::size_t>(current_)] == 1 &&
                        node.outputs.size() == 1;
      const bool taken = next && (is_view(node) ? take_view(node) : take_layer(node));
      if (!taken) {
        chain_.end =
            "node '" + printable(node.name) + "' (" + std::string(op_def(node.kind).name) + ")";
        break;
      }
      current_ = node.outputs[0];
      // A view at the end stays with what follows.
      if (is_view(node)) continue;
      chain_.nodes = i + 1;
      chain_.output = current_;
      if (chain_.convolutions.empty() || !chain_.dense.empty()) continue;
      chain_.convolutions.back().nodes = chain_.nodes;
      chain_.convolutions.back().output = chain_.output;
    }
    return std::move(chain_);
  }

 private:
  const Shape& shape(ValueId id) const { return *graph_.value(id).shape; }

  /// A view keeps the images apart; what it makes of one, the next layer judges.
  bool take_view(const Node& node) const {
    const Shape& after = shape(node.outputs[0]);
    return after.rank() >= 1 && after[0] == images_;
  }

  bool take_layer(const Node& node) {
    switch (node.kind) {
      case OpKind::kNormalize:
        return take_normalize(node);
      case OpKind::kQuantizeLinear:
        return take_quantize(node);
      case OpKind::kConv:
        return f32_constant(graph_, node, 1) != nullptr && is_bias_known(node) &&
               take_conv(node, std::get<ConvParams>(node.params), false);
      case OpKind::kQuantizedConv:
        return has_quantized_constants(graph_, node) &&
               take_conv(node, std::get<QuantizedConvParams>(node.params).conv, true);
      case OpKind::kMaxPool:
        return take_pool(node);
      case OpKind::kGemm:
        return take_gemm(node);
      case OpKind::kQuantizedGemm:
        return take_quantized_gemm(node);
      case OpKind::kDequantizeLinear:
        return take_dequantize(node);
      case OpKind::kArgMax:
        return take_arg_max(node);
      default:
        return false;
    }
  }

  bool has_layers() const { return !chain_.convolutions.empty() || !chain_.dense.empty(); }

  /// Whether a layer of that kind goes with those before it.
  bool is_of_a_kind(bool quantized) const {
    if (has_layers()) return quantized == chain_.quantized;
    return quantized || chain_.quantize == nullptr;
  }

  bool is_bias_known(const Node& node) const {
    return !has_input(node, 2) || f32_constant(graph_, node, 2) != nullptr;
  }

  bool take_normalize(const Node& node) {
    if (chain_.normalize != nullptr || has_layers() || current_ != chain_.input ||
        (shape(current_).rank() != 4 && shape(node.outputs[0]).rank() != 4) ||
        std::get<NormalizeParams>(node.params).channel_axis != 1) {
      return false;
    }
    chain_.normalize = &node;
    return true;
  }

  bool take_quantize(const Node& node) {
    if (chain_.quantize != nullptr || has_layers() || !has_one_scale(graph_, node)) return false;
    chain_.quantize = &node;
    return true;
  }

  bool take_conv(const Node& node, const ConvParams& params, bool quantized) {
    if (!chain_.dense.empty() || !is_of_a_kind(quantized) || shape(current_).rank() != 4 ||
        params.group != 1) {
      return false;
    }
    if (!chain_.convolutions.empty() && shape(current_) != shape(last_planes_)) return false;
    const Tensor& weights = *graph_.value(node.inputs[1]).constant;
    const ops::Window window = ops::conv::resolve(params, shape(current_), weights.shape());
    if (!is_small(window)) return false;
    chain_.quantized = quantized;
    chain_.convolutions.push_back({.node = &node, .window = window, .pool_window = {}});
    last_planes_ = node.outputs[0];
    return true;
  }

  bool take_pool(const Node& node) {
    if (chain_.convolutions.empty() || chain_.convolutions.back().pool != nullptr ||
        current_ != last_planes_) {
      return false;
    }
    const auto window = ops::pool::resolve(std::get<PoolParams>(node.params), shape(current_));
    if (!pool_fits(window)) return false;
    chain_.convolutions.back().pool = &node;
    chain_.convolutions.back().pool_window = window;
    last_planes_ = node.outputs[0];
    return true;
  }

  bool take_gemm(const Node& node) {
    const Tensor* weights = f32_constant(graph_, node, 1);
    const auto& params = std::get<GemmParams>(node.params);
    if (weights == nullptr || params.trans_a || !is_of_a_kind(false) ||
        (chain_.normalize && chain_.convolutions.empty())) {
      return false;
    }
    const auto [m, n, k] = ops::gemm::resolve(params, shape(current_), weights->shape());
    if (has_input(node, 2)) {
      const Tensor* bias = f32_constant(graph_, node, 2);
      if (bias == nullptr || ops::broadcast_strides(bias->shape(), Shape{m, n})[0] != 0)
        return false;
    }
    return take_dense(node, m, n, k);
  }

  bool take_quantized_gemm(const Node& node) {
    if (!has_quantized_constants(graph_, node) || !is_of_a_kind(true)) return false;
    const GemmParams params{.trans_b = std::get<QuantizedGemmParams>(node.params).trans_b,
                            .activation = {}};
    const Shape& weights = graph_.value(node.inputs[1]).constant->shape();
    const auto [m, n, k] = ops::gemm::resolve(params, shape(current_), weights);
    if (!take_dense(node, m, n, k)) return false;
    chain_.quantized = true;
    return true;
  }

  bool take_dense(const Node& node, std::int64_t m, std::int64_t n, std::int64_t k) {
    if (m != images_ || n < 1 || k < 1) return false;
    chain_.dense.push_back({&node, k, n});
    return true;
  }

  bool take_dequantize(const Node& node) {
    if (!chain_.quantized || chain_.dense.empty() || !has_one_scale(graph_, node)) return false;
    chain_.dequantize = &node;
    return true;
  }

  bool take_arg_max(const Node& node) {
    const auto& params = std::get<ArgMaxParams>(node.params);
    if (chain_.dense.empty() || shape(current_).rank() != 2 ||
        graph_.value(current_).dtype != DType::kFloat32) {
      return false;
    }
    const auto extents = ops::arg_max::extents(params, shape(current_));
    if (extents.outer != images_ || extents.inner != 1) return false;
    chain_.scores = params.select_last_index ? Scores::kLastLargest : Scores::kFirstLargest;
    return true;
  }

  const Graph& graph_;
  std::vector<int> readers_;
  Chain chain_;
  ValueId current_ = kNoValue;
  ValueId last_planes_ = kNoValue;  ///< What the last convolution, or its pool, gives.
  std::int64_t images_ = 0;
};

}  // namespace

Chain find_chain(const Graph& graph) { return ChainFinder(graph).run(); }

Chain front_of(const Chain& chain, std::size_t count) {
  Chain front;
  front.input = chain.input;
  front.normalize = chain.normalize;
  front.quantize = chain.quantize;
  front.quantized = chain.quantized;
  front.convolutions.assign(chain.convolutions.begin(),
                            chain.convolutions.begin() + static_cast<std::ptrdiff_t>(count));
  front.nodes = front.convolutions.back().nodes;
  front.output = front.convolutions.back().output;
  return front;
}

bool read_by_products(const Graph& graph, ValueId value) {
  std::vector<bool> shows(graph.values.size(), false);
  shows[static_cast<std::size_t>(value)] = true;
  int products = 0;
  for (const Node& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId input = node.inputs[i];
      if (input == kNoValue || !shows[static_cast<std::size_t>(input)]) continue;
      if (is_view(node)) {
        shows[static_cast<std::size_t>(node.outputs[0])] = true;
      } else if (i == 0 && node.kind == OpKind::kGemm && f32_constant(graph, node, 1) != nullptr &&
                 !std::get<GemmParams>(node.params).trans_a) {
        ++products;
      } else {
        return false;
      }
    }
  }
  return products > 0 &&
         std::none_of(graph.outputs.begin(), graph.outputs.end(), [&](const GraphPort& port) {
           return shows[static_cast<std::size_t>(port.value)];
         });
}

std::vector<float> biases_of(const Graph& graph, const Node& node, std::int64_t outputs,
                             float beta) {
  std::vector<float> biases(static_cast<std::size_t>(outputs), 0.0F);
  const Tensor* bias = f32_constant(graph, node, 2);
  if (bias == nullptr) return biases;
  for (std::int64_t n = 0; n < outputs; ++n) {
    biases[static_cast<std::size_t>(n)] = beta * bias->as<float>()[bias->elements() == 1 ? 0 : n];
  }
  return biases;
}

}  // namespace prs::cuda
