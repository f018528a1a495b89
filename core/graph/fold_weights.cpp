// Passes that multiply constants into the weights of the layer before or after them. New weights
// are computed in double and rounded once.
#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <variant>

#include "graph/passes.hpp"
#include "graph/rewrite.hpp"

namespace prs {
namespace {

/// How often a pass rewrites the weights of one layer. More would be a chain built to cost time.
constexpr int kMaxRewrites = 4;

/// A layer with constant f32 weights and bias, seen as y[k] = sum w[k] x + b[k].
struct Layer {
  const Tensor* weights = nullptr;  // Conv [K, C/group, ...]; Gemm [I, K] or, trans_b, [K, I]
  const Tensor* bias = nullptr;     // [K] (Gemm: anything that broadcasts), null: zero
  std::int64_t channels = 0;        // K
  std::int64_t channel_axis = 0;    // of the weights
  double bias_factor = 1.0;         // Gemm's beta
};

/// The activation of a node that can hold one, or null.
const Activation* activation_of(const Node& node) {
  if (const auto* conv = std::get_if<ConvParams>(&node.params)) return &conv->activation;
  if (const auto* gemm = std::get_if<GemmParams>(&node.params)) return &gemm->activation;
  return nullptr;
}

std::optional<Layer> as_layer(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kConv && node.kind != OpKind::kGemm) return std::nullopt;
  if (activation_of(node)->kind != Activation::Kind::kNone) return std::nullopt;
  Layer layer;
  layer.weights = f32_constant(graph, node.inputs[1]);
  if (layer.weights == nullptr || layer.weights->shape().rank() < 2) return std::nullopt;
  if (const auto* gemm = std::get_if<GemmParams>(&node.params)) {
    if (layer.weights->shape().rank() != 2) return std::nullopt;
    layer.channel_axis = gemm->trans_b ? 0 : 1;
    layer.bias_factor = static_cast<double>(gemm->beta);
  }
  layer.channels = layer.weights->shape()[layer.channel_axis];
  if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
    layer.bias = f32_constant(graph, node.inputs[2]);
    if (layer.bias == nullptr) return std::nullopt;
    const Shape& shape = layer.bias->shape();
    // One value, or one a channel along the last axis; a bias that differs between rows stays.
    const std::int64_t elements = layer.bias->elements();
    const bool per_channel =
        elements == 1 || (elements == layer.channels && shape[shape.rank() - 1] == elements);
    if (!per_channel) return std::nullopt;
  }
  return layer;
}

/// Counts readers as the passes began; weights made since have one. Rewriting weights that several
/// layers share would multiply them.
class Readers {
 public:
  explicit Readers(const Graph& graph) : readers_(count_readers(graph)) {}
  bool share(const Layer& layer) const {
    const auto found = readers_.find(layer.weights->data());
    return found != readers_.end() && found->second > 1;
  }

 private:
  std::unordered_map<const void*, int> readers_;
};

double bias_at(const Layer& layer, std::int64_t channel) {
  if (layer.bias == nullptr) return 0.0;
  const std::int64_t index = layer.bias->elements() == 1 ? 0 : channel;
  return layer.bias_factor * static_cast<double>(layer.bias->as<float>()[index]);
}

/// The weights with every channel of `axis` multiplied by factor(channel).
template <typename Factor>
Tensor scaled(const Tensor& weights, std::int64_t axis, const Factor& factor) {
  Tensor result(DType::kFloat32, weights.shape());
  const Shape& shape = weights.shape();
  const std::int64_t inner = shape.elements(axis + 1, shape.rank());
  const float* from = weights.as<float>();
  float* to = result.as<float>();
  for (std::int64_t i = 0; i < weights.elements(); ++i) {
    const std::int64_t channel = i / inner % shape[axis];
    to[i] = static_cast<float>(static_cast<double>(from[i]) * factor(channel));
  }
  return result;
}

/// Replaces weights and bias of the node; Gemm's beta becomes 1.
void set_layer(Graph& graph, Node& node, std::optional<Tensor> weights, Tensor bias) {
  if (weights) {
    node.inputs[1] = graph.add_constant(node.name + ".weights", std::move(*weights));
  }
  node.inputs.resize(3, kNoValue);
  node.inputs[2] = graph.add_constant(node.name + ".bias", std::move(bias));
  if (auto* gemm = std::get_if<GemmParams>(&node.params)) gemm->beta = 1.0F;
}

/// y' = scale[k] * y + shift[k] folded into the layer that gives y.
template <typename Scale, typename Shift>
void fold_affine(Graph& graph, Node& node, const Layer& layer, bool has_scale, const Scale& scale,
                 const Shift& shift) {
  Tensor bias(DType::kFloat32, Shape{layer.channels});
  for (std::int64_t k = 0; k < layer.channels; ++k) {
    bias.as<float>()[k] = static_cast<float>(bias_at(layer, k) * scale(k) + shift(k));
  }
  std::optional<Tensor> weights;
  if (has_scale) weights = scaled(*layer.weights, layer.channel_axis, scale);
  set_layer(graph, node, std::move(weights), std::move(bias));
}

/// Whether `constant`, broadcast against a result of `rank` dimensions with channels on axis
/// `channel_axis`, gives one value a channel and keeps the result's shape.
bool is_per_channel(const Shape& constant, std::int64_t rank, std::int64_t channel_axis,
                    std::int64_t channels) {
  if (constant.rank() > rank) return false;
  for (std::int64_t axis = 0; axis < constant.rank(); ++axis) {
    const std::int64_t result_axis = axis + rank - constant.rank();
    if (constant[axis] == 1) continue;
    if (result_axis != channel_axis || constant[axis] != channels) return false;
  }
  return true;
}

/// The constant operand of an Add or Mul over this layer's result as one value a channel.
const Tensor* channel_constant(const Graph& graph, const Node& consumer, ValueId layer_output,
                               const Layer& layer, const Node& node) {
  const auto& params = std::get<BinaryParams>(consumer.params);
  if (params.activation.kind != Activation::Kind::kNone) return nullptr;
  const bool first = consumer.inputs[0] == layer_output;
  const Tensor* constant = f32_constant(graph, consumer.inputs[first ? 1 : 0]);
  if (constant == nullptr) return nullptr;
  const bool is_conv = node.kind == OpKind::kConv;
  const std::int64_t rank = is_conv ? layer.weights->shape().rank() : 2;
  if (params.legacy_broadcast && constant->elements() != 1) {
    // Opsets below 7: operand B's dimensions start at `axis` of A.
    const bool at_channels = first && constant->shape().rank() == 1 &&
                             params.legacy_axis.value_or(rank - 1) == 1 &&
                             constant->elements() == layer.channels;
    return at_channels ? constant : nullptr;
  }
  return is_per_channel(constant->shape(), rank, 1, layer.channels) ? constant : nullptr;
}

}  // namespace

int fold_batch_norms(Graph& graph) {
  std::vector<int> uses = count_uses(graph);
  std::vector<int> producer = producers(graph);
  const Readers readers(graph);
  std::vector<int> rewrites(graph.nodes.size(), 0);
  std::vector<bool> erase(graph.nodes.size(), false);
  int folded = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& norm = graph.nodes[i];
    if (norm.kind != OpKind::kBatchNormalization || norm.outputs.size() != 1) continue;
    const auto& params = std::get<BatchNormParams>(norm.params);
    const int before = producer[static_cast<std::size_t>(norm.inputs[0])];
    if (params.training_mode || !params.spatial || before < 0 ||
        uses[static_cast<std::size_t>(norm.inputs[0])] != 1) {
      continue;
    }
    Node& node = graph.nodes[static_cast<std::size_t>(before)];
    const std::optional<Layer> layer = as_layer(graph, node);
    if (!layer || readers.share(*layer)) continue;
    if (++rewrites[static_cast<std::size_t>(before)] > kMaxRewrites) continue;
    const Tensor* statistics[4];  // scale, bias, mean, variance: [K] each
    bool known = true;
    for (std::size_t k = 0; k < 4; ++k) {
      statistics[k] = f32_constant(graph, norm.inputs[k + 1]);
      known = known && statistics[k] != nullptr && statistics[k]->elements() == layer->channels;
    }
    if (!known) continue;
    const auto at = [&](std::size_t which, std::int64_t k) {
      return static_cast<double>(statistics[which]->as<float>()[k]);
    };
    const double epsilon = static_cast<double>(params.epsilon);
    const auto scale = [&](std::int64_t k) { return at(0, k) / std::sqrt(at(3, k) + epsilon); };
    const auto shift = [&](std::int64_t k) { return at(1, k) - at(2, k) * scale(k); };
    const ValueId output = norm.outputs[0];
    fold_affine(graph, node, *layer, true, scale, shift);
    node.outputs[0] = output;
    producer[static_cast<std::size_t>(output)] = before;
    erase[i] = true;
    ++folded;
  }
  erase_nodes(graph, erase);
  return folded;
}

int fold_channel_constants(Graph& graph) {
  std::vector<bool> erase(graph.nodes.size(), false);
  int folded = 0;
  // A MatMul of two matrices is a Gemm without bias.
  for (Node& node : graph.nodes) {
    if (node.kind != OpKind::kMatMul || f32_constant(graph, node.inputs[1]) == nullptr) continue;
    const Value& a = graph.value(node.inputs[0]);
    if (a.dtype != DType::kFloat32 || !a.shape || a.shape->rank() != 2 ||
        graph.value(node.inputs[1]).constant->shape().rank() != 2) {
      continue;
    }
    node.kind = OpKind::kGemm;
    node.params = GemmParams{};
    ++folded;
  }
  const std::vector<int> uses = count_uses(graph);
  std::vector<int> producer = producers(graph);
  const Readers readers(graph);
  std::vector<int> rewrites(graph.nodes.size(), 0);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& consumer = graph.nodes[i];
    if (consumer.kind != OpKind::kAdd && consumer.kind != OpKind::kMul) continue;
    for (const ValueId input : consumer.inputs) {
      const int before = producer[static_cast<std::size_t>(input)];
      if (before < 0 || uses[static_cast<std::size_t>(input)] != 1) continue;
      Node& node = graph.nodes[static_cast<std::size_t>(before)];
      const std::optional<Layer> layer = as_layer(graph, node);
      if (!layer) continue;
      const Tensor* constant = channel_constant(graph, consumer, input, *layer, node);
      if (constant == nullptr) continue;
      if (consumer.kind == OpKind::kMul &&
          (readers.share(*layer) || ++rewrites[static_cast<std::size_t>(before)] > kMaxRewrites)) {
        continue;
      }
      const auto at = [&](std::int64_t k) {
        return static_cast<double>(constant->as<float>()[constant->elements() == 1 ? 0 : k]);
      };
      const ValueId output = consumer.outputs[0];
      if (consumer.kind == OpKind::kAdd) {
        fold_affine(
            graph, node, *layer, false, [](std::int64_t) { return 1.0; }, at);
      } else {
        fold_affine(graph, node, *layer, true, at, [](std::int64_t) { return 0.0; });
      }
      node.outputs[0] = output;
      producer[static_cast<std::size_t>(output)] = before;
      erase[i] = true;
      ++folded;
      break;
    }
  }
  erase_nodes(graph, erase);
  return folded;
}

namespace {

/// x' = scale[c] * x + bias[c] in front of the layer, folded into it. Returns false when not exact.
bool fold_into_layer(Graph& graph, Node& node, const NormalizeParams& normalize,
                     const Shape& input) {
  const std::optional<Layer> layer = as_layer(graph, node);
  if (!layer || Readers(graph).share(*layer)) return false;
  const bool shifts = std::any_of(normalize.bias.begin(), normalize.bias.end(),
                                  [](float bias) { return bias != 0.0F; });
  const bool single = normalize.scale.size() == 1;
  const Shape& shape = layer->weights->shape();
  std::int64_t input_axis = 1;  // of the weights
  std::int64_t group = 1;
  if (const auto* conv = std::get_if<ConvParams>(&node.params)) {
    const bool pads = conv->auto_pad == AutoPad::kSameUpper ||
                      conv->auto_pad == AutoPad::kSameLower ||
                      std::any_of(conv->pads.begin(), conv->pads.end(),
                                  [](std::int64_t pad) { return pad != 0; });
    if (shifts && pads) return false;
    if (!single && normalize.channel_axis != 1) return false;
    group = conv->group;
    if (group < 1 || layer->channels % group != 0) return false;
  } else {
    const auto& gemm = std::get<GemmParams>(node.params);
    // Per-channel values along a row would need the row's layout; a flat input has one channel.
    if (gemm.trans_a || gemm.alpha != 1.0F || !single || input.rank() != 2) return false;
    input_axis = gemm.trans_b ? 1 : 0;
  }
  const std::int64_t inner = shape.elements(input_axis + 1, shape.rank());
  const auto channel_of = [&](std::int64_t flat) -> std::size_t {
    if (single) return 0;
    const std::int64_t filter = flat / (shape[1] * inner);
    const std::int64_t first = filter / (layer->channels / group) * shape[1];
    return static_cast<std::size_t>(first + flat / inner % shape[1]);
  };
  Tensor weights(DType::kFloat32, shape);
  std::vector<double> shift(static_cast<std::size_t>(layer->channels), 0.0);
  const float* from = layer->weights->as<float>();
  const std::int64_t channel_inner = shape.elements(layer->channel_axis + 1, shape.rank());
  for (std::int64_t i = 0; i < layer->weights->elements(); ++i) {
    const std::size_t c = channel_of(i);
    if (c >= normalize.scale.size()) return false;
    const double weight = static_cast<double>(from[i]);
    weights.as<float>()[i] = static_cast<float>(weight * static_cast<double>(normalize.scale[c]));
    const std::int64_t k = i / channel_inner % layer->channels;
    shift[static_cast<std::size_t>(k)] += weight * static_cast<double>(normalize.bias[c]);
  }
  if (!shifts && layer->bias == nullptr) {
    node.inputs[1] = graph.add_constant(node.name + ".weights", std::move(weights));
    return true;
  }
  Tensor bias(DType::kFloat32, Shape{layer->channels});
  for (std::int64_t k = 0; k < layer->channels; ++k) {
    bias.as<float>()[k] =
        static_cast<float>(bias_at(*layer, k) + shift[static_cast<std::size_t>(k)]);
  }
  set_layer(graph, node, std::move(weights), std::move(bias));
  return true;
}

/// Only the element order decides whether a per-tensor Normalize may move behind a node.
bool is_view(const Node& node) {
  return node.kind == OpKind::kReshape || node.kind == OpKind::kFlatten ||
         node.kind == OpKind::kSqueeze || node.kind == OpKind::kUnsqueeze;
}

}  // namespace

int fold_normalizations(Graph& graph) {
  const std::vector<int> uses = count_uses(graph);
  std::vector<bool> erase(graph.nodes.size(), false);
  int folded = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node normalize = graph.nodes[i];
    if (normalize.kind != OpKind::kNormalize) continue;
    const auto& params = std::get<NormalizeParams>(normalize.params);
    // Follow the single reader through views, which only rename elements.
    ValueId current = normalize.outputs[0];
    std::vector<ValueId> retyped;
    Node* layer = nullptr;
    for (std::size_t k = i + 1; k < graph.nodes.size(); ++k) {
      Node& node = graph.nodes[k];
      if (node.inputs.empty() || node.inputs[0] != current) continue;
      if (uses[static_cast<std::size_t>(current)] != 1) break;
      if (is_view(node) && params.scale.size() == 1) {
        current = node.outputs[0];
        retyped.push_back(current);
        continue;
      }
      layer = &node;
      break;
    }
    if (layer == nullptr || !graph.value(current).shape ||
        uses[static_cast<std::size_t>(current)] != 1) {
      continue;
    }
    if (!fold_into_layer(graph, *layer, params, *graph.value(current).shape)) continue;
    const DType pixels = graph.value(normalize.inputs[0]).dtype;
    for (const ValueId id : retyped) {
      graph.value(id).dtype = pixels;
      graph.value(id).declared = DType::kUndefined;
    }
    replace_uses(graph, normalize.outputs[0], normalize.inputs[0]);
    erase[i] = true;
    ++folded;
  }
  erase_nodes(graph, erase);
  return folded;
}

}  // namespace prs
