// What a node costs, for reports and for limits.
#pragma once

#include "graph/graph.hpp"

namespace prs {

struct Cost {
  double flops = 0.0;             ///< Multiply and add count as two.
  double activation_bytes = 0.0;  ///< Read and written, constants not counted.
  std::int64_t parameters = 0;    ///< Elements of constant operands.
};

/// The cost of one run of a node whose operands have known shapes.
Cost node_cost(const Graph& graph, const Node& node);

}  // namespace prs
