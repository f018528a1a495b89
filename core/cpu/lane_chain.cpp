#include "cpu/lane_chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/lane_weights.hpp"
#include "cpu/pack_cache.hpp"
#include "graph/memory_plan.hpp"
#include "graph/rewrite.hpp"
#include "graph/step.hpp"
#include "ops/conv.hpp"
#include "ops/gemm.hpp"
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
constexpr std::int64_t kFloatBytes = sizeof(float);

/// [channels, height, width] of one image.
using Extents = std::array<std::int64_t, 3>;

struct Layer {
  std::size_t index;  ///< Of the node.
  const Node* node;
  Extents in;
  Extents out;
  Window window;  ///< Conv and pools.

  OpKind kind() const { return node->kind; }
};

enum class Algorithm { kDirect, kWinograd, kMaxPool, kAveragePool };

/// One pass over a block: a layer, or a Conv with the pool behind it.
struct Stage {
  Algorithm algorithm = Algorithm::kDirect;
  LaneConvTask conv;
  LanePoolTask pool;
  std::shared_ptr<const Tensor> weights;
  std::vector<float> bias;
  std::vector<std::int32_t> shifts;
  std::vector<float> divisors;
  std::int64_t x = 0;  ///< Offsets into a run's scratch, in floats.
  std::int64_t y = 0;
  std::int64_t scratch = 0;

  bool is_conv() const {
    return algorithm == Algorithm::kDirect || algorithm == Algorithm::kWinograd;
  }
  LaneTensor& in() { return is_conv() ? conv.in : pool.in; }
  LaneTensor& out() { return is_conv() ? conv.out : pool.out; }
  const LaneTensor& out() const { return is_conv() ? conv.out : pool.out; }
};

LaneTensor lane_tensor(const Extents& extents) {
  return {extents[0], extents[1], extents[2], 0, extents[2]};
}

std::int64_t vectors(const LaneTensor& tensor) {
  return tensor.channels * tensor.height * tensor.pitch;
}

// ---- which nodes
// ---------------------------------------------------------------------------------

bool is_planar(const Window& window) {
  const WindowAxis& depth = window[0];
  return depth.in == 1 && depth.out == 1 && depth.kernel == 1 && depth.pad_begin == 0;
}

/// [channels, height, width] of [N, channels, up to two axes].
std::optional<Extents> image_extents(const Shape& shape) {
  if (shape.rank() < 2 || shape.rank() > 4) return std::nullopt;
  return Extents{shape[1], shape.rank() == 4 ? shape[2] : 1,
                 shape.rank() > 2 ? shape[shape.rank() - 1] : 1};
}

/// Reads nodes of one graph as layers.
class LayerReader {
 public:
  explicit LayerReader(const Graph& graph) : graph_(graph) {}

  /// Node `index` as a layer that reads its input 0, when there are kernels for it.
  std::optional<Layer> read(std::size_t index) const {
    const Node& node = graph_.nodes[index];
    const Value& x = graph_.value(node.inputs[0]);
    const Value& y = graph_.value(node.outputs[0]);
    if (y.dtype != DType::kFloat32 || y.shape->elements() == 0) return std::nullopt;
    const std::optional<Extents> in = image_extents(*x.shape);
    const std::optional<Extents> out = image_extents(*y.shape);
    if (!in || !out || (*x.shape)[0] != (*y.shape)[0]) return std::nullopt;
    Layer layer{index, &node, *in, *out, {}};
    const bool known =
        is_view(node) || (node.kind == OpKind::kConv && read_conv(layer)) ||
        (node.kind == OpKind::kGemm && read_gemm(node)) ||
        ((node.kind == OpKind::kMaxPool || node.kind == OpKind::kAveragePool) && read_pool(layer));
    return known ? std::optional(layer) : std::nullopt;
  }

  const Tensor& weights(const Layer& layer) const {
    return *graph_.value(layer.node->inputs[1]).constant;
  }
  /// Null without.
  const Tensor* bias(const Node& node) const {
    const bool present = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    return present ? f32_constant(graph_, node.inputs[2]) : nullptr;
  }
  const Value& value(ValueId id) const { return graph_.value(id); }

 private:
  bool has_constant_operands(const Node& node) const {
    const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    return f32_constant(graph_, node.inputs[1]) != nullptr && (!has_bias || bias(node) != nullptr);
  }

  bool read_conv(Layer& layer) const {
    const auto& params = std::get<ConvParams>(layer.node->params);
    if (params.group != 1 || !is_lane_activation(params.activation) ||
        !has_constant_operands(*layer.node)) {
      return false;
    }
    layer.window = ops::conv::resolve(params, *graph_.value(layer.node->inputs[0]).shape,
                                      weights(layer).shape());
    return is_planar(layer.window) &&
           std::all_of(layer.window.begin(), layer.window.end(), [](const WindowAxis& axis) {
             return axis.pad_begin <= kMaxPad && axis.pad_end <= kMaxPad;
           });
  }

  bool read_pool(Layer& layer) const {
    const bool wants_indices = layer.node->outputs.size() > 1 && layer.node->outputs[1] != kNoValue;
    if (wants_indices || graph_.value(layer.node->inputs[0]).dtype != DType::kFloat32) return false;
    layer.window = ops::pool::resolve(std::get<PoolParams>(layer.node->params),
                                      *graph_.value(layer.node->inputs[0]).shape);
    return is_planar(layer.window);
  }

  bool read_gemm(const Node& node) const {
    const auto& params = std::get<GemmParams>(node.params);
    const Value& x = graph_.value(node.inputs[0]);
    if (params.trans_a || x.shape->rank() != 2 || !is_lane_activation(params.activation) ||
        !has_constant_operands(node) ||
        graph_.value(node.inputs[1]).constant->bytes() > kMaxGemmBytes) {
      return false;
    }
    // One bias a column: the images are all treated alike.
    const Tensor* bias = this->bias(node);
    return bias == nullptr || bias->shape().rank() < 2 || bias->shape()[0] == 1;
  }

  const Graph& graph_;
};

// ---- from layers to stages
// -----------------------------------------------------------------------

/// Whether a Conv's output passes through this pool in the same stage.
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

class ChainBuilder {
 public:
  ChainBuilder(const LayerReader& reader, const Isa& isa, PackCache& packed)
      : reader_(reader), isa_(isa), kernels_(isa.lanes), packed_(packed) {}

  std::optional<LaneChain> build(const std::vector<Layer>& layers, std::int64_t images) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& layer = layers[i];
      if (layer.kind() == OpKind::kConv) {
        const bool winograd =
            prefers_winograd(layer.window, layer.in[0], layer.out[0],
                             std::get<ConvParams>(layer.node->params).activation, kernels_);
        const std::int64_t max_extent = winograd ? 2 : kernels_.max_pool_extent;
        const bool fused =
            i + 1 < layers.size() && is_fusable_pool(layer, layers[i + 1], max_extent);
        add_conv(layer, fused ? &layers[i + 1] : nullptr, winograd);
        if (fused) ++i;
      } else if (layer.kind() == OpKind::kGemm) {
        add_gemm(layer);
      } else if (!is_view(*layer.node)) {
        add_pool(layer);
      }
    }
    // What a stage needs around its input, its producer leaves there.
    block_ = stages_.front().in();
    for (std::size_t i = 0; i + 1 < stages_.size(); ++i) {
      const LaneTensor& wanted = stages_[i + 1].in();
      stages_[i].out().pad = wanted.pad;
      // A Gemm's input is one row.
      if (wanted.width == stages_[i].out().width) stages_[i].out().pitch = wanted.pitch;
    }
    if (!place_buffers()) return std::nullopt;
    for (Stage& stage : stages_) {
      if (stage.is_conv()) make_shifts(stage);
    }
    LaneChain chain;
    for (const Layer& layer : layers) chain.nodes.push_back(layer.index);
    chain.stages = std::move(infos_);
    chain.plan = make_plan(reader_.value(layers.front().node->inputs[0]).dtype, images);
    return chain;
  }

 private:
  static LaneTensor padded(LaneTensor tensor, const WindowAxis& width, std::int64_t touched) {
    tensor.pad = width.pad_begin;
    tensor.pitch = std::max(tensor.pad + tensor.width, touched);
    return tensor;
  }

  void add_conv(const Layer& layer, const Layer* pool, bool winograd) {
    const WindowAxis& height = layer.window[1];
    const WindowAxis& width = layer.window[2];
    Stage stage;
    LaneConvTask& task = stage.conv;
    task.out = lane_tensor(pool == nullptr ? layer.out : pool->out);
    task.taps[0] = height.kernel;
    task.taps[1] = width.kernel;
    task.stride[0] = height.stride;
    task.stride[1] = width.stride;
    task.dilation[0] = height.dilation;
    task.dilation[1] = width.dilation;
    task.pad[0] = height.pad_begin;
    task.pad[1] = width.pad_begin;
    task.pool = pool == nullptr ? 1 : pool->window[1].kernel;
    task.activation = std::get<ConvParams>(layer.node->params).activation;
    const std::int64_t columns = task.out.width * task.pool;
    std::string algorithm = fmt::format("{}x{}", kernels_.tile_filters, kernels_.tile_positions);
    task.in = lane_tensor(layer.in);
    if (winograd) {
      stage.algorithm = Algorithm::kWinograd;
      algorithm = "winograd_4x4_3x3";
      task.in = padded(task.in, width, round_up(columns, 4) + 2);
    } else {
      task.in = padded(task.in, width, (columns - 1) * width.stride + width.extent());
    }
    const Tensor& weights = reader_.weights(layer);
    const std::int64_t tile = kernels_.tile_filters;
    if (winograd) {
      stage.weights = winograd_weights(weights, tile, &packed_);
    } else {
      stage.weights = packed_.get(weights, fmt::format("lanes conv tile {}", tile), [&] {
        const std::int64_t taps = height.kernel * width.kernel;
        return pack_filters({layer.out[0], layer.in[0], taps}, tile, [&](auto f, auto c, auto t) {
          return weights.as<float>()[(f * layer.in[0] + c) * taps + t];
        });
      });
    }
    const Tensor* bias = reader_.bias(*layer.node);
    fill_bias(stage, layer.out[0],
              [&](std::int64_t f) { return bias == nullptr ? 0.0F : bias->as<float>()[f]; });
    stages_.push_back(std::move(stage));
    const bool pixels = reader_.value(layer.node->inputs[0]).dtype == DType::kUint8;
    describe(*layer.node, pool == nullptr ? *layer.node : *pool->node,
             fmt::format("conv{}d_{}_image_per_lane_{}",
                         reader_.value(layer.node->inputs[0]).shape->rank() - 2,
                         pixels ? "u8_f32" : "f32", algorithm));
  }

  void add_gemm(const Layer& layer) {
    const auto& params = std::get<GemmParams>(layer.node->params);
    const Tensor& weights = reader_.weights(layer);
    const auto [m, n, k] =
        ops::gemm::resolve(params, *reader_.value(layer.node->inputs[0]).shape, weights.shape());
    Stage stage;
    LaneConvTask& task = stage.conv;
    task.in = lane_tensor({1, 1, k});
    task.out = lane_tensor({n, 1, 1});
    task.taps[0] = 1;
    task.taps[1] = k;
    for (int i = 0; i < 2; ++i) task.stride[i] = task.dilation[i] = 1;
    task.activation = params.activation;
    stage.weights = packed_.get(
        weights,
        fmt::format("lanes gemm {} alpha {:a} tile {}", params.trans_b, params.alpha,
                    kernels_.tile_filters),
        [&, n = n, k = k] {
          return pack_filters({n, 1, k}, kernels_.tile_filters, [&](auto j, auto, auto i) {
            return params.alpha * weights.as<float>()[params.trans_b ? j * k + i : i * n + j];
          });
        });
    const Tensor* bias = reader_.bias(*layer.node);
    fill_bias(stage, n, [&](std::int64_t j) {
      if (bias == nullptr) return 0.0F;
      return params.beta * bias->as<float>()[bias->elements() == 1 ? 0 : j];
    });
    stages_.push_back(std::move(stage));
    describe(*layer.node, *layer.node,
             fmt::format("gemm_f32_image_per_lane_{}x1", kernels_.tile_filters));
  }

  void add_pool(const Layer& layer) {
    Stage stage;
    const bool average = layer.kind() == OpKind::kAveragePool;
    stage.algorithm = average ? Algorithm::kAveragePool : Algorithm::kMaxPool;
    LanePoolTask& task = stage.pool;
    task.in = lane_tensor(layer.in);
    task.out = lane_tensor(layer.out);
    const bool count_pads = std::get<PoolParams>(layer.node->params).count_include_pad;
    for (std::size_t i = 0; i < 2; ++i) {
      const WindowAxis& axis = layer.window[i + 1];
      task.kernel[i] = axis.kernel;
      task.stride[i] = axis.stride;
      task.dilation[i] = axis.dilation;
      task.pad[i] = axis.pad_begin;
      for (std::int64_t o = 0; average && o < axis.out; ++o) {
        stage.divisors.push_back(static_cast<float>(
            count_pads ? axis.padded_taps(o) : axis.end_tap(o) - axis.first_tap(o)));
      }
    }
    stages_.push_back(std::move(stage));
    describe(*layer.node, *layer.node,
             fmt::format("{}_pool{}d_f32_image_per_lane", average ? "average" : "max",
                         reader_.value(layer.node->inputs[0]).shape->rank() - 2));
  }

  template <typename Bias>
  void fill_bias(Stage& stage, std::int64_t filters, Bias&& bias) const {
    stage.bias.resize(static_cast<std::size_t>(round_up(filters, kernels_.tile_filters)));
    for (std::int64_t f = 0; f < filters; ++f) stage.bias[static_cast<std::size_t>(f)] = bias(f);
  }

  /// Offsets of the taps in the input's final layout.
  void make_shifts(Stage& stage) const {
    const LaneConvTask& task = stage.conv;
    const auto add = [&](std::int64_t at) {
      stage.shifts.push_back(static_cast<std::int32_t>(at * kernels_.lanes));
    };
    if (stage.algorithm == Algorithm::kWinograd) {
      for (std::int64_t c = 0; c < task.in.channels; ++c) add(c * kernels_.tile_positions);
      return;
    }
    for (std::int64_t r = 0; r < task.taps[0]; ++r) {
      for (std::int64_t s = 0; s < task.taps[1]; ++s) {
        add(r * task.dilation[0] * task.in.pitch + s * task.dilation[1]);
      }
    }
  }

  void describe(const Node& first, const Node& last, std::string kernel) {
    const Value& output = reader_.value(last.outputs[0]);
    infos_.push_back({first.name, step_label(first) + (&first == &last ? "" : "+MaxPool"),
                      kernel + "[" + std::string(isa_.name) + "]", "cpu",
                      std::string(dtype_name(output.dtype)) + output.shape->to_string()});
  }

  /// False when a block's values take too much memory.
  bool place_buffers() {
    const std::int64_t vector_bytes = kernels_.lanes * kFloatBytes;
    std::vector<Lifetime> lifetimes;
    const auto add = [&](std::int64_t bytes, std::size_t first, std::size_t last) {
      lifetimes.push_back({bytes, static_cast<int>(first), static_cast<int>(last)});
      return bytes <= kMaxBlockBytes;
    };
    // Step 0 loads the block, step i + 1 runs stage i.
    if (!add(vectors(block_) * vector_bytes, 0, 1)) return false;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const bool winograd = stages_[i].algorithm == Algorithm::kWinograd;
      const std::int64_t scratch =
          winograd ? kernels_.winograd_scratch(stages_[i].conv) * kFloatBytes : 0;
      if (!add(vectors(stages_[i].out()) * vector_bytes, i + 1, i + 2) ||
          !add(scratch, i + 1, i + 1)) {
        return false;
      }
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    if (plan.arena_bytes > kMaxBlockBytes) return false;
    scratch_bytes_ = plan.arena_bytes;
    const auto offset = [&](std::size_t i) { return plan.offsets[i] / kFloatBytes; };
    block_at_ = offset(0);
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      stages_[i].x = i == 0 ? block_at_ : stages_[i - 1].y;
      stages_[i].y = offset(2 * i + 1);
      stages_[i].scratch = offset(2 * i + 2);
    }
    return true;
  }

  Plan make_plan(DType dtype, std::int64_t images);

  const LayerReader& reader_;
  const Isa& isa_;
  const LaneKernels& kernels_;
  PackCache& packed_;
  LaneTensor block_;  ///< The images of a block.
  std::int64_t block_at_ = 0;
  std::int64_t scratch_bytes_ = 0;
  std::vector<Stage> stages_;
  std::vector<StepInfo> infos_;
};

void run_stage(const Stage& stage, const LaneKernels& kernels, float* scratch) {
  const float* x = scratch + stage.x;
  float* y = scratch + stage.y;
  const LaneTensor& out = stage.out();
  if (out.pitch != out.width) kernels.clear_pads(out, y);
  if (stage.is_conv()) {
    const LaneConvOperands operands{.x = x,
                                    .weights = stage.weights->as<float>(),
                                    .bias = stage.bias.data(),
                                    .shifts = stage.shifts.data(),
                                    .y = y,
                                    .scratch = scratch + stage.scratch};
    const bool winograd = stage.algorithm == Algorithm::kWinograd;
    (winograd ? kernels.winograd : kernels.conv)(stage.conv, operands);
  } else if (stage.algorithm == Algorithm::kMaxPool) {
    kernels.max_pool(stage.pool, x, y);
  } else {
    kernels.average_pool(stage.pool, stage.divisors.data(), x, y);
  }
}

Plan ChainBuilder::make_plan(DType dtype, std::int64_t images) {
  Plan plan;
  plan.kernel = "image_per_lane";
  plan.scratch_bytes = scratch_bytes_;
  plan.run = [stages = std::move(stages_), block = block_, block_at = block_at_,
              pixels = dtype == DType::kUint8, images, kernels = &kernels_](const StepArgs& args) {
    auto* scratch = reinterpret_cast<float*>(args.scratch);
    float* values = scratch + block_at;
    const Stage& last = stages.back();
    const std::int64_t x_size = block.channels * block.height * block.width;
    const std::int64_t y_size = last.out().channels * last.out().height * last.out().width;
    for (std::int64_t first = 0; first < images; first += kernels->lanes) {
      const std::int64_t count = std::min(kernels->lanes, images - first);
      if (block.pitch != block.width) kernels->clear_pads(block, values);
      if (pixels) {
        kernels->load_u8(static_cast<const std::uint8_t*>(args.inputs[0]) + first * x_size, x_size,
                         count, block, values);
      } else {
        kernels->load_f32(static_cast<const float*>(args.inputs[0]) + first * x_size, x_size, count,
                          block, values);
      }
      for (const Stage& stage : stages) run_stage(stage, *kernels, scratch);
      kernels->store(scratch + last.y, y_size, count,
                     static_cast<float*>(args.outputs[0]) + first * y_size);
    }
  };
  return plan;
}

}  // namespace

LaneChainFinder::LaneChainFinder(const Graph& graph, const Isa& isa, PackCache& packed)
    : graph_(graph),
      isa_(isa),
      packed_(packed),
      uses_(count_uses(graph)),
      reader_(graph.values.size(), -1) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].inputs) {
      if (id != kNoValue) reader_[static_cast<std::size_t>(id)] = static_cast<int>(i);
    }
  }
}

std::optional<LaneChain> LaneChainFinder::find(std::size_t first) const {
  if (graph_.nodes[first].kind != OpKind::kConv) return std::nullopt;
  const std::int64_t images = (*graph_.value(graph_.nodes[first].inputs[0]).shape)[0];
  if (2 * images < isa_.lanes.lanes) return std::nullopt;
  const LayerReader reader(graph_);
  std::vector<Layer> layers;
  for (std::optional<Layer> layer = reader.read(first); layer;) {
    layers.push_back(*layer);
    const auto output = static_cast<std::size_t>(layer->node->outputs[0]);
    const int next = uses_[output] == 1 ? reader_[output] : -1;
    // A value may also be what a layer takes as its weights.
    const bool goes_on = next >= 0 && graph_.nodes[static_cast<std::size_t>(next)].inputs[0] ==
                                          static_cast<ValueId>(output);
    layer = goes_on ? reader.read(static_cast<std::size_t>(next)) : std::nullopt;
    // From a row of values back to planes, only views lead.
    if (layer && layer->kind() != OpKind::kGemm && !is_view(*layer->node) &&
        is_view(*layers.back().node)) {
      layer = std::nullopt;
    }
  }
  while (!layers.empty() && is_view(*layers.back().node)) layers.pop_back();
  if (layers.empty()) return std::nullopt;
  return ChainBuilder(reader, isa_, packed_).build(layers, images);
}

}  // namespace prs::cpu
