#include "cpu/byte_chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "cpu/crew.hpp"
#include "cpu/isa/byte_lanes.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/lane_weights.hpp"
#include "cpu/pack_cache.hpp"

namespace prs::cpu {
namespace {

constexpr std::int64_t kWordBytes = sizeof(std::uint32_t);
/// Elements that ByteLaneKernels::load transposes at once.
constexpr std::int64_t kLoadChunk = 16;

/// One pass over a block: a layer, or a convolution with the pool behind it. A Gemm is a
/// convolution whose window is the whole image.
struct ByteStage {
  bool is_pool = false;
  ByteConvTask conv;
  BytePoolTask pool;
  std::shared_ptr<const Tensor> weights;
  std::vector<std::int32_t> shifts;
  std::vector<std::int32_t> start;
  std::vector<float> multiplier;
  std::vector<float> offset;
  std::int64_t x = 0;  ///< Offsets into a run's scratch, in bytes.
  std::int64_t y = 0;
  int parts = 1;  ///< That a crew may compute at once.

  ByteTensor& in() { return is_pool ? pool.in : conv.in; }
  ByteTensor& out() { return is_pool ? pool.out : conv.out; }
  const ByteTensor& out() const { return is_pool ? pool.out : conv.out; }
  bool to_bytes() const { return is_pool || conv.to_bytes; }
};

ByteTensor byte_tensor(const Extents& extents) {
  ByteTensor tensor;
  tensor.channels = extents[0];
  tensor.height = tensor.rows = extents[1];
  tensor.width = tensor.pitch = extents[2];
  return tensor;
}

bool is_padded(const ByteTensor& tensor) {
  return tensor.rows != tensor.height || tensor.pitch != tensor.width;
}

/// Products of vectors that a convolution takes.
std::int64_t vector_products(const ByteConvTask& task) {
  return task.out.channels * task.out.height * task.out.width * task.pool * task.pool *
         word_groups(task.in) * task.taps;
}

/// What the sums of each filter begin with: minus the share of x's zero point.
std::vector<std::int32_t> make_start(const Tensor& words, std::int64_t tile,
                                     std::int32_t zero_point) {
  const auto filters = words.shape()[0];
  const std::int64_t each = words.shape()[1] * words.shape()[2];
  const auto* bytes = words.as<std::int8_t>();
  std::vector<std::int32_t> start;
  for (std::int64_t f = 0; f < filters; ++f) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < each; ++i) {
      const std::int64_t word = (f / tile * each + i) * tile + f % tile;
      for (int byte = 0; byte < 4; ++byte) sum += bytes[word * kWordBytes + byte];
    }
    start.push_back(static_cast<std::int32_t>(-zero_point * sum));
  }
  return start;
}

class ByteChainBuilder {
 public:
  ByteChainBuilder(const LayerReader& reader, const Isa& isa, const Sharing& sharing,
                   PackCache& packed)
      : reader_(reader), isa_(isa), kernels_(isa.byte_lanes), sharing_(sharing), packed_(packed) {}

  std::optional<LaneChain> build(const std::vector<Layer>& layers, std::int64_t images) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& layer = layers[i];
      if (layer.is_conv()) {
        const bool fused = i + 1 < layers.size() && keeps_order(*layer.node) &&
                           is_fusable_pool(layer, layers[i + 1], kernels_.max_pool_extent);
        add_conv(layer, fused ? &layers[i + 1] : nullptr);
        if (fused) ++i;
      } else if (layer.is_gemm()) {
        add_gemm(layer);
      } else if (layer.kind() == OpKind::kMaxPool) {
        add_pool(layer);
      }
    }
    // What a stage needs around its input, its producer leaves there.
    block_ = stages_.front().in();
    for (std::size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i].out() = stages_[i + 1].in();
    std::vector<StageBytes> bytes{
        {words(block_) * kWordBytes,
         round_up(block_.channels * block_.height * block_.width, kLoadChunk) * kernels_.lanes}};
    for (const ByteStage& stage : stages_) {
      const ByteTensor& out = stage.out();
      // A word holds one f32 or 4 bytes.
      const std::int64_t size =
          stage.to_bytes() ? words(out) : out.channels * out.rows * out.pitch * kernels_.lanes;
      bytes.push_back({size * kWordBytes, 0});
    }
    const std::optional<BlockPlaces> places = place_block(bytes);
    if (!places) return std::nullopt;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      stages_[i].x = places->values[i];
      stages_[i].y = places->values[i + 1];
    }
    LaneChain chain;
    for (const Layer& layer : layers) chain.nodes.push_back(layer.index);
    chain.stages = std::move(infos_);
    chain.plan = make_plan(input_type(*layers.front().node),
                           reader_.value(layers.back().node->outputs[0]).dtype, *places, images);
    return chain;
  }

 private:
  std::int64_t words(const ByteTensor& tensor) const {
    return word_groups(tensor) * tensor.rows * tensor.pitch * kernels_.lanes;
  }

  DType input_type(const Node& node) const { return reader_.value(node.inputs[0]).dtype; }

  const Tensor& operand(const Node& node, std::size_t i) const {
    return *reader_.value(node.inputs[i]).constant;
  }

  /// Whether a larger sum never gives a smaller output.
  bool keeps_order(const Node& node) const {
    const Tensor& multiplier = operand(node, 2);
    const auto* values = multiplier.as<float>();
    return std::all_of(values, values + multiplier.elements(),
                       [](float value) { return value >= 0.0F; });
  }

  void add_conv(const Layer& layer, const Layer* pool) {
    const auto& [depth, height, width] = layer.window;
    const Tensor& weights = reader_.weights(layer);
    const auto& params = std::get<QuantizedConvParams>(layer.node->params);
    ByteStage stage;
    ByteConvTask& task = stage.conv;
    task.out = byte_tensor(pool == nullptr ? layer.out : pool->out);
    task.pool = pool == nullptr ? 1 : pool->window[1].kernel;
    task.stride[0] = height.stride;
    task.stride[1] = width.stride;
    ByteTensor& in = task.in;
    in = byte_tensor(layer.in);
    // Only the images themselves are made into such words.
    in.pixels = stages_.empty() && in.channels == 1 && width.kernel > 1 && width.dilation == 1;
    const std::int64_t per_row = in.pixels ? (width.kernel + 3) / 4 : width.kernel;
    const std::int64_t tap_step = in.pixels ? 4 : width.dilation;
    task.taps = height.kernel * per_row;
    in.pad[0] = height.pad_begin;
    in.pad[1] = width.pad_begin;
    in.rows = std::max(in.pad[0] + in.height,
                       (task.out.height * task.pool - 1) * height.stride + height.extent());
    in.pitch = std::max(in.pad[1] + in.width, (task.out.width * task.pool - 1) * width.stride +
                                                  (per_row - 1) * tap_step + 1);
    for (std::int64_t r = 0; r < height.kernel; ++r) {
      for (std::int64_t s = 0; s < per_row; ++s) {
        const std::int64_t at = r * height.dilation * in.pitch + s * tap_step;
        stage.shifts.push_back(static_cast<std::int32_t>(at * kernels_.lanes));
      }
    }
    const std::int64_t channels = layer.in[0];
    const auto pack = [&, &height = height, &width = width] {
      return pack_filter_words<std::uint8_t>(
          {layer.out[0], word_groups(in), task.taps}, kernels_.tile_filters,
          [&](auto f, auto g, auto t, int byte) {
            const std::int64_t c = in.pixels ? 0 : 4 * g + byte;
            const std::int64_t s = t % per_row * (in.pixels ? 4 : 1) + (in.pixels ? byte : 0);
            if (c >= channels || s >= width.kernel) return std::int8_t{0};
            const std::int64_t row = (f * channels + c) * height.kernel + t / per_row;
            return weights.as<std::int8_t>()[row * width.kernel + s];
          });
    };
    stage.weights = packed_.get(
        weights, fmt::format("byte lanes conv {} tile {}", in.pixels, kernels_.tile_filters), pack);
    add_requantized(layer, params.out, std::move(stage), pool,
                    fmt::format("conv{}d", reader_.value(layer.node->inputs[0]).shape->rank() - 2));
  }

  void add_gemm(const Layer& layer) {
    const auto& params = std::get<QuantizedGemmParams>(layer.node->params);
    const Tensor& weights = reader_.weights(layer);
    const std::int64_t columns = layer.out[0];
    ByteStage stage;
    ByteConvTask& task = stage.conv;
    // Its input is flat; in a block the channels are still apart.
    task.in = stages_.back().out();
    task.out = byte_tensor(layer.out);
    task.taps = task.in.height * task.in.width;
    task.stride[0] = task.stride[1] = 1;
    const std::int64_t inputs = task.in.channels * task.taps;
    for (std::int64_t t = 0; t < task.taps; ++t) {
      stage.shifts.push_back(static_cast<std::int32_t>(t * kernels_.lanes));
    }
    const auto pack = [&] {
      return pack_filter_words<std::uint8_t>(
          {columns, word_groups(task.in), task.taps}, kernels_.tile_filters,
          [&](auto j, auto g, auto t, int byte) {
            const std::int64_t c = 4 * g + byte;
            if (c >= task.in.channels) return std::int8_t{0};
            const std::int64_t i = c * task.taps + t;
            return weights.as<std::int8_t>()[params.trans_b ? j * inputs + i : i * columns + j];
          });
    };
    const std::string layout = fmt::format("byte lanes gemm {} channels {} tile {}", params.trans_b,
                                           task.in.channels, kernels_.tile_filters);
    stage.weights = packed_.get(weights, layout, pack);
    add_requantized(layer, params.out, std::move(stage), nullptr, "gemm");
  }

  /// Completes a convolution or Gemm with what becomes of its sums.
  void add_requantized(const Layer& layer, const Requantization& out, ByteStage stage,
                       const Layer* pool, const std::string& what) {
    const Node& node = *layer.node;
    const DType x = input_type(node);
    const std::int32_t x_zero_point = out.x_zero_point + flip_of(x);
    stage.start = make_start(*stage.weights, kernels_.tile_filters, x_zero_point);
    stage.multiplier = table(operand(node, 2), stage.start.size());
    stage.offset = table(operand(node, 3), stage.start.size());
    ByteConvTask& task = stage.conv;
    task.in.padding = static_cast<std::uint8_t>(x_zero_point);
    task.to_bytes = out.to != DType::kFloat32;
    task.low = out.low;
    task.high = out.high;
    stage.parts = planned_parts(sharing_, vector_products(task));
    task.zero_point = out.y_zero_point + flip_of(out.to);
    stages_.push_back(std::move(stage));
    infos_.push_back(reader_.describe(
        node, pool == nullptr ? node : *pool->node,
        fmt::format("{}_{}_i8_{}_image_per_lane_{}x{}", what, dtype_name(x), dtype_name(out.to),
                    kernels_.tile_filters, layer.is_gemm() ? 1 : kernels_.tile_positions),
        isa_));
  }

  static std::vector<float> table(const Tensor& values, std::size_t size) {
    std::vector<float> result(size);
    std::copy_n(values.as<float>(), values.elements(), result.begin());
    return result;
  }

  void add_pool(const Layer& layer) {
    ByteStage stage;
    stage.is_pool = true;
    BytePoolTask& task = stage.pool;
    task.in = byte_tensor(layer.in);
    task.out = byte_tensor(layer.out);
    set_window(task, layer);
    stages_.push_back(std::move(stage));
    infos_.push_back(
        reader_.describe(*layer.node, *layer.node,
                         fmt::format("max_pool{}d_{}_image_per_lane",
                                     reader_.value(layer.node->inputs[0]).shape->rank() - 2,
                                     dtype_name(input_type(*layer.node))),
                         isa_));
  }

  Plan make_plan(DType x, DType y, const BlockPlaces& places, std::int64_t images);

  const LayerReader& reader_;
  const Isa& isa_;
  const ByteLaneKernels& kernels_;
  const Sharing sharing_;
  PackCache& packed_;
  ByteTensor block_;  ///< The images of a block.
  std::vector<ByteStage> stages_;
  std::vector<StepInfo> infos_;
};

void run_byte_stage(const ByteStage& stage, const ByteLaneKernels& kernels, std::byte* scratch,
                    ThreadPool* crew) {
  const auto* x = reinterpret_cast<const std::uint32_t*>(scratch + stage.x);
  auto* y = reinterpret_cast<std::uint32_t*>(scratch + stage.y);
  if (is_padded(stage.out())) kernels.fill_padding(stage.out(), y);
  if (stage.is_pool) {
    kernels.max_pool(stage.pool, x, y);
    return;
  }
  share(crew, stage.parts, [&](const Part& part) {
    kernels.conv(stage.conv, {.x = x,
                              .weights = stage.weights->as<std::uint32_t>(),
                              .shifts = stage.shifts.data(),
                              .start = stage.start.data(),
                              .multiplier = stage.multiplier.data(),
                              .offset = stage.offset.data(),
                              .y = y,
                              .part = part});
  });
}

Plan ByteChainBuilder::make_plan(DType x, DType y, const BlockPlaces& places, std::int64_t images) {
  Plan plan;
  plan.kernel = "image_per_lane";
  plan.scratch_bytes = places.bytes;
  plan.run = [stages = std::move(stages_), block = block_, block_at = places.values[0],
              transposed_at = places.scratch[0], x_flip = flip_of(x), y_flip = flip_of(y), images,
              kernels = &kernels_, store_floats = isa_.lanes.store](const StepArgs& args) {
    const ByteStage& last = stages.back();
    const ByteTensor& out = last.out();
    const std::int64_t x_size = block.channels * block.height * block.width;
    const std::int64_t y_size = out.channels * out.height * out.width;
    for (std::int64_t first = 0; first < images; first += kernels->lanes) {
      const std::int64_t count = std::min(kernels->lanes, images - first);
      kernels->load(static_cast<const std::uint8_t*>(args.inputs[0]) + first * x_size,
                    {.stride = x_size, .count = count, .flip = x_flip}, block,
                    reinterpret_cast<std::uint8_t*>(args.scratch + transposed_at),
                    reinterpret_cast<std::uint32_t*>(args.scratch + block_at));
      for (const ByteStage& stage : stages)
        run_byte_stage(stage, *kernels, args.scratch, args.crew);
      const std::byte* result = args.scratch + last.y;
      if (last.to_bytes()) {
        kernels->store(reinterpret_cast<const std::uint32_t*>(result), out,
                       {.stride = y_size, .count = count, .flip = y_flip},
                       static_cast<std::uint8_t*>(args.outputs[0]) + first * y_size);
      } else {
        // The f32 kernels of this level have as many lanes.
        store_floats(reinterpret_cast<const float*>(result), y_size, count,
                     static_cast<float*>(args.outputs[0]) + first * y_size);
      }
    }
  };
  return plan;
}

}  // namespace

std::optional<LaneChain> build_byte_chain(const LayerReader& reader,
                                          const std::vector<Layer>& layers, std::int64_t images,
                                          const Isa& isa, const Sharing& sharing,
                                          PackCache& packed) {
  return ByteChainBuilder(reader, isa, sharing, packed).build(layers, images);
}

}  // namespace prs::cpu
