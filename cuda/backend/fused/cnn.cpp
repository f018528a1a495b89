// Plans of the fused convolutional network.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "backend/fused/cnn.hpp"

namespace prs::cuda {
namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);

std::int64_t padded_to_4(std::int64_t value) { return (value + 3) / 4 * 4; }

const ops::WindowAxis& result_axis(const ConvStage& stage, std::size_t axis) {
  return stage.pool != nullptr ? stage.pool_window[axis] : stage.window[axis];
}

/// The extents that the plan checks before they become int: floats of one image or of the weights.
struct Floats {
  std::int64_t planes[2] = {0, 0};   ///< The largest of every other layer's planes.
  std::int64_t vectors[2] = {0, 0};  ///< The same for the dense layers' results.
  std::int64_t resident = 0;
  std::int64_t dense_weights = 0;

  std::int64_t of_image() const { return planes[0] + planes[1] + vectors[0] + vectors[1]; }
  std::int64_t shared(std::int64_t images) const { return resident + images * of_image(); }
};

Floats count_floats(const Fusion& fusion) {
  const auto& stages = fusion.chain.convolutions;
  Floats floats;
  for (std::size_t i = 0; i <= stages.size(); ++i) {
    const Planes planes = planes_at(fusion, i);
    std::int64_t& largest = floats.planes[i % 2];
    largest = std::max(largest, std::int64_t{planes.channels} * planes.height * planes.width);
    if (i == stages.size()) break;
    const Shape& weights = fusion.weights(*stages[i].node).shape();
    floats.resident += padded_to_4(weights[0]) * (weights.elements(1, 4) + 1);
  }
  const auto& dense = fusion.chain.dense;
  for (std::size_t i = 0; i < dense.size(); ++i) {
    floats.dense_weights += dense[i].inputs * dense[i].outputs;
    const bool kept = i + 1 < dense.size() || fusion.chain.scores != Scores::kStored;
    if (kept) floats.vectors[i % 2] = std::max(floats.vectors[i % 2], dense[i].outputs);
  }
  return floats;
}

ConvLayer conv_layer(const Fusion& fusion, const ConvStage& stage) {
  const auto& [depth, height, width] = stage.window;
  ConvLayer layer{};
  layer.filters = static_cast<int>(fusion.weights(*stage.node).shape()[0]);
  layer.kernel_height = static_cast<int>(height.kernel);
  layer.kernel_width = static_cast<int>(width.kernel);
  layer.stride_height = static_cast<int>(height.stride);
  layer.stride_width = static_cast<int>(width.stride);
  layer.dilation_height = static_cast<int>(height.dilation);
  layer.dilation_width = static_cast<int>(width.dilation);
  layer.pool = stage.pool != nullptr ? static_cast<int>(stage.pool_window[1].kernel) : 1;
  layer.pool_stride_height =
      stage.pool != nullptr ? static_cast<int>(stage.pool_window[1].stride) : 1;
  layer.pool_stride_width =
      stage.pool != nullptr ? static_cast<int>(stage.pool_window[2].stride) : 1;
  layer.epilogue = epilogue_of(std::get<ConvParams>(stage.node->params).activation);
  return layer;
}

/// Fills in everything but the pointers, and packs the weights: the convolutions' as [tap, filter]
/// with their biases, which stay in shared memory, then the dense layers' as [output, input].
std::vector<float> lay_out(const Fusion& fusion, const Floats& floats, int tile, CnnArgs& args) {
  const Chain& chain = fusion.chain;
  args.images = fusion.images();
  args.tile = tile;
  args.convolutions = static_cast<int>(chain.convolutions.size());
  args.dense = static_cast<int>(chain.dense.size());
  args.pixels = fusion.pixels();
  args.scores = chain.scores;
  args.resident = static_cast<int>(floats.resident);
  const auto planes_bytes = [&](int i) { return static_cast<int>(tile * floats.planes[i]); };
  const int first[2] = {args.resident, args.resident + planes_bytes(0)};
  args.vectors[0] = first[1] + planes_bytes(1);
  args.vectors[1] = args.vectors[0] + static_cast<int>(tile * floats.vectors[0]);
  args.shared = static_cast<int>(floats.shared(tile));
  for (std::size_t i = 0; i <= chain.convolutions.size(); ++i) {
    args.planes[i] = planes_at(fusion, i);
    args.planes[i].first = first[i % 2];
  }
  std::vector<float> packed;
  const auto at = [&] { return static_cast<int>(packed.size()); };
  for (std::size_t i = 0; i < chain.convolutions.size(); ++i) {
    const Node& node = *chain.convolutions[i].node;
    ConvLayer& layer = args.conv_layers[i] = conv_layer(fusion, chain.convolutions[i]);
    const Tensor& weights = fusion.weights(node);
    const std::int64_t taps = weights.shape().elements(1, 4);
    const std::int64_t filters = padded_to_4(layer.filters);
    layer.weights = at();
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t f = 0; f < filters; ++f) {
        packed.push_back(f < layer.filters ? weights.as<float>()[f * taps + tap] : 0.0F);
      }
    }
    layer.biases = at();
    std::vector<float> biases = biases_of(fusion.graph, node, layer.filters, 1.0F);
    biases.resize(static_cast<std::size_t>(filters));
    packed.insert(packed.end(), biases.begin(), biases.end());
  }
  for (std::size_t i = 0; i < chain.dense.size(); ++i) {
    const DenseStage& stage = chain.dense[i];
    const auto& params = std::get<GemmParams>(stage.node->params);
    DenseLayer& layer = args.dense_layers[i];
    layer.inputs = static_cast<int>(stage.inputs);
    layer.outputs = static_cast<int>(stage.outputs);
    layer.epilogue = epilogue_of(params.activation);
    layer.weights = at();
    const float* weights = fusion.weights(*stage.node).as<float>();
    for (std::int64_t n = 0; n < stage.outputs; ++n) {
      for (std::int64_t k = 0; k < stage.inputs; ++k) {
        packed.push_back(params.alpha *
                         weights[params.trans_b ? n * stage.inputs + k : k * stage.outputs + n]);
      }
    }
    layer.biases = at();
    const auto biases = biases_of(fusion.graph, *stage.node, stage.outputs, params.beta);
    packed.insert(packed.end(), biases.begin(), biases.end());
  }
  return packed;
}

}  // namespace

Planes planes_at(const Fusion& fusion, std::size_t i) {
  const auto& stages = fusion.chain.convolutions;
  Planes planes{};
  if (i == stages.size()) {
    planes.channels = static_cast<int>(fusion.weights(*stages.back().node).shape()[0]);
    planes.rows = planes.height = static_cast<int>(result_axis(stages.back(), 1).out);
    planes.columns = planes.width = static_cast<int>(result_axis(stages.back(), 2).out);
    return planes;
  }
  const auto& [depth, height, width] = stages[i].window;
  planes.channels = static_cast<int>(fusion.weights(*stages[i].node).shape()[1]);
  planes.rows = static_cast<int>(height.in);
  planes.columns = static_cast<int>(width.in);
  planes.top = static_cast<int>(height.pad_begin);
  planes.left = static_cast<int>(width.pad_begin);
  planes.height = static_cast<int>(height.in + height.pad_begin + height.pad_end);
  planes.width = static_cast<int>(width.in + width.pad_begin + width.pad_end);
  return planes;
}

std::shared_ptr<const void> upload_normalization(const Fusion& fusion, std::int64_t channels) {
  if (fusion.chain.normalize == nullptr) return nullptr;
  const auto& params = std::get<NormalizeParams>(fusion.chain.normalize->params);
  std::vector<float> values;
  for (const auto* vector : {&params.scale, &params.bias}) {
    for (std::int64_t c = 0; c < channels; ++c) {
      values.push_back((*vector)[vector->size() == 1 ? 0 : static_cast<std::size_t>(c)]);
    }
  }
  return fusion.constants.upload(values);
}

std::string too_many_dense_weights(std::int64_t bytes) {
  return fmt::format(
      "the dense layers have {} of weights, which every block would read; at most {}", kib(bytes),
      kib(kMostDenseBytes));
}

FusedChoice plan_cnn(const Fusion& fusion) {
  const Floats floats = count_floats(fusion);
  if (floats.dense_weights * kFloatBytes > kMostDenseBytes) {
    return {{}, too_many_dense_weights(floats.dense_weights * kFloatBytes)};
  }
  if (floats.shared(1) * kFloatBytes > fusion.limits.shared_bytes) {
    return {{},
            fmt::format("an image needs {} of shared memory; the device has {}",
                        kib(floats.shared(1) * kFloatBytes), kib(fusion.limits.shared_bytes))};
  }
  // A front saves its intermediates' way through device memory, which is little beside f32's
  // products: no reason to leave a multiprocessor half empty.
  if (fusion.chain.dense.empty() &&
      !two_blocks_fit(floats.shared(1) * kFloatBytes, fusion.limits)) {
    return {{},
            fmt::format("an image needs {} of shared memory, and fp32 pays from two blocks a "
                        "multiprocessor; the device has {}",
                        kib(floats.shared(1) * kFloatBytes), kib(fusion.limits.shared_bytes))};
  }
  // More images a block copy the weights less often, as long as two blocks share a multiprocessor
  // and all of those have work.
  int tile = 1;
  while (tile < kMaxCnnImages &&
         2 * floats.shared(2 * tile) * kFloatBytes <= fusion.limits.shared_bytes &&
         fusion.images() >= 2 * tile * 2 * fusion.limits.multiprocessors) {
    tile *= 2;
  }
  const std::int64_t blocks = (fusion.images() + tile - 1) / tile;
  if (blocks > std::numeric_limits<std::int32_t>::max()) return {{}, "too many images at once"};
  CnnArgs args{};
  const std::vector<float> weights = lay_out(fusion, floats, tile, args);
  const auto constants = pack_chain(fusion, "cnn", [&] { return weights; });
  const auto normalization = upload_normalization(fusion, args.planes[0].channels);
  args.weights = static_cast<const float*>(constants.get());
  if (normalization != nullptr) {
    args.scale = static_cast<const float*>(normalization.get());
    args.bias = args.scale + args.planes[0].channels;
  }
  const auto complete = [constants, normalization](CnnArgs& full, const StepArgs& step) {
    full.x = step.inputs[0];
    full.y = step.outputs[0];
  };
  const std::int64_t shared_bytes = floats.shared(tile) * kFloatBytes;
  Plan plan = plan_kernel(KernelId::kCnnF32,
                          {static_cast<unsigned>(std::max<std::int64_t>(blocks, 1)), 1, 1}, args,
                          args.images, complete, shared_bytes);
  std::string detail = fmt::format("{} convolution(s)", args.convolutions);
  if (args.dense > 0) detail += fmt::format(" and {} dense layer(s)", args.dense);
  detail += fmt::format(", {} image(s) a block, {} of shared memory", tile, kib(shared_bytes));
  return {FusedPlan{std::move(plan), std::move(detail)}, {}};
}

}  // namespace prs::cuda
