// Chooses a fused kernel for the layers that a graph begins with, by their pattern and by what the
// device's shared memory takes.
#pragma once

#include <optional>
#include <string>

#include "backend/fused/chain.hpp"
#include "backend/plan.hpp"

namespace prs::cuda {

struct FusedPlan {
  Plan plan;           ///< From one input to one output.
  std::string detail;  ///< For the note: "3 layers, 784-256-128-10".
  /// What it takes when that is not the whole chain: its first convolutions.
  std::optional<Chain> front = std::nullopt;
  /// The output is in the precision's 16-bit type instead of f32, which all that read it take.
  bool rounded = false;
};

/// Either a plan or why there is none, in words.
struct FusedChoice {
  std::optional<FusedPlan> plan;
  std::string reason;
};

struct Fusion {
  const Graph& graph;
  const Chain& chain;
  const DeviceLimits& limits;
  const Constants& constants;
  Precision precision = Precision::kFp32;

  std::int64_t images() const { return (*graph.value(chain.input).shape)[0]; }
  bool pixels() const { return graph.value(chain.input).dtype == DType::kUint8; }
  const Tensor& weights(const Node& node) const { return *graph.value(node.inputs[1]).constant; }
};

FusedChoice plan_mlp(const Fusion& fusion);
/// In bf16 or fp16.
FusedChoice plan_mlp_mma(const Fusion& fusion);
FusedChoice plan_cnn(const Fusion& fusion);
/// bf16 and fp16 on tensor cores.
FusedChoice plan_cnn_mma(const Fusion& fusion);

/// For chains of at least two layers that one kernel takes, or whose first convolutions one does.
FusedChoice plan_fused(const Fusion& fusion);

/// "140 KiB", rounded up.
std::string kib(std::int64_t bytes);

/// The tensors that a chain's layers read, and what tells apart how they use them.
std::vector<Tensor> constants_of(const Fusion& fusion);
std::string chain_layout(const Fusion& fusion);

/// The constants of a chain as `make` packs them for a kernel, on the device; shared with the
/// executables of other batch sizes. `layout` tells apart the ways to pack.
template <typename Make>
std::shared_ptr<const void> pack_chain(const Fusion& fusion, const std::string& layout,
                                       const Make& make) {
  return fusion.constants.packed(constants_of(fusion), layout + chain_layout(fusion), make);
}

}  // namespace prs::cuda
