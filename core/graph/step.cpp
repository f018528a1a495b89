#include "graph/step.hpp"

#include <variant>

namespace prs {

bool is_view(const Node& node) {
  switch (node.kind) {
    case OpKind::kReshape:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kIdentity:
      return true;
    case OpKind::kDropout:
      return node.outputs.size() == 1;
    default:
      return false;
  }
}

std::string step_label(const Node& node) {
  std::string label(op_def(node.kind).name);
  const Activation* activation = nullptr;
  if (const auto* conv = std::get_if<ConvParams>(&node.params)) activation = &conv->activation;
  if (const auto* gemm = std::get_if<GemmParams>(&node.params)) activation = &gemm->activation;
  if (const auto* binary = std::get_if<BinaryParams>(&node.params))
    activation = &binary->activation;
  if (activation == nullptr) return label;
  switch (activation->kind) {
    case Activation::Kind::kNone:
      return label;
    case Activation::Kind::kRelu:
      return label + "+Relu";
    case Activation::Kind::kLeakyRelu:
      return label + "+LeakyRelu";
    case Activation::Kind::kClip:
      return label + "+Clip";
    case Activation::Kind::kSigmoid:
      return label + "+Sigmoid";
    case Activation::Kind::kTanh:
      return label + "+Tanh";
  }
  return label;
}

}  // namespace prs
