// Runs a whole graph by the operators' references, node by node: the truth for passes and backends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.hpp"

namespace prs::test {

/// Infers shapes for `inputs` without any pass, then evaluates every node. All inputs are bound
/// with their contents.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs);

/// Of the graph's nodes, in order.
std::vector<OpKind> kinds(const Graph& graph);

using Ints = std::vector<std::int64_t>;

/// The shape of `batch` such images.
Shape with_batch(std::int64_t batch, const Shape& image);

}  // namespace prs::test
