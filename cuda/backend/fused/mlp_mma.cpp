// Plans of the fused multi-layer perceptrons on tensor cores.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/fused/fused.hpp"
#include "backend/packed.hpp"

namespace prs::cuda {
namespace {

/// How the kernels of a device take a layer.
struct Family {
  bool wgmma;  ///< Else mma.sync.

  /// wgmma's instructions have their number of columns as they are named; the others are asked for
  /// 32 columns at a time.
  int columns(std::int64_t outputs) const {
    if (!wgmma) return static_cast<int>((outputs + 31) / 32 * 32);
    constexpr int kWidths[] = {16, 32, 64, 128, 192, 256};
    return *std::lower_bound(std::begin(kWidths), std::end(kWidths), static_cast<int>(outputs));
  }
  std::int64_t shared_bytes(const MlpMmaArgs& args) const {
    constexpr std::int64_t kBarriers = 2 * sizeof(std::uint64_t);
    const std::int64_t stage = std::int64_t{args.slot} * 2;
    const std::int64_t slots = wgmma ? kBulkSlots * (stage + kBarriers) : kCopiedSlots * stage;
    return slots + std::int64_t{args.biased} * static_cast<std::int64_t>(sizeof(float));
  }
  /// Of those of bf16 and f16, mma and wgmma, 128 and 256 columns, which follow one another.
  KernelId kernel(Precision precision, int columns) const {
    const int offset =
        (precision == Precision::kFp16 ? 4 : 0) + (wgmma ? 2 : 0) + (columns > 128 ? 1 : 0);
    return static_cast<KernelId>(static_cast<int>(KernelId::kMlpBf16Mma128) + offset);
  }
};
static_assert(static_cast<int>(KernelId::kMlpF16Wgmma256) ==
              static_cast<int>(KernelId::kMlpBf16Mma128) + 7);

/// A power of two that brings the weights below 2 and not all below 1, so that none which matters
/// beside the largest is denormal as a half; in bf16, which has float's exponents, 1.
float scale_of(const Fusion& fusion, const DenseStage& stage) {
  if (fusion.precision == Precision::kBf16) return 1.0F;
  const Tensor& weights = fusion.weights(*stage.node);
  const float* from = weights.as<float>();
  float largest = 0.0F;
  for (std::int64_t i = 0; i < weights.elements(); ++i) {
    largest = std::max(largest, std::fabs(from[i]));
  }
  largest *= std::fabs(std::get<GemmParams>(stage.node->params).alpha);
  if (!std::isnormal(largest)) return 1.0F;
  return std::ldexp(1.0F, std::max(std::ilogb(largest), -126));
}

/// All but the pointers.
MlpMmaArgs describe_layers(const Fusion& fusion, const Family& family) {
  const Chain& chain = fusion.chain;
  MlpMmaArgs args{};
  args.images = fusion.images();
  args.inputs = static_cast<int>(chain.dense[0].inputs);
  args.depth = static_cast<int>(chain.dense.size());
  args.pixels = fusion.pixels();
  args.scores = chain.scores;
  for (int i = 0; i < args.depth; ++i) {
    const DenseStage& stage = chain.dense[static_cast<std::size_t>(i)];
    DenseMmaLayer& layer = args.layers[i];
    layer.outputs = static_cast<int>(stage.outputs);
    layer.columns = family.columns(stage.outputs);
    layer.steps = static_cast<int>((stage.inputs + 15) / 16);
    layer.biases = args.biased;
    layer.scale = scale_of(fusion, stage);
    layer.epilogue = epilogue_of(std::get<GemmParams>(stage.node->params).activation);
    args.biased += layer.columns;
    args.stages += (layer.steps + kStageDepth / 16 - 1) / (kStageDepth / 16);
    args.slot = std::max(args.slot, layer.columns * kStageDepth);
  }
  // A smaller tile when the larger one leaves multiprocessors idle.
  args.tile = (args.images + 127) / 128 < fusion.limits.multiprocessors ? 64 : 128;
  return args;
}

/// One stage of a layer, appended as MlpMmaArgs::weights has it.
void pack_stage(const Fusion& fusion, const MlpMmaArgs& args, int number, int step0,
                std::vector<std::uint16_t>& packed) {
  const DenseStage& stage = fusion.chain.dense[static_cast<std::size_t>(number)];
  const DenseMmaLayer& layer = args.layers[number];
  const auto& params = std::get<GemmParams>(stage.node->params);
  const float* weights = fusion.weights(*stage.node).as<float>();
  const PackedFormat format(fusion.precision);
  const int steps = std::min(kStageDepth / 16, layer.steps - step0);
  const std::size_t first = packed.size();
  packed.resize(first + static_cast<std::size_t>(layer.columns * kStageDepth), 0);
  for (std::int64_t n = 0; n < stage.outputs; ++n) {
    for (int at = 0; at < steps * 16; ++at) {
      const std::int64_t k = step0 * 16 + (number == 0 ? mlp_mma_input(at, steps) : at);
      if (k >= stage.inputs) continue;
      const float weight = weights[params.trans_b ? n * stage.inputs + k : k * stage.outputs + n];
      const std::int64_t to = n * kStageDepth + (at / 8 ^ n % 8) * 8 + at % 8;
      packed[first + static_cast<std::size_t>(to)] =
          static_cast<std::uint16_t>(format.bits(params.alpha * weight / layer.scale));
    }
  }
}

std::int64_t weight_elements(const MlpMmaArgs& args) {
  std::int64_t elements = 0;
  for (int i = 0; i < args.depth; ++i) {
    constexpr int kSteps = kStageDepth / 16;
    const std::int64_t stages = (args.layers[i].steps + kSteps - 1) / kSteps;
    elements += stages * args.layers[i].columns * kStageDepth;
  }
  return elements;
}

/// The stages, then the biases.
std::vector<std::uint16_t> pack(const Fusion& fusion, const MlpMmaArgs& args) {
  std::vector<std::uint16_t> packed;
  packed.reserve(static_cast<std::size_t>(weight_elements(args) + 2 * args.biased));
  for (int i = 0; i < args.depth; ++i) {
    for (int step0 = 0; step0 < args.layers[i].steps; step0 += kStageDepth / 16) {
      pack_stage(fusion, args, i, step0, packed);
    }
  }
  for (int i = 0; i < args.depth; ++i) {
    const DenseStage& stage = fusion.chain.dense[static_cast<std::size_t>(i)];
    std::vector<float> biases = biases_of(fusion.graph, *stage.node, stage.outputs,
                                          std::get<GemmParams>(stage.node->params).beta);
    biases.resize(static_cast<std::size_t>(args.layers[i].columns), 0.0F);
    const std::size_t first = packed.size();
    packed.resize(first + biases.size() * 2);
    std::memcpy(packed.data() + first, biases.data(), biases.size() * sizeof(float));
  }
  return packed;
}

}  // namespace

FusedChoice plan_mlp_mma(const Fusion& fusion) {
  constexpr std::int64_t kMostInputs = 1 << 20;
  const std::vector<DenseStage>& layers = fusion.chain.dense;
  if (layers[0].inputs > kMostInputs) {
    return {{}, fmt::format("a layer of {} inputs; at most {}", layers[0].inputs, kMostInputs)};
  }
  std::string widths = fmt::format("{}", layers[0].inputs);
  for (const DenseStage& stage : layers) {
    if (stage.outputs > kMostMmaColumns) {
      return {
          {},
          fmt::format("a layer of {} outputs; fused kernels in {} keep a layer in registers, at "
                      "most {}",
                      stage.outputs, precision_name(fusion.precision), kMostMmaColumns)};
    }
    widths += fmt::format("-{}", stage.outputs);
  }
  const Family family{fusion.limits.sm_90a};
  MlpMmaArgs args = describe_layers(fusion, family);
  const std::int64_t shared_bytes = family.shared_bytes(args);
  if (shared_bytes > fusion.limits.shared_bytes) {
    return {{},
            fmt::format("{} needs {} of shared memory; the device has {}", widths,
                        kib(shared_bytes), kib(fusion.limits.shared_bytes))};
  }
  const auto constants = pack_chain(
      fusion,
      fmt::format("mlp {} {}", precision_name(fusion.precision), family.wgmma ? "wgmma" : "mma"),
      [&] { return pack(fusion, args); });
  args.weights = constants.get();
  args.biases = reinterpret_cast<const float*>(static_cast<const std::uint16_t*>(args.weights) +
                                               weight_elements(args));
  const std::int64_t tiles = (args.images + args.tile - 1) / args.tile;
  const std::int64_t resident = std::int64_t{fusion.limits.multiprocessors} * (128 / args.tile);
  const auto blocks = static_cast<unsigned>(std::clamp<std::int64_t>(tiles, 1, resident));
  const int columns = args.slot / kStageDepth;
  Plan plan = plan_kernel(
      family.kernel(fusion.precision, columns), {blocks, 1, 1}, args, args.images,
      [constants](MlpMmaArgs& full, const StepArgs& step) {
        full.x = step.inputs[0];
        full.y = step.outputs[0];
      },
      shared_bytes, static_cast<unsigned>(args.tile) * 2);
  return {FusedPlan{std::move(plan),
                    fmt::format("{} dense layer(s), {}, by {}, {} images a block, {} of shared "
                                "memory",
                                args.depth, widths, family.wgmma ? "wgmma" : "mma.sync", args.tile,
                                kib(shared_bytes))},
          {}};
}

}  // namespace prs::cuda
