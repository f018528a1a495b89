// Plans of the fused multi-layer perceptrons on tensor cores.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/fused/fused.hpp"
#include "backend/quantized.hpp"
#include "ops/quantize.hpp"

namespace prs::cuda {
namespace {

/// How the kernels of a device take a layer.
struct Family {
  bool wgmma;  ///< Else mma.sync.
  Precision precision;

  bool is_bytes() const { return precision == Precision::kInt8; }
  /// Of a product.
  int inputs() const { return is_bytes() ? 32 : 16; }
  /// Of an output.
  int tables() const { return is_bytes() ? 3 : 1; }
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
    if (is_bytes()) return slots;
    return slots + std::int64_t{args.table_size} * static_cast<std::int64_t>(sizeof(float));
  }
  /// Of a precision's, mma and wgmma, 128 and 256 columns, which follow one another.
  KernelId kernel(int widest) const {
    KernelId first = KernelId::kMlpBf16Mma128;
    if (precision == Precision::kFp16) first = KernelId::kMlpF16Mma128;
    if (is_bytes()) first = KernelId::kMlpU8S8Mma128;
    return static_cast<KernelId>(static_cast<int>(first) + (wgmma ? 2 : 0) +
                                 (widest > 128 ? 1 : 0));
  }
};
static_assert(static_cast<int>(KernelId::kMlpBf16Wgmma256) ==
              static_cast<int>(KernelId::kMlpBf16Mma128) + 3);
static_assert(static_cast<int>(KernelId::kMlpF16Wgmma256) ==
              static_cast<int>(KernelId::kMlpF16Mma128) + 3);
static_assert(static_cast<int>(KernelId::kMlpU8S8Wgmma256) ==
              static_cast<int>(KernelId::kMlpU8S8Mma128) + 3);

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

DType dtype_of_input(const Fusion& fusion, const DenseStage& stage) {
  return fusion.graph.value(stage.node->inputs[0]).dtype;
}

const Requantization& ends_of(const DenseStage& stage) {
  return std::get<QuantizedGemmParams>(stage.node->params).out;
}

RequantizeLayer requantize_layer(const Requantization& out) {
  return {out.low, out.high, out.to == DType::kFloat32 ? -0.0F : kRoundToInteger,
          u8_zero_point(out.to, out.y_zero_point)};
}

/// Of DequantizeLinear behind the layers.
void describe_scores(const Fusion& fusion, MlpMmaArgs& args) {
  const Node* node = fusion.chain.dequantize;
  if (node == nullptr) return;
  const auto constant = [&](std::size_t i) { return fusion.graph.value(node->inputs[i]).constant; };
  const bool has_zero_point = node->inputs.size() > 2 && node->inputs[2] != kNoValue;
  args.dequantizes = true;
  args.y_zero_point =
      u8_zero_point(fusion.graph.value(node->inputs[0]).dtype,
                    has_zero_point ? ops::quantize::element(constant(2)->view(), 0) : 0);
  args.y_scale = *constant(1)->as<float>();
}

/// All but the pointers.
MlpMmaArgs describe_layers(const Fusion& fusion, const Family& family) {
  const Chain& chain = fusion.chain;
  MlpMmaArgs args{};
  args.images = fusion.images();
  args.inputs = static_cast<int>(chain.dense[0].inputs);
  args.depth = static_cast<int>(chain.dense.size());
  args.pixels = family.is_bytes() || fusion.pixels();
  args.scores = chain.scores;
  if (family.is_bytes()) args.flip = u8_flip(dtype_of_input(fusion, chain.dense[0]));
  describe_scores(fusion, args);
  for (int i = 0; i < args.depth; ++i) {
    const DenseStage& stage = chain.dense[static_cast<std::size_t>(i)];
    DenseMmaLayer& layer = args.layers[i];
    layer.outputs = static_cast<int>(stage.outputs);
    layer.columns = family.columns(stage.outputs);
    layer.steps = static_cast<int>((stage.inputs + family.inputs() - 1) / family.inputs());
    layer.tables = args.table_size;
    if (family.is_bytes()) {
      args.ends[i] = requantize_layer(ends_of(stage));
    } else {
      layer.scale = scale_of(fusion, stage);
      layer.epilogue = epilogue_of(std::get<GemmParams>(stage.node->params).activation);
    }
    args.table_size += family.tables() * layer.columns;
    args.stages += (layer.steps + kStageSteps - 1) / kStageSteps;
    args.slot = std::max(args.slot, layer.columns * kStageDepth);
  }
  // A smaller tile when the larger one leaves multiprocessors idle.
  args.tile = (args.images + 127) / 128 < fusion.limits.multiprocessors ? 64 : 128;
  return args;
}

/// The constants of a network, as a kernel takes them.
class MlpPacker {
 public:
  MlpPacker(const Fusion& fusion, const MlpMmaArgs& args, const Family& family)
      : fusion_(fusion), args_(args), family_(family) {}

  /// The stages, then the tables.
  std::vector<std::uint16_t> pack() {
    packed_.reserve(static_cast<std::size_t>(weight_words() + 2 * args_.table_size));
    for (int i = 0; i < args_.depth; ++i) {
      for (int step0 = 0; step0 < args_.layers[i].steps; step0 += kStageSteps) add_stage(i, step0);
    }
    for (int i = 0; i < args_.depth; ++i) {
      if (family_.is_bytes()) {
        add_requantizing(stage(i), args_.layers[i].columns);
      } else {
        add_table(biases_of(fusion_.graph, *stage(i).node, stage(i).outputs,
                            std::get<GemmParams>(stage(i).node->params).beta)
                      .data(),
                  stage(i).outputs, args_.layers[i].columns);
      }
    }
    return std::move(packed_);
  }

  /// Of all stages.
  std::int64_t weight_words() const {
    std::int64_t words = 0;
    for (int i = 0; i < args_.depth; ++i) {
      const std::int64_t stages = (args_.layers[i].steps + kStageSteps - 1) / kStageSteps;
      words += stages * args_.layers[i].columns * kStageDepth;
    }
    return words;
  }

 private:
  const DenseStage& stage(int layer) const {
    return fusion_.chain.dense[static_cast<std::size_t>(layer)];
  }

  /// The weight of input k and output n.
  float weight(int layer, std::int64_t n, std::int64_t k) const {
    const Node& node = *stage(layer).node;
    const auto at = [&](bool trans_b) {
      return trans_b ? n * stage(layer).inputs + k : k * stage(layer).outputs + n;
    };
    const Tensor& weights = fusion_.weights(node);
    if (family_.is_bytes()) {
      const bool trans_b = std::get<QuantizedGemmParams>(node.params).trans_b;
      return static_cast<float>(weights.as<std::int8_t>()[at(trans_b)]);
    }
    const auto& params = std::get<GemmParams>(node.params);
    return params.alpha * weights.as<float>()[at(params.trans_b)] / args_.layers[layer].scale;
  }

  /// Which input is number `at` of a stage of so many steps.
  int input(int layer, int at, int steps) const {
    if (layer == 0) return mlp_mma_input(at, steps, family_.is_bytes() ? 4 : 2);
    return family_.is_bytes() ? mlp_u8s8_input(at) : at;
  }

  /// As MlpMmaArgs::weights has it.
  void add_stage(int number, int step0) {
    const DenseMmaLayer& layer = args_.layers[number];
    const PackedFormat format(family_.precision);
    const int bytes = static_cast<int>(format.bytes());
    const int steps = std::min(kStageSteps, layer.steps - step0);
    const std::size_t first = packed_.size();
    packed_.resize(first + static_cast<std::size_t>(layer.columns * kStageDepth), 0);
    for (int n = 0; n < layer.outputs; ++n) {
      for (int at = 0; at < steps * family_.inputs(); ++at) {
        const std::int64_t k = step0 * family_.inputs() + input(number, at, steps);
        if (k >= stage(number).inputs) continue;
        const int byte = at * bytes;
        const int word = n * kStageDepth + (byte / 16 ^ n % 8) * 8 + byte % 16 / 2;
        packed_[first + static_cast<std::size_t>(word)] |=
            static_cast<std::uint16_t>(format.bits(weight(number, n, k)) << (8 * (byte % 2)));
      }
    }
  }

  /// Numbers of 32 bits, then zeros.
  template <typename T>
  void add_table(const T* values, std::int64_t count, int columns) {
    static_assert(sizeof(T) == sizeof(float));
    const std::size_t first = packed_.size();
    packed_.resize(first + static_cast<std::size_t>(columns) * 2, 0);
    std::memcpy(packed_.data() + first, values, static_cast<std::size_t>(count) * sizeof(T));
  }

  void add_requantizing(const DenseStage& stage, int columns) {
    const bool trans_b = std::get<QuantizedGemmParams>(stage.node->params).trans_b;
    const MatrixView view{
        1, stage.outputs, stage.inputs, 0, trans_b ? stage.inputs : 1, trans_b ? 1 : stage.outputs};
    const std::int32_t zero_point =
        u8_zero_point(dtype_of_input(fusion_, stage), ends_of(stage).x_zero_point);
    const auto starts = sum_starts(fusion_.weights(*stage.node), view, zero_point);
    add_table(starts.data(), stage.outputs, columns);
    for (const std::size_t i : {2, 3}) {  // Multipliers and offsets.
      const auto& table = fusion_.graph.value(stage.node->inputs[i]).constant;
      add_table(table->as<float>(), stage.outputs, columns);
    }
  }

  const Fusion& fusion_;
  const MlpMmaArgs& args_;
  const Family family_;
  std::vector<std::uint16_t> packed_;
};

/// Why the kernels cannot take it; empty: they can.
std::string refusal_of(const Fusion& fusion) {
  constexpr std::int64_t kMostInputs = 1 << 20;
  const Chain& chain = fusion.chain;
  if (chain.quantized && ends_of(chain.dense.back()).to != DType::kFloat32 &&
      chain.dequantize == nullptr) {
    return fmt::format("scores of 8 bits{}", chain.end.empty() ? "" : ", then " + chain.end);
  }
  if (chain.dense[0].inputs > kMostInputs) {
    return fmt::format("a layer of {} inputs; at most {}", chain.dense[0].inputs, kMostInputs);
  }
  for (const DenseStage& stage : chain.dense) {
    if (stage.outputs <= kMostMmaColumns) continue;
    return fmt::format(
        "a layer of {} outputs; fused kernels in {} keep a layer in registers, at most {}",
        stage.outputs, precision_name(fusion.precision), kMostMmaColumns);
  }
  return "";
}

}  // namespace

FusedChoice plan_mlp_mma(const Fusion& fusion) {
  const std::string refusal = refusal_of(fusion);
  if (!refusal.empty()) return {{}, refusal};
  std::string widths = fmt::format("{}", fusion.chain.dense[0].inputs);
  for (const DenseStage& stage : fusion.chain.dense) widths += fmt::format("-{}", stage.outputs);
  const Family family{fusion.limits.sm_90a, fusion.precision};
  MlpMmaArgs args = describe_layers(fusion, family);
  const std::int64_t shared_bytes = family.shared_bytes(args);
  if (shared_bytes > fusion.limits.shared_bytes) {
    return {{},
            fmt::format("{} needs {} of shared memory; the device has {}", widths,
                        kib(shared_bytes), kib(fusion.limits.shared_bytes))};
  }
  MlpPacker packer(fusion, args, family);
  const auto constants = pack_chain(
      fusion,
      fmt::format("mlp {} {}", precision_name(fusion.precision), family.wgmma ? "wgmma" : "mma"),
      [&] { return packer.pack(); });
  args.weights = constants.get();
  args.tables = static_cast<const std::uint16_t*>(args.weights) + packer.weight_words();
  const std::int64_t tiles = (args.images + args.tile - 1) / args.tile;
  const std::int64_t resident = std::int64_t{fusion.limits.multiprocessors} * (128 / args.tile);
  const auto blocks = static_cast<unsigned>(std::clamp<std::int64_t>(tiles, 1, resident));
  Plan plan = plan_kernel(
      family.kernel(args.slot / kStageDepth), {blocks, 1, 1}, args, args.images,
      [constants](MlpMmaArgs& full, const StepArgs& step) {
        full.x = step.inputs[0];
        full.y = step.outputs[0];
      },
      shared_bytes, static_cast<unsigned>(args.tile) * 2);
  const Node* quantize = fusion.chain.quantize;
  FusedPlan fused{
      std::move(plan),
      fmt::format("{} dense layer(s){}, {}, by {}, {} images a block, {} of shared memory",
                  args.depth, quantize == nullptr ? "" : " behind QuantizeLinear", widths,
                  family.wgmma ? "wgmma" : "mma.sync", args.tile, kib(shared_bytes))};
  if (quantize != nullptr) {
    fused.first = static_cast<std::size_t>(quantize - fusion.graph.nodes.data()) + 1;
  }
  return {std::move(fused), {}};
}

}  // namespace prs::cuda
