// Turns the float layers of a quantised model, DequantizeLinear -> Conv, Gemm or MatMul -> Relu ->
// QuantizeLinear, into layers of 8-bit integers.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "check.hpp"
#include "graph/passes.hpp"
#include "graph/rewrite.hpp"
#include "ops/quantize.hpp"
#include "ops/quantized_layer.hpp"

namespace prs {
namespace {

/// value = (steps - zero_point) * scale, for all elements of a tensor.
struct Grid {
  float scale = 0.0F;
  std::int32_t zero_point = 0;
  DType dtype = DType::kUint8;
  bool operator==(const Grid&) const = default;
};

/// The grid of a QuantizeLinear or DequantizeLinear with one constant scale, on u8 or i8.
std::optional<Grid> grid_of(const Graph& graph, const Node& node) {
  const Tensor* scale = f32_constant(graph, node.inputs[1]);
  if (scale == nullptr || scale->elements() != 1) return std::nullopt;
  Grid grid;
  grid.scale = *scale->as<float>();
  if (!std::isfinite(grid.scale) || !(grid.scale > 0.0F)) return std::nullopt;
  const bool quantizes = node.kind == OpKind::kQuantizeLinear;
  if (quantizes) grid.dtype = std::get<QuantizeParams>(node.params).to;
  if (!quantizes) grid.dtype = graph.value(node.inputs[0]).dtype;
  if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
    const auto& zero_point = graph.value(node.inputs[2]).constant;
    if (!zero_point || zero_point->elements() != 1) return std::nullopt;
    grid.dtype = zero_point->dtype();
    if (grid.dtype != DType::kUint8 && grid.dtype != DType::kInt8) return std::nullopt;
    grid.zero_point = ops::quantize::element(zero_point->view(), 0);
  }
  if (grid.dtype != DType::kUint8 && grid.dtype != DType::kInt8) return std::nullopt;
  return grid;
}

/// Whether QuantizeLinear may as well come before the node: it only moves elements, or chooses
/// among them by their order. (Of NaN the largest is NaN, the smallest number once quantised.)
bool moves_elements(const Node& node) {
  switch (node.kind) {
    case OpKind::kMaxPool:
      return node.outputs.size() == 1;
    case OpKind::kReshape:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kTranspose:
      return true;
    default:
      return false;
  }
}

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph) {}

  QuantizedLayers run() {
    hoist_quantization();
    index();
    drop_needless_steps();
    index();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) fuse_layer(i);
    erase_nodes(graph_, erase_);
    remove_dead_nodes(graph_);
    return result_;
  }

 private:
  void index() {
    uses_ = count_uses(graph_);
    producer_ = producers(graph_);
    erase_.assign(graph_.nodes.size(), false);
    reader_.assign(graph_.values.size(), -1);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const ValueId id : graph_.nodes[i].inputs) {
        if (id != kNoValue) reader_[static_cast<std::size_t>(id)] = static_cast<int>(i);
      }
    }
  }

  Node* producer(ValueId id) {
    const int at = id == kNoValue ? -1 : producer_[static_cast<std::size_t>(id)];
    return at < 0 ? nullptr : &graph_.nodes[static_cast<std::size_t>(at)];
  }

  /// Lets QuantizeLinear change places with what moves elements in front of it, so that it follows
  /// the layer that makes them. From the end, so that one sweep takes each all the way.
  void hoist_quantization() {
    index();
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      Node& quantize = graph_.nodes[i];
      if (quantize.kind != OpKind::kQuantizeLinear || !grid_of(graph_, quantize)) continue;
      const ValueId moved = quantize.inputs[0];
      Node* mover = producer(moved);
      if (mover == nullptr || !moves_elements(*mover) ||
          uses_[static_cast<std::size_t>(moved)] != 1) {
        continue;
      }
      // The value between them keeps its name; it is quantised now, and not yet moved.
      Value& between = graph_.value(moved);
      const Value& source = graph_.value(mover->inputs[0]);
      between.dtype = graph_.value(quantize.outputs[0]).dtype;
      between.declared = DType::kUndefined;
      between.shape = source.shape;
      const ValueId result = quantize.outputs[0];
      const auto at = static_cast<std::size_t>(producer_[static_cast<std::size_t>(moved)]);
      quantize.inputs[0] = mover->inputs[0];
      quantize.outputs[0] = moved;
      mover->inputs[0] = moved;
      mover->outputs[0] = result;
      std::swap(graph_.nodes[at], graph_.nodes[i]);
      producer_[static_cast<std::size_t>(result)] = static_cast<int>(i);
    }
  }

  /// Bypasses QuantizeLinear of what was dequantised from the same grid, and of pixels whose
  /// normalisation is that grid.
  void drop_needless_steps() {
    std::vector<ValueId> instead(graph_.values.size(), kNoValue);
    const auto follow = [&](ValueId& id) {
      if (id != kNoValue && instead[static_cast<std::size_t>(id)] != kNoValue) {
        id = instead[static_cast<std::size_t>(id)];
      }
    };
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      Node& node = graph_.nodes[i];
      for (ValueId& id : node.inputs) follow(id);
      if (node.kind != OpKind::kQuantizeLinear) continue;
      const std::optional<Grid> grid = grid_of(graph_, node);
      const Node* before = producer(node.inputs[0]);
      if (!grid || before == nullptr) continue;
      const bool same =
          before->kind == OpKind::kDequantizeLinear && grid_of(graph_, *before) == grid;
      const bool pixels = before->kind == OpKind::kNormalize && is_grid_of(*before, *grid);
      if (!same && !pixels) continue;
      instead[static_cast<std::size_t>(node.outputs[0])] = before->inputs[0];
      erase_[i] = true;
      if (pixels) ++result_.normalizations;
    }
    for (GraphPort& output : graph_.outputs) follow(output.value);
    erase_nodes(graph_, erase_);
    remove_dead_nodes(graph_);
  }

  /// Whether every pixel, normalised, is quantised to itself.
  bool is_grid_of(const Node& normalize, const Grid& grid) const {
    if (graph_.value(normalize.inputs[0]).dtype != DType::kUint8 || grid.dtype != DType::kUint8) {
      return false;
    }
    const auto& params = std::get<NormalizeParams>(normalize.params);
    const std::size_t channels = std::max(params.scale.size(), params.bias.size());
    for (std::size_t c = 0; c < channels; ++c) {
      const float scale = params.scale[params.scale.size() == 1 ? 0 : c];
      const float bias = params.bias[params.bias.size() == 1 ? 0 : c];
      for (std::int32_t pixel = 0; pixel < 256; ++pixel) {
        const float value = scale * static_cast<float>(pixel) + bias;
        if (ops::quantize::quantize(value, grid.scale, grid.zero_point, {0, 255}) != pixel) {
          return false;
        }
      }
    }
    return true;
  }

  struct Weights {
    ValueId value = kNoValue;
    std::vector<float> scales;  ///< One a channel.
  };

  /// The i8 weights that `id` is dequantised from, with scales along `axis`.
  std::optional<Weights> weights_of(ValueId id, std::int64_t axis) {
    const Node* node = producer(id);
    if (node == nullptr || node->kind != OpKind::kDequantizeLinear) return std::nullopt;
    const Tensor* weights = graph_.value(node->inputs[0]).constant.get();
    const Tensor* scale = f32_constant(graph_, node->inputs[1]);
    if (weights == nullptr || scale == nullptr || weights->dtype() != DType::kInt8) {
      return std::nullopt;
    }
    if (node->inputs.size() > 2 && node->inputs[2] != kNoValue) {
      const Tensor* zero_point = graph_.value(node->inputs[2]).constant.get();
      if (zero_point == nullptr) return std::nullopt;
      const auto* zeros = zero_point->as<std::int8_t>();
      if (std::any_of(zeros, zeros + zero_point->elements(), [](auto z) { return z != 0; })) {
        return std::nullopt;
      }
    }
    const Shape& shape = weights->shape();
    if (axis >= shape.rank()) return std::nullopt;
    std::int64_t own = std::get<QuantizeParams>(node->params).axis;
    if (own < 0) own += shape.rank();
    const std::int64_t channels = shape[axis];
    if (scale->elements() != 1 && (own != axis || scale->elements() != channels)) {
      return std::nullopt;
    }
    Weights result{node->inputs[0], {}};
    for (std::int64_t c = 0; c < channels; ++c) {
      result.scales.push_back(scale->as<float>()[scale->elements() == 1 ? 0 : c]);
    }
    return result;
  }

  /// A constant of f32, or i32 dequantised, with one value a channel or one for all; nothing when
  /// it is none, zeros when it is absent.
  std::optional<std::vector<double>> bias_of(const Node& node, std::size_t channels) {
    std::vector<double> bias(channels, 0.0);
    if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return bias;
    const Tensor* constant = f32_constant(graph_, node.inputs[2]);
    Tensor dequantized;
    const Node* before = producer(node.inputs[2]);
    if (constant == nullptr && before != nullptr && before->kind == OpKind::kDequantizeLinear) {
      std::vector<TensorView> operands;
      for (const ValueId id : before->inputs) {
        const Tensor* operand = id == kNoValue ? nullptr : graph_.value(id).constant.get();
        if (operand == nullptr && id != kNoValue) return std::nullopt;
        operands.push_back(operand == nullptr ? TensorView{} : operand->view());
      }
      dequantized = Tensor(DType::kFloat32, operands[0].shape);
      const MutableTensorView result[] = {dequantized.mutable_view()};
      op_def(before->kind).reference({before->kind, before->params, operands, result});
      constant = &dequantized;
    }
    if (constant == nullptr) return std::nullopt;
    const Shape& shape = constant->shape();
    const bool each = shape.rank() > 0 &&
                      shape[shape.rank() - 1] == static_cast<std::int64_t>(channels) &&
                      constant->elements() == static_cast<std::int64_t>(channels);
    if (!each && constant->elements() != 1) return std::nullopt;
    for (std::size_t c = 0; c < channels; ++c) bias[c] = constant->as<float>()[each ? c : 0];
    return bias;
  }

  /// The one node that reads `id`, or none.
  const Node* only_reader(ValueId id, OpKind kind) const {
    const auto at = static_cast<std::size_t>(id);
    if (uses_[at] != 1 || reader_[at] < 0) return nullptr;
    const Node& node = graph_.nodes[static_cast<std::size_t>(reader_[at])];
    return node.kind == kind && node.inputs[0] == id ? &node : nullptr;
  }

  void mark(const Node& node) {
    erase_[static_cast<std::size_t>(&node - graph_.nodes.data())] = true;
  }

  void fuse_layer(std::size_t i) {
    const Node& node = graph_.nodes[i];
    const bool conv = node.kind == OpKind::kConv;
    if (!conv && node.kind != OpKind::kGemm && node.kind != OpKind::kMatMul) return;
    GemmParams gemm;
    if (node.kind == OpKind::kGemm) gemm = std::get<GemmParams>(node.params);
    if (gemm.trans_a) return;
    const Node* input = producer(node.inputs[0]);
    if (input == nullptr || input->kind != OpKind::kDequantizeLinear) return;
    const std::optional<Grid> x = grid_of(graph_, *input);
    const auto weights = weights_of(node.inputs[1], conv || gemm.trans_b ? 0 : 1);
    if (!x || !weights) return;
    const Shape& shape = graph_.value(weights->value).constant->shape();
    const std::optional<Shape>& x_shape = graph_.value(input->inputs[0]).shape;
    if (!conv && (shape.rank() != 2 || !x_shape || x_shape->rank() != 2)) return;
    const std::size_t channels = weights->scales.size();
    const auto bias = bias_of(node, channels);
    if (!bias || channels == 0) return;
    if (shape.elements() / static_cast<std::int64_t>(channels) > ops::quantized::kMostProducts) {
      return;
    }
    // What follows the layer.
    ValueId output = node.outputs[0];
    float low = -std::numeric_limits<float>::infinity();
    if (const Node* relu = only_reader(output, OpKind::kRelu)) {
      low = 0.0F;
      output = relu->outputs[0];
      mark(*relu);
    }
    Requantization out;
    out.x_zero_point = x->zero_point;
    out.low = low;
    out.high = std::numeric_limits<float>::infinity();
    double y_scale = 1.0;
    if (const Node* quantize = only_reader(output, OpKind::kQuantizeLinear)) {
      if (const std::optional<Grid> y = grid_of(graph_, *quantize)) {
        const ops::quantize::Range range = ops::quantize::range(y->dtype);
        out.to = y->dtype;
        out.y_zero_point = y->zero_point;
        out.low = std::max(low, static_cast<float>(range.low - y->zero_point));
        out.high = static_cast<float>(range.high - y->zero_point);
        y_scale = static_cast<double>(y->scale);
        output = quantize->outputs[0];
        mark(*quantize);
      }
    }
    Tensor multipliers(DType::kFloat32, Shape{static_cast<std::int64_t>(channels)});
    Tensor offsets(DType::kFloat32, multipliers.shape());
    for (std::size_t c = 0; c < channels; ++c) {
      multipliers.as<float>()[c] =
          static_cast<float>(static_cast<double>(gemm.alpha) * static_cast<double>(x->scale) *
                             static_cast<double>(weights->scales[c]) / y_scale);
      offsets.as<float>()[c] =
          static_cast<float>(static_cast<double>(gemm.beta) * (*bias)[c] / y_scale);
    }
    Node fused{conv ? OpKind::kQuantizedConv : OpKind::kQuantizedGemm, node.name, {}, {}, {output}};
    if (conv) {
      fused.params = QuantizedConvParams{std::get<ConvParams>(node.params), out};
    } else {
      fused.params = QuantizedGemmParams{gemm.trans_b, out};
    }
    fused.inputs = {input->inputs[0], weights->value,
                    graph_.add_constant(node.name + ".multipliers", std::move(multipliers)),
                    graph_.add_constant(node.name + ".offsets", std::move(offsets))};
    graph_.nodes[i] = std::move(fused);
    ++result_.layers;
  }

  Graph& graph_;
  std::vector<int> uses_;
  std::vector<int> producer_;
  std::vector<int> reader_;  ///< The last node that reads each value, -1 for none.
  std::vector<bool> erase_;
  QuantizedLayers result_;
};

}  // namespace

QuantizedLayers fuse_quantized(Graph& graph) {
  const QuantizedLayers result = Fuser(graph).run();
  graph.keeps_dequantization = false;
  return result;
}

}  // namespace prs
