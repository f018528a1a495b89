#include "cpu/lane_layers.hpp"

#include <algorithm>

#include "cpu/isa/isa.hpp"
#include "cpu/lane_weights.hpp"
#include "graph/memory_plan.hpp"
#include "graph/rewrite.hpp"
#include "graph/step.hpp"
#include "ops/conv.hpp"
#include "ops/pool.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

using ops::Window;
using ops::WindowAxis;

/// All values of one block that live at the same time: a few times a second-level cache, since each
/// is written once and read few times.
constexpr std::int64_t kMaxBlockBytes = std::int64_t{6} << 20;
/// Weights of a Gemm inside a chain; larger ones are better read once for many blocks.
constexpr std::int64_t kMaxGemmBytes = std::int64_t{64} << 10;

bool is_planar(const Window& window) {
  const WindowAxis& depth = window[0];
  return depth.in == 1 && depth.out == 1 && depth.kernel == 1 && depth.pad_begin == 0;
}

bool is_byte(DType dtype) { return dtype == DType::kUint8 || dtype == DType::kInt8; }

/// [channels, height, width] of [N, channels, up to two axes].
std::optional<Extents> image_extents(const Shape& shape) {
  if (shape.rank() < 2 || shape.rank() > 4) return std::nullopt;
  return Extents{shape[1], shape.rank() == 4 ? shape[2] : 1,
                 shape.rank() > 2 ? shape[shape.rank() - 1] : 1};
}

}  // namespace

std::optional<Layer> LayerReader::read(std::size_t index) const {
  const Node& node = graph_.nodes[index];
  const Value& x = graph_.value(node.inputs[0]);
  const Value& y = graph_.value(node.outputs[0]);
  if (y.shape->elements() == 0) return std::nullopt;
  const std::optional<Extents> in = image_extents(*x.shape);
  const std::optional<Extents> out = image_extents(*y.shape);
  if (!in || !out || (*x.shape)[0] != (*y.shape)[0]) return std::nullopt;
  Layer layer{index, &node, *in, *out, {}};
  const bool known = numbers_ == LaneNumbers::kFloats ? read_floats(layer) : read_bytes(layer);
  return known ? std::optional(layer) : std::nullopt;
}

bool LayerReader::read_floats(Layer& layer) const {
  const Node& node = *layer.node;
  if (graph_.value(node.outputs[0]).dtype != DType::kFloat32) return false;
  if (is_view(node)) return true;
  switch (node.kind) {
    case OpKind::kConv: {
      const auto& params = std::get<ConvParams>(node.params);
      return is_lane_activation(params.activation) && has_constant_operands(node) &&
             read_conv(layer, params);
    }
    case OpKind::kGemm: {
      const auto& params = std::get<GemmParams>(node.params);
      if (!is_lane_activation(params.activation) || !has_constant_operands(node)) return false;
      // One bias a column: the images are all treated alike.
      const Tensor* bias = this->bias(node);
      return read_gemm(node, params.trans_a) &&
             (bias == nullptr || bias->shape().rank() < 2 || bias->shape()[0] == 1);
    }
    case OpKind::kMaxPool:
    case OpKind::kAveragePool:
      return graph_.value(node.inputs[0]).dtype == DType::kFloat32 && read_pool(layer);
    default:
      return false;
  }
}

bool LayerReader::read_bytes(Layer& layer) const {
  const Node& node = *layer.node;
  if (!is_byte(graph_.value(node.inputs[0]).dtype)) return false;
  if (is_view(node)) return true;
  const auto is_constant = [&](ValueId id) { return graph_.value(id).constant != nullptr; };
  switch (node.kind) {
    case OpKind::kQuantizedConv:
      return std::all_of(node.inputs.begin() + 1, node.inputs.end(), is_constant) &&
             read_conv(layer, std::get<QuantizedConvParams>(node.params).conv);
    case OpKind::kQuantizedGemm:
      return std::all_of(node.inputs.begin() + 1, node.inputs.end(), is_constant) &&
             read_gemm(node, false);
    case OpKind::kMaxPool:
      return read_pool(layer);
    default:
      return false;
  }
}

const Tensor* LayerReader::bias(const Node& node) const {
  const bool present = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  return present ? f32_constant(graph_, node.inputs[2]) : nullptr;
}

bool LayerReader::has_constant_operands(const Node& node) const {
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  return f32_constant(graph_, node.inputs[1]) != nullptr && (!has_bias || bias(node) != nullptr);
}

bool LayerReader::read_conv(Layer& layer, const ConvParams& params) const {
  if (params.group != 1) return false;
  layer.window = ops::conv::resolve(params, *graph_.value(layer.node->inputs[0]).shape,
                                    weights(layer).shape());
  return is_planar(layer.window) &&
         std::all_of(layer.window.begin(), layer.window.end(), [](const WindowAxis& axis) {
           return axis.pad_begin <= kMaxPad && axis.pad_end <= kMaxPad;
         });
}

bool LayerReader::read_pool(Layer& layer) const {
  const bool wants_indices = layer.node->outputs.size() > 1 && layer.node->outputs[1] != kNoValue;
  if (wants_indices) return false;
  layer.window = ops::pool::resolve(std::get<PoolParams>(layer.node->params),
                                    *graph_.value(layer.node->inputs[0]).shape);
  return is_planar(layer.window);
}

bool LayerReader::read_gemm(const Node& node, bool trans_a) const {
  return !trans_a && graph_.value(node.inputs[0]).shape->rank() == 2 &&
         graph_.value(node.inputs[1]).constant->bytes() <= kMaxGemmBytes;
}

StepInfo LayerReader::describe(const Node& first, const Node& last, const std::string& kernel,
                               const Isa& isa) const {
  const Value& output = graph_.value(last.outputs[0]);
  return {first.name, step_label(first) + (&first == &last ? "" : "+MaxPool"),
          kernel + "[" + std::string(isa.name) + "]", "cpu",
          std::string(dtype_name(output.dtype)) + output.shape->to_string()};
}

bool is_fusable_pool(const Layer& conv, const Layer& pool, std::int64_t max_extent) {
  if (pool.kind() != OpKind::kMaxPool) return false;
  const WindowAxis& height = pool.window[1];
  const WindowAxis& width = pool.window[2];
  const std::int64_t extent = height.kernel;
  const auto fits = [&](const WindowAxis& axis, std::int64_t available) {
    return axis.kernel == extent && axis.stride == extent && axis.dilation == 1 &&
           axis.pad_begin == 0 && axis.out * extent <= available;
  };
  return extent >= 1 && extent <= max_extent && fits(height, conv.out[1]) &&
         fits(width, conv.out[2]);
}

std::optional<BlockPlaces> place_block(std::span<const StageBytes> stages) {
  std::vector<Lifetime> lifetimes;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const int step = static_cast<int>(i);
    if (std::max(stages[i].values, stages[i].scratch) > kMaxBlockBytes) return std::nullopt;
    lifetimes.push_back({stages[i].values, step, step + 1});
    lifetimes.push_back({stages[i].scratch, step, step});
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  if (plan.arena_bytes > kMaxBlockBytes) return std::nullopt;
  BlockPlaces places;
  places.bytes = plan.arena_bytes;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    places.values.push_back(plan.offsets[2 * i]);
    places.scratch.push_back(plan.offsets[2 * i + 1]);
  }
  return places;
}

}  // namespace prs::cpu
