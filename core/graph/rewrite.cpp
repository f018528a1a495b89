#include "graph/rewrite.hpp"

#include <utility>

namespace prs {

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) ++uses[static_cast<std::size_t>(id)];
    }
  }
  for (const GraphPort& output : graph.outputs) ++uses[static_cast<std::size_t>(output.value)];
  return uses;
}

std::vector<int> producers(const Graph& graph) {
  std::vector<int> result(graph.values.size(), -1);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      if (id != kNoValue) result[static_cast<std::size_t>(id)] = static_cast<int>(i);
    }
  }
  return result;
}

std::unordered_map<const void*, int> count_readers(const Graph& graph) {
  const std::vector<int> uses = count_uses(graph);
  std::unordered_map<const void*, int> readers;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    if (graph.values[i].constant) readers[graph.values[i].constant->data()] += uses[i];
  }
  return readers;
}

void replace_uses(Graph& graph, ValueId from, ValueId to) {
  for (Node& node : graph.nodes) {
    for (ValueId& id : node.inputs) {
      if (id == from) id = to;
    }
  }
  for (GraphPort& output : graph.outputs) {
    if (output.value == from) output.value = to;
  }
}

const Tensor* f32_constant(const Graph& graph, ValueId id) {
  if (id == kNoValue) return nullptr;
  const Tensor* tensor = graph.value(id).constant.get();
  return tensor != nullptr && tensor->dtype() == DType::kFloat32 ? tensor : nullptr;
}

void erase_nodes(Graph& graph, const std::vector<bool>& erase) {
  std::vector<Node> kept;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!erase[i]) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
}

}  // namespace prs
