// Runs a whole graph by the operators' references, node by node: the truth for passes and backends.
#pragma once

#include <span>
#include <vector>

#include "graph/graph.hpp"

namespace prs::test {

/// Infers shapes for `inputs` without any pass, then evaluates every node. All inputs are bound
/// with their contents.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs);

}  // namespace prs::test
