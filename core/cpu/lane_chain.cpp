#include "cpu/lane_chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "cpu/byte_chain.hpp"
#include "cpu/crew.hpp"
#include "cpu/isa/bf16.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/lane_layers.hpp"
#include "cpu/lane_weights.hpp"
#include "cpu/pack_cache.hpp"
#include "graph/rewrite.hpp"
#include "graph/step.hpp"
#include "ops/gemm.hpp"

namespace prs::cpu {
namespace {

using ops::WindowAxis;

constexpr std::int64_t kFloatBytes = sizeof(float);

enum class Algorithm { kDirect, kDirectBf16, kWinograd, kMaxPool, kAveragePool };

/// One pass over a block: a layer, or a Conv with the pool behind it.
struct Stage {
  Algorithm algorithm = Algorithm::kDirect;
  LaneConvTask conv;
  LanePoolTask pool;
  std::shared_ptr<const Tensor> weights;
  std::vector<float> bias;
  std::vector<std::int32_t> shifts;
  std::vector<float> divisors;
  std::int64_t planes = 0;  ///< kDirectBf16: of the input, two of which make one of words.
  std::int64_t x = 0;       ///< Offsets into a run's scratch, in floats.
  std::int64_t y = 0;
  std::int64_t scratch = 0;
  int parts = 1;  ///< That a crew may compute at once.

  bool is_conv() const {
    return algorithm != Algorithm::kMaxPool && algorithm != Algorithm::kAveragePool;
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

/// Products of vectors that a convolution takes.
std::int64_t vector_products(const Stage& stage) {
  const LaneConvTask& task = stage.conv;
  const std::int64_t outputs =
      task.out.channels * task.out.height * task.out.width * task.pool * task.pool;
  if (stage.algorithm == Algorithm::kWinograd) return outputs * task.in.channels * 9 / 4;
  const std::int64_t products = outputs * task.in.channels * task.taps[0] * task.taps[1];
  return stage.algorithm == Algorithm::kDirectBf16 ? products / 2 : products;
}

std::string_view number_name(bool bf16) { return bf16 ? "bf16" : "f32"; }

class ChainBuilder {
 public:
  ChainBuilder(const LayerReader& reader, const Isa& isa, const CompileOptions& options,
               PackCache& packed)
      : reader_(reader),
        isa_(isa),
        kernels_(isa.lanes),
        bf16_(options.precision == Precision::kBf16 && isa.bf16.lane_conv != nullptr),
        sharing_(options.sharing),
        packed_(packed) {}

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
    // Each part of Winograd takes scratch of its own, for which there may be no room.
    if (!place_buffers(sharing_) && !place_buffers({})) return std::nullopt;
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
    const std::int64_t channels = layer.in[0];
    const std::int64_t taps = height.kernel * width.kernel;
    // One channel has nothing to pair.
    const bool bf16 = bf16_ && !winograd && channels > 1;
    if (winograd) {
      stage.weights = winograd_weights(weights, tile, &packed_);
    } else if (bf16) {
      stage.algorithm = Algorithm::kDirectBf16;
      stage.planes = channels;
      stage.weights = packed_.get(weights, fmt::format("lanes conv bf16 tile {}", tile), [&] {
        return pack_filter_words<std::uint16_t>(
            {layer.out[0], (channels + 1) / 2, taps}, tile, [&](auto f, auto g, auto t, int i) {
              const std::int64_t c = 2 * g + i;
              return c < channels
                         ? float_to_bfloat16(weights.as<float>()[(f * channels + c) * taps + t])
                         : std::uint16_t{0};
            });
      });
    } else {
      stage.weights = packed_.get(weights, fmt::format("lanes conv tile {}", tile), [&] {
        return pack_filters({layer.out[0], channels, taps}, tile, [&](auto f, auto c, auto t) {
          return weights.as<float>()[(f * channels + c) * taps + t];
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
                         pixels && !bf16 ? "u8_f32" : number_name(bf16), algorithm));
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
    const auto weight = [&, n = n, k = k](std::int64_t j, std::int64_t i) {
      return params.alpha * weights.as<float>()[params.trans_b ? j * k + i : i * n + j];
    };
    const std::string layout =
        fmt::format("lanes gemm {} {} alpha {:a} tile {}", number_name(bf16_), params.trans_b,
                    params.alpha, kernels_.tile_filters);
    if (bf16_) {
      stage.algorithm = Algorithm::kDirectBf16;
      stage.planes = k;
      task.taps[1] = (k + 1) / 2;
      stage.weights = packed_.get(weights, layout, [&, n = n, k = k] {
        return pack_filter_words<std::uint16_t>(
            {n, 1, (k + 1) / 2}, kernels_.tile_filters, [&](auto j, auto, auto t, int i) {
              return 2 * t + i < k ? float_to_bfloat16(weight(j, 2 * t + i)) : std::uint16_t{0};
            });
      });
    } else {
      stage.weights = packed_.get(weights, layout, [&, n = n, k = k] {
        return pack_filters({n, 1, k}, kernels_.tile_filters,
                            [&](auto j, auto, auto i) { return weight(j, i); });
      });
    }
    const Tensor* bias = reader_.bias(*layer.node);
    fill_bias(stage, n, [&](std::int64_t j) {
      if (bias == nullptr) return 0.0F;
      return params.beta * bias->as<float>()[bias->elements() == 1 ? 0 : j];
    });
    stages_.push_back(std::move(stage));
    describe(*layer.node, *layer.node,
             fmt::format("gemm_{}_image_per_lane_{}x1", number_name(bf16_), kernels_.tile_filters));
  }

  void add_pool(const Layer& layer) {
    Stage stage;
    const bool average = layer.kind() == OpKind::kAveragePool;
    stage.algorithm = average ? Algorithm::kAveragePool : Algorithm::kMaxPool;
    LanePoolTask& task = stage.pool;
    task.in = lane_tensor(layer.in);
    task.out = lane_tensor(layer.out);
    const bool count_pads = std::get<PoolParams>(layer.node->params).count_include_pad;
    set_window(task, layer);
    for (std::size_t i = 0; i < 2; ++i) {
      const WindowAxis& axis = layer.window[i + 1];
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

  void describe(const Node& first, const Node& last, const std::string& kernel) {
    infos_.push_back(reader_.describe(first, last, kernel, isa_));
  }

  std::int64_t scratch_bytes(const Stage& stage) const {
    if (stage.algorithm == Algorithm::kWinograd) {
      return stage.parts * kernels_.winograd_scratch(stage.conv) * kFloatBytes;
    }
    if (stage.algorithm != Algorithm::kDirectBf16) return 0;
    const std::int64_t plane = vectors(stage.conv.in) / stage.planes;
    return (stage.planes + 1) / 2 * plane * kernels_.lanes * kFloatBytes;
  }

  /// False when a block's values take too much memory.
  bool place_buffers(const Sharing& sharing) {
    const std::int64_t vector_bytes = kernels_.lanes * kFloatBytes;
    std::vector<StageBytes> bytes{{vectors(block_) * vector_bytes, 0}};
    for (Stage& stage : stages_) {
      stage.parts = stage.is_conv() ? planned_parts(sharing, vector_products(stage)) : 1;
      bytes.push_back({vectors(stage.out()) * vector_bytes, scratch_bytes(stage)});
    }
    const std::optional<BlockPlaces> places = place_block(bytes);
    if (!places) return false;
    scratch_bytes_ = places->bytes;
    block_at_ = places->values[0] / kFloatBytes;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      stages_[i].x = places->values[i] / kFloatBytes;
      stages_[i].y = places->values[i + 1] / kFloatBytes;
      stages_[i].scratch = places->scratch[i + 1] / kFloatBytes;
    }
    return true;
  }

  Plan make_plan(DType dtype, std::int64_t images);

  const LayerReader& reader_;
  const Isa& isa_;
  const LaneKernels& kernels_;
  const bool bf16_;  ///< Whether convolutions and Gemms multiply bf16.
  const Sharing sharing_;
  PackCache& packed_;
  LaneTensor block_;  ///< The images of a block.
  std::int64_t block_at_ = 0;
  std::int64_t scratch_bytes_ = 0;
  std::vector<Stage> stages_;
  std::vector<StepInfo> infos_;
};

void run_stage(const Stage& stage, const Isa& isa, float* scratch, ThreadPool* crew) {
  const LaneKernels& kernels = isa.lanes;
  const float* x = scratch + stage.x;
  float* y = scratch + stage.y;
  const LaneTensor& out = stage.out();
  if (out.pitch != out.width) kernels.clear_pads(out, y);
  LaneConvOperands operands{.x = x,
                            .weights = stage.is_conv() ? stage.weights->as<float>() : nullptr,
                            .bias = stage.bias.data(),
                            .shifts = stage.shifts.data(),
                            .y = y,
                            .scratch = scratch + stage.scratch};
  // run(task, operands) for each part, with scratch of its own.
  const auto share_stage = [&](auto run, const LaneConvTask& task, std::int64_t part_scratch) {
    share(crew, stage.parts, [&](const Part& part) {
      LaneConvOperands own = operands;
      own.part = part;
      own.scratch += part.index * part_scratch;
      run(task, own);
    });
  };
  switch (stage.algorithm) {
    case Algorithm::kDirect:
      share_stage(kernels.conv, stage.conv, 0);
      break;
    case Algorithm::kDirectBf16: {
      const std::int64_t plane = vectors(stage.conv.in) / stage.planes;
      isa.bf16.pair_lanes(x, stage.planes, plane,
                          reinterpret_cast<std::uint32_t*>(operands.scratch));
      operands.x = operands.scratch;
      LaneConvTask words = stage.conv;
      words.in.channels = (words.in.channels + 1) / 2;
      share_stage(isa.bf16.lane_conv, words, 0);
      break;
    }
    case Algorithm::kWinograd:
      share_stage(kernels.winograd, stage.conv, kernels.winograd_scratch(stage.conv));
      break;
    case Algorithm::kMaxPool:
      kernels.max_pool(stage.pool, x, y);
      break;
    case Algorithm::kAveragePool:
      kernels.average_pool(stage.pool, stage.divisors.data(), x, y);
      break;
  }
}

Plan ChainBuilder::make_plan(DType dtype, std::int64_t images) {
  Plan plan;
  plan.kernel = "image_per_lane";
  plan.scratch_bytes = scratch_bytes_;
  plan.run = [stages = std::move(stages_), block = block_, block_at = block_at_,
              pixels = dtype == DType::kUint8, images, isa = &isa_](const StepArgs& args) {
    const LaneKernels* kernels = &isa->lanes;
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
      for (const Stage& stage : stages) run_stage(stage, *isa, scratch, args.crew);
      kernels->store(scratch + last.y, y_size, count,
                     static_cast<float*>(args.outputs[0]) + first * y_size);
    }
  };
  return plan;
}

}  // namespace

LaneChainFinder::LaneChainFinder(const Graph& graph, const Isa& isa, const CompileOptions& options,
                                 PackCache& packed)
    : graph_(graph),
      isa_(isa),
      options_(options),
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
  const OpKind kind = graph_.nodes[first].kind;
  if (kind != OpKind::kConv && kind != OpKind::kQuantizedConv) return std::nullopt;
  const std::int64_t images = (*graph_.value(graph_.nodes[first].inputs[0]).shape)[0];
  if (2 * images < isa_.lanes.lanes) return std::nullopt;
  const bool of_bytes = kind == OpKind::kQuantizedConv;
  const LayerReader reader(graph_, of_bytes ? LaneNumbers::kBytes : LaneNumbers::kFloats);
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
    if (layer && !layer->is_gemm() && !is_view(*layer->node) && is_view(*layers.back().node)) {
      layer = std::nullopt;
    }
  }
  while (!layers.empty() && is_view(*layers.back().node)) layers.pop_back();
  if (layers.empty()) return std::nullopt;
  return of_bytes ? build_byte_chain(reader, layers, images, isa_, options_.sharing, packed_)
                  : ChainBuilder(reader, isa_, options_, packed_).build(layers, images);
}

}  // namespace prs::cpu
