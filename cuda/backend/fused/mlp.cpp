// Plans of the fused multi-layer perceptron.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "backend/fused/fused.hpp"

namespace prs::cuda {
namespace {

constexpr int kTiles[] = {64, 32, 16};  ///< Images of a block, largest first.

int padded(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

/// All but the pointers and the parts that hang on the tile.
MlpArgs describe_layers(const Fusion& fusion) {
  const Chain& chain = fusion.chain;
  MlpArgs args{};
  args.images = fusion.images();
  args.depth = static_cast<int>(chain.dense.size());
  args.pixels = fusion.pixels();
  args.scores = chain.scores;
  int biases = 0;
  for (int i = 0; i < args.depth; ++i) {
    const DenseStage& stage = chain.dense[static_cast<std::size_t>(i)];
    DenseLayer& layer = args.layers[i];
    layer.inputs = static_cast<int>(stage.inputs);
    layer.outputs = static_cast<int>(stage.outputs);
    layer.biases = biases;
    layer.epilogue = epilogue_of(std::get<GemmParams>(stage.node->params).activation);
    biases += padded(layer.outputs, kMlpColumns);
    args.stages += padded(layer.inputs, kMlpDepth) / kMlpDepth *
                   (padded(layer.outputs, kMlpColumns) / kMlpColumns);
  }
  return args;
}

void place_shared(MlpArgs& args, int images) {
  const int pitch = images + 4;
  args.slices = 2 * kMlpDepth * kMlpColumns;
  const int kept = args.scores == Scores::kStored ? args.depth - 1 : args.depth;
  int rows[2] = {0, 0};
  for (int i = 0; i < kept; ++i) {
    rows[i % 2] = std::max(rows[i % 2], padded(args.layers[i].outputs, kMlpDepth));
  }
  args.activations[0] = args.slices + 2 * kMlpDepth * pitch;
  args.activations[1] = args.activations[0] + rows[0] * pitch;
  args.shared = args.activations[1] + rows[1] * pitch;
}

/// The stages of MlpArgs::weights, then the biases.
std::vector<float> pack(const Fusion& fusion, const MlpArgs& args) {
  std::vector<float> packed;
  packed.reserve(static_cast<std::size_t>(args.stages * kMlpDepth * kMlpColumns));
  for (const DenseStage& stage : fusion.chain.dense) {
    const auto& params = std::get<GemmParams>(stage.node->params);
    const float* weights = fusion.weights(*stage.node).as<float>();
    for (std::int64_t n0 = 0; n0 < stage.outputs; n0 += kMlpColumns) {
      for (std::int64_t k = 0; k < padded(static_cast<int>(stage.inputs), kMlpDepth); ++k) {
        for (std::int64_t n = n0; n < n0 + kMlpColumns; ++n) {
          const bool inside = k < stage.inputs && n < stage.outputs;
          const std::int64_t at = params.trans_b ? n * stage.inputs + k : k * stage.outputs + n;
          packed.push_back(inside ? params.alpha * weights[at] : 0.0F);
        }
      }
    }
  }
  for (const DenseStage& stage : fusion.chain.dense) {
    const float beta = std::get<GemmParams>(stage.node->params).beta;
    std::vector<float> biases = biases_of(fusion.graph, *stage.node, stage.outputs, beta);
    biases.resize(static_cast<std::size_t>(padded(static_cast<int>(stage.outputs), kMlpColumns)));
    packed.insert(packed.end(), biases.begin(), biases.end());
  }
  return packed;
}

KernelId kernel_of(int images) {
  if (images == 16) return KernelId::kMlpF32Images16;
  return images == 32 ? KernelId::kMlpF32Images32 : KernelId::kMlpF32Images64;
}

}  // namespace

FusedChoice plan_mlp(const Fusion& fusion) {
  // Far beyond what shared memory holds, and no sum of a few overflows.
  constexpr std::int64_t kWidest = 1 << 20;
  std::string widths = fmt::format("{}", fusion.chain.dense[0].inputs);
  for (const DenseStage& stage : fusion.chain.dense) {
    if (std::max(stage.inputs, stage.outputs) > kWidest) {
      return {{}, fmt::format("a layer is wider than {}", kWidest)};
    }
    widths += fmt::format("-{}", stage.outputs);
  }
  MlpArgs args = describe_layers(fusion);
  int images = 0;
  std::int64_t least_bytes = 0;
  for (const int tile : kTiles) {
    place_shared(args, tile);
    least_bytes = std::int64_t{args.shared} * static_cast<std::int64_t>(sizeof(float));
    if (least_bytes > fusion.limits.shared_bytes) continue;
    images = tile;
    // A smaller tile when the larger one leaves multiprocessors idle.
    if ((args.images + tile - 1) / tile >= fusion.limits.multiprocessors) break;
  }
  if (images == 0) {
    return {{},
            fmt::format("{} needs {} of shared memory for {} images; the device has {}", widths,
                        kib(least_bytes), kTiles[2], kib(fusion.limits.shared_bytes))};
  }
  place_shared(args, images);
  const std::int64_t blocks = (args.images + images - 1) / images;
  if (blocks > std::numeric_limits<std::int32_t>::max()) return {{}, "too many images at once"};
  const auto constants = pack_chain(fusion, "mlp", [&] { return pack(fusion, args); });
  args.weights = static_cast<const float*>(constants.get());
  args.biases = args.weights + std::int64_t{args.stages} * kMlpDepth * kMlpColumns;
  const auto complete = [constants](MlpArgs& full, const StepArgs& step) {
    full.x = step.inputs[0];
    full.y = step.outputs[0];
  };
  const std::int64_t shared_bytes =
      std::int64_t{args.shared} * static_cast<std::int64_t>(sizeof(float));
  Plan plan = plan_kernel(kernel_of(images),
                          {static_cast<unsigned>(std::max<std::int64_t>(blocks, 1)), 1, 1}, args,
                          args.images, complete, shared_bytes);
  return {FusedPlan{std::move(plan), fmt::format("{} dense layers, {}, {} of shared memory",
                                                 args.depth, widths, kib(shared_bytes))},
          {}};
}

}  // namespace prs::cuda
