// What passes share.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "graph/graph.hpp"

namespace prs {

/// How often each value is read: once for each operand, once for each graph output.
std::vector<int> count_uses(const Graph& graph);

/// The index of the node that produces each value, -1 for inputs and constants.
std::vector<int> producers(const Graph& graph);

/// Makes every reader of `from`, graph outputs included, read `to`.
void replace_uses(Graph& graph, ValueId from, ValueId to);

/// How often the buffer of each constant is read; several values may share one.
std::unordered_map<const void*, int> count_readers(const Graph& graph);

/// The value as a constant of dtype f32, or null.
const Tensor* f32_constant(const Graph& graph, ValueId id);

/// Removes the nodes marked true.
void erase_nodes(Graph& graph, const std::vector<bool>& erase);

}  // namespace prs
