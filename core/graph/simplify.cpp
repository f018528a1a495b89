// Passes that remove nodes: dead ones and those that change nothing.
#include <algorithm>
#include <numeric>
#include <variant>

#include "graph/passes.hpp"
#include "graph/rewrite.hpp"

namespace prs {
namespace {

bool is_view(OpKind kind) {
  return kind == OpKind::kReshape || kind == OpKind::kFlatten || kind == OpKind::kSqueeze ||
         kind == OpKind::kUnsqueeze;
}

/// Whether output 0 equals input 0 in type, shape and contents.
bool hands_input_on(const Graph& graph, const Node& node) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  switch (node.kind) {
    case OpKind::kIdentity:
      return true;
    case OpKind::kDropout:
      // The shape rule refuses training; input 2 may still be unknown before it ran.
      return node.outputs.size() == 1 && (node.inputs.size() < 3 || output.shape.has_value());
    case OpKind::kCast:
      return input.dtype != DType::kUndefined && input.dtype == output.dtype;
    case OpKind::kTranspose: {
      const auto& perm = std::get<TransposeParams>(node.params).perm;
      if (perm.empty()) return input.shape && input.shape->rank() <= 1;
      return std::is_sorted(perm.begin(), perm.end());
    }
    default:
      return is_view(node.kind) && input.shape && output.shape && *input.shape == *output.shape;
  }
}

}  // namespace

int remove_dead_nodes(Graph& graph) {
  std::vector<int> uses = count_uses(graph);
  std::vector<bool> dead(graph.nodes.size(), false);
  int removed = 0;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    Node& node = graph.nodes[i];
    const bool read = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
      return id != kNoValue && uses[static_cast<std::size_t>(id)] > 0;
    });
    if (read) {
      // Optional results that nobody reads need not be computed.
      for (std::size_t k = 1; k < node.outputs.size(); ++k) {
        ValueId& id = node.outputs[k];
        if (id != kNoValue && uses[static_cast<std::size_t>(id)] == 0) id = kNoValue;
      }
      while (node.outputs.size() > 1 && node.outputs.back() == kNoValue) node.outputs.pop_back();
      continue;
    }
    dead[i] = true;
    ++removed;
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) --uses[static_cast<std::size_t>(id)];
    }
  }
  erase_nodes(graph, dead);
  return removed;
}

void drop_unread_constants(Graph& graph) {
  const std::vector<int> uses = count_uses(graph);
  for (std::size_t i = 0; i < uses.size(); ++i) {
    if (uses[i] == 0) graph.values[i].constant.reset();
  }
}

int remove_identities(Graph& graph) {
  // What each value is another name for. Nodes are in topological order, so the entry of a node's
  // input is final when the node is reached.
  std::vector<ValueId> source(graph.values.size());
  std::iota(source.begin(), source.end(), ValueId{0});
  std::vector<bool> erase(graph.nodes.size(), false);
  int removed = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (ValueId& id : node.inputs) {
      if (id != kNoValue) id = source[static_cast<std::size_t>(id)];
    }
    if (node.outputs.empty() || node.outputs[0] == kNoValue || node.inputs.empty()) continue;
    if (!hands_input_on(graph, node)) continue;
    source[static_cast<std::size_t>(node.outputs[0])] = node.inputs[0];
    erase[i] = true;
    ++removed;
  }
  for (GraphPort& output : graph.outputs) {
    output.value = source[static_cast<std::size_t>(output.value)];
  }
  erase_nodes(graph, erase);
  return removed;
}

}  // namespace prs
