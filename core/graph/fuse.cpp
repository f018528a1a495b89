// Moves activations into the node before them, and runs all passes to a fixed point.
#include <limits>
#include <optional>
#include <variant>

#include "check.hpp"
#include "graph/passes.hpp"
#include "graph/rewrite.hpp"

namespace prs {
namespace {

Activation* activation_slot(Node& node) {
  if (auto* conv = std::get_if<ConvParams>(&node.params)) return &conv->activation;
  if (auto* gemm = std::get_if<GemmParams>(&node.params)) return &gemm->activation;
  if (auto* binary = std::get_if<BinaryParams>(&node.params)) return &binary->activation;
  return nullptr;
}

/// One bound of a Clip: its constant, `fallback` when absent, nothing when known at run time only.
std::optional<float> clip_bound(const Graph& graph, const Node& node, std::size_t input,
                                const std::optional<float>& legacy, float fallback) {
  if (legacy) return legacy;
  if (input >= node.inputs.size() || node.inputs[input] == kNoValue) return fallback;
  const Tensor* bound = f32_constant(graph, node.inputs[input]);
  if (bound == nullptr || bound->elements() != 1) return std::nullopt;
  return *bound->as<float>();
}

std::optional<Activation> as_activation(const Graph& graph, const Node& node) {
  Activation activation;
  switch (node.kind) {
    case OpKind::kRelu:
      activation.kind = Activation::Kind::kRelu;
      return activation;
    case OpKind::kLeakyRelu:
      activation.kind = Activation::Kind::kLeakyRelu;
      activation.alpha = std::get<UnaryParams>(node.params).alpha;
      return activation;
    case OpKind::kSigmoid:
      activation.kind = Activation::Kind::kSigmoid;
      return activation;
    case OpKind::kTanh:
      activation.kind = Activation::Kind::kTanh;
      return activation;
    case OpKind::kClip: {
      const auto& params = std::get<ClipParams>(node.params);
      const auto low =
          clip_bound(graph, node, 1, params.legacy_min, std::numeric_limits<float>::lowest());
      const auto high =
          clip_bound(graph, node, 2, params.legacy_max, std::numeric_limits<float>::max());
      if (!low || !high) return std::nullopt;
      activation.kind = Activation::Kind::kClip;
      activation.alpha = *low;
      activation.beta = *high;
      return activation;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

int fuse_activations(Graph& graph) {
  const std::vector<int> uses = count_uses(graph);
  std::vector<int> producer = producers(graph);
  std::vector<bool> erase(graph.nodes.size(), false);
  int fused = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::optional<Activation> activation = as_activation(graph, node);
    if (!activation) continue;
    const ValueId input = node.inputs[0];
    const int before = producer[static_cast<std::size_t>(input)];
    if (before < 0 || uses[static_cast<std::size_t>(input)] != 1 ||
        graph.value(input).dtype != DType::kFloat32) {
      continue;
    }
    Node& target = graph.nodes[static_cast<std::size_t>(before)];
    Activation* slot = activation_slot(target);
    if (slot == nullptr || slot->kind != Activation::Kind::kNone) continue;
    *slot = *activation;
    target.outputs[0] = node.outputs[0];
    producer[static_cast<std::size_t>(node.outputs[0])] = before;
    erase[i] = true;
    ++fused;
  }
  erase_nodes(graph, erase);
  return fused;
}

namespace {

/// Models settle after three or four rounds. What is built to need more stays unfused.
constexpr int kMaxRounds = 16;

}  // namespace

void optimize(Graph& graph, std::vector<std::string>& notes) {
  int dead = 0;
  int identities = 0;
  int norms = 0;
  int constants = 0;
  int activations = 0;
  int normalizations = 0;
  bool changed = true;
  for (int round = 0; changed && round < kMaxRounds; ++round) {
    const int before = dead + identities + norms + constants + activations + normalizations;
    identities += remove_identities(graph);
    dead += remove_dead_nodes(graph);
    norms += fold_batch_norms(graph);
    constants += fold_channel_constants(graph);
    normalizations += fold_normalizations(graph);
    activations += fuse_activations(graph);
    drop_unread_constants(graph);
    changed = dead + identities + norms + constants + activations + normalizations != before;
  }
  const auto note = [&](int count, const char* what) {
    if (count > 0) notes.push_back(fmt::format("{} {}", count, what));
  };
  note(identities, "nodes that change nothing bypassed");
  note(dead, "nodes without a reader removed");
  note(norms, "batch normalisations folded into weights");
  note(constants, "bias or scale constants folded into a layer, or MatMul turned into Gemm");
  note(normalizations, "input normalisations folded into the first layer");
  note(activations, "activations fused into the layer before them");
}

}  // namespace prs
