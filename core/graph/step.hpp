// What backends share about turning nodes into the steps of an executable.
#pragma once

#include <string>

#include "graph/graph.hpp"

namespace prs {

/// Whether output 0 is input 0's bytes under another shape. Such a node takes no step.
bool is_view(const Node& node);

/// The operator with the activation fused into it: "Conv+Relu".
std::string step_label(const Node& node);

}  // namespace prs
