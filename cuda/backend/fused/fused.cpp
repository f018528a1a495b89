#include "backend/fused/fused.hpp"

#include <fmt/format.h>

namespace prs::cuda {

std::string kib(std::int64_t bytes) { return fmt::format("{} KiB", (bytes + 1023) / 1024); }

std::vector<Tensor> constants_of(const Fusion& fusion) {
  std::vector<Tensor> constants;
  const auto add = [&](const Node& node) {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      constants.push_back(*fusion.graph.value(node.inputs[i]).constant);
    }
  };
  for (const ConvStage& stage : fusion.chain.convolutions) add(*stage.node);
  for (const DenseStage& stage : fusion.chain.dense) add(*stage.node);
  return constants;
}

std::string chain_layout(const Fusion& fusion) {
  std::string layout;
  for (const DenseStage& stage : fusion.chain.dense) {
    const auto& params = std::get<GemmParams>(stage.node->params);
    layout += fmt::format(" {}:{}:{}", params.alpha, params.beta, params.trans_b);
  }
  return layout;
}

FusedChoice plan_fused(const Fusion& fusion) {
  const Chain& chain = fusion.chain;
  const bool fp32 = fusion.precision == Precision::kFp32;
  const bool half = fusion.precision == Precision::kBf16 || fusion.precision == Precision::kFp16;
  if (!fp32 && !(half && chain.convolutions.empty())) {
    return {{},
            fmt::format("fused kernels {} in {}, not {}",
                        half ? "with convolutions compute" : "compute",
                        half ? "fp32" : "fp32, bf16 and fp16", precision_name(fusion.precision))};
  }
  const std::string end = chain.end.empty() ? "" : ", then " + chain.end;
  // On tensor cores a layer and what picks the best class of it are two as well.
  const bool picks = half && !chain.dense.empty() && chain.scores != Scores::kStored;
  if (chain.convolutions.size() + chain.dense.size() + (picks ? 1 : 0) < 2) {
    return {{}, fmt::format("fewer than two layers in a row{}", end)};
  }
  if (chain.convolutions.size() > kMaxFusedLayers || chain.dense.size() > kMaxFusedLayers) {
    return {{}, fmt::format("more than {} layers of a kind", kMaxFusedLayers)};
  }
  if (chain.convolutions.empty()) return fp32 ? plan_mlp(fusion) : plan_mlp_mma(fusion);
  if (chain.dense.empty()) return {{}, "no dense layer follows the convolutions" + end};
  return plan_cnn(fusion);
}

}  // namespace prs::cuda
