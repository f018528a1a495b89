#include "backend/fused/fused.hpp"

#include <fmt/format.h>

#include <algorithm>

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

namespace {

FusedChoice plan_chain(const Fusion& fusion) {
  return fusion.precision == Precision::kFp32 ? plan_cnn(fusion) : plan_cnn_mma(fusion);
}

/// The longest row of the chain's first convolutions that one kernel takes; why there is none is
/// the longest one's reason.
FusedChoice plan_front(const Fusion& fusion) {
  std::string reason;
  for (std::size_t count = fusion.chain.convolutions.size(); count > 0; --count) {
    // One operator has a kernel of its own.
    if (count == 1 && fusion.chain.convolutions[0].pool == nullptr) break;
    const Chain front = front_of(fusion.chain, count);
    FusedChoice choice =
        plan_chain({fusion.graph, front, fusion.limits, fusion.constants, fusion.precision});
    if (choice.plan) {
      choice.plan->front = front;
      return choice;
    }
    if (reason.empty()) reason = choice.reason;
  }
  return {{}, reason};
}

}  // namespace

FusedChoice plan_fused(const Fusion& fusion) {
  const Chain& chain = fusion.chain;
  const bool fp32 = fusion.precision == Precision::kFp32;
  if (fusion.precision == Precision::kTf32 || fusion.precision == Precision::kInt8) {
    return {{},
            fmt::format("fused kernels compute in fp32, bf16 and fp16, not {}",
                        precision_name(fusion.precision))};
  }
  const std::string end = chain.end.empty() ? "" : ", then " + chain.end;
  const auto pools = std::count_if(chain.convolutions.begin(), chain.convolutions.end(),
                                   [](const ConvStage& stage) { return stage.pool != nullptr; });
  // Of dense layers on tensor cores one and what picks the best class of it are two as well.
  const bool picks = !fp32 && chain.convolutions.empty() && !chain.dense.empty() &&
                     chain.scores != Scores::kStored;
  if (chain.convolutions.size() + chain.dense.size() + static_cast<std::size_t>(pools) +
          (picks ? 1 : 0) <
      2) {
    return {{}, fmt::format("fewer than two layers in a row{}", end)};
  }
  if (chain.convolutions.size() > kMaxFusedLayers || chain.dense.size() > kMaxFusedLayers) {
    return {{}, fmt::format("more than {} layers of a kind", kMaxFusedLayers)};
  }
  if (chain.convolutions.empty()) return fp32 ? plan_mlp(fusion) : plan_mlp_mma(fusion);
  FusedChoice whole = {{}, "no dense layer follows the convolutions" + end};
  if (!chain.dense.empty()) whole = plan_chain(fusion);
  if (whole.plan) return whole;
  FusedChoice front = plan_front(fusion);
  if (front.plan) {
    front.plan->detail += "; no further: " + whole.reason;
  } else if (!front.reason.empty() && front.reason != whole.reason) {
    front.reason = whole.reason + "; the convolutions alone: " + front.reason;
  } else {
    front.reason = whole.reason;
  }
  return front;
}

}  // namespace prs::cuda
