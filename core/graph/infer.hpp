// Shape inference and constant folding, in one walk: shapes often hang on folded values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.hpp"

namespace prs {

/// What is known of one graph input when a graph is specialised.
struct InputBinding {
  DType dtype = DType::kUndefined;
  Shape shape;
  std::shared_ptr<const Tensor> value;  ///< Null: known at run time only.
};

/// Which graph inputs must be bound with their contents, because shapes depend on them.
std::vector<bool> shape_inputs(const Graph& graph);

/// Gives every value of `graph` its dtype and concrete shape for these inputs (one binding a graph
/// input), replaces what is computed from constants alone by constants, and removes those nodes.
/// Folding uses the operators' references. At most fold_limit_bytes of constants are made, and
/// nothing that costs much to compute: what exceeds that stays a node. The declared types of inputs
/// and outputs bind, but for the outputs' axis 0 when an input leaves its own open.
/// Throws invalid model, unsupported (with file, node and operator).
void infer_and_fold(Graph& graph, std::span<const InputBinding> inputs,
                    std::int64_t fold_limit_bytes);

/// Folds only nodes whose operands are all constant; needs no input shapes. What fails to fold (an
/// invalid node, say) is left for infer_and_fold to report.
void fold_constants(Graph& graph, std::int64_t fold_limit_bytes);

}  // namespace prs
