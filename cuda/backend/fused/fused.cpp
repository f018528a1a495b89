#include "backend/fused/fused.hpp"

#include <fmt/format.h>

namespace prs::cuda {

std::string kib(std::int64_t bytes) { return fmt::format("{} KiB", (bytes + 1023) / 1024); }

std::shared_ptr<const void> pack_chain(const Fusion& fusion, std::string layout,
                                       const std::function<std::vector<float>()>& make) {
  std::vector<Tensor> packed;
  const auto keep = [&](const Node& node) {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != kNoValue)
        packed.push_back(*fusion.graph.value(node.inputs[i]).constant);
    }
  };
  for (const ConvStage& stage : fusion.chain.convolutions) keep(*stage.node);
  for (const DenseStage& stage : fusion.chain.dense) {
    keep(*stage.node);
    const auto& params = std::get<GemmParams>(stage.node->params);
    layout += fmt::format(" {}:{}:{}", params.alpha, params.beta, params.trans_b);
  }
  return fusion.constants.packed(std::move(packed), layout, make);
}

FusedChoice plan_fused(const Fusion& fusion) {
  const Chain& chain = fusion.chain;
  const std::string end = chain.end.empty() ? "" : ", then " + chain.end;
  if (chain.convolutions.size() + chain.dense.size() < 2) {
    return {{}, fmt::format("fewer than two layers in a row{}", end)};
  }
  if (chain.convolutions.size() > kMaxFusedLayers || chain.dense.size() > kMaxFusedLayers) {
    return {{}, fmt::format("more than {} layers of a kind", kMaxFusedLayers)};
  }
  if (chain.convolutions.empty()) return plan_mlp(fusion);
  if (chain.dense.empty()) return {{}, "no dense layer follows the convolutions" + end};
  return plan_cnn(fusion);
}

}  // namespace prs::cuda
