#include "graph/cost.hpp"

#include <variant>

namespace prs {
namespace {

double elements(const Value& value) {
  if (!value.shape) return 0.0;
  double product = 1.0;
  for (const std::int64_t extent : *value.shape) product *= static_cast<double>(extent);
  return product;
}

double extent_from_end(const Value& value, std::int64_t back) {
  if (!value.shape || value.shape->rank() < back) return 1.0;
  return static_cast<double>((*value.shape)[value.shape->rank() - back]);
}

double flops(const Graph& graph, const Node& node) {
  const Value& output = graph.value(node.outputs[0]);
  const double outputs = elements(output);
  switch (node.kind) {
    case OpKind::kConv:
    case OpKind::kQuantizedConv: {
      // Each output takes one multiply-add per weight of its filter: W is [K, C/group, ...].
      const Value& weights = graph.value(node.inputs[1]);
      const double filters = weights.shape && weights.shape->rank() > 0
                                 ? static_cast<double>((*weights.shape)[0])
                                 : 1.0;
      return filters > 0.0 ? 2.0 * outputs * elements(weights) / filters : 0.0;
    }
    case OpKind::kGemm: {
      const auto& params = std::get<GemmParams>(node.params);
      return 2.0 * outputs * extent_from_end(graph.value(node.inputs[0]), params.trans_a ? 2 : 1);
    }
    case OpKind::kMatMul:
    case OpKind::kQuantizedGemm:
      return 2.0 * outputs * extent_from_end(graph.value(node.inputs[0]), 1);
    case OpKind::kMaxPool:
    case OpKind::kAveragePool: {
      double window = 1.0;
      for (const std::int64_t extent : std::get<PoolParams>(node.params).kernel_shape) {
        window *= static_cast<double>(extent);
      }
      return outputs * window;
    }
    case OpKind::kGlobalAveragePool:
    case OpKind::kGlobalMaxPool:
    case OpKind::kReduceMax:
    case OpKind::kReduceMean:
    case OpKind::kReduceMin:
    case OpKind::kReduceSum:
    case OpKind::kArgMax:
      return elements(graph.value(node.inputs[0]));
    case OpKind::kBatchNormalization:
    case OpKind::kNormalize:
    case OpKind::kQuantizeLinear:
    case OpKind::kDequantizeLinear:
      return 2.0 * outputs;
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
      return 4.0 * outputs;
    case OpKind::kReshape:
    case OpKind::kFlatten:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze:
    case OpKind::kIdentity:
    case OpKind::kDropout:
    case OpKind::kTranspose:
    case OpKind::kConcat:
    case OpKind::kConstant:
    case OpKind::kConstantOfShape:
    case OpKind::kShape:
    case OpKind::kGather:
    case OpKind::kSlice:
    case OpKind::kCast:
    case OpKind::kPad:
      return 0.0;
    default:
      return outputs;
  }
}

}  // namespace

Cost node_cost(const Graph& graph, const Node& node) {
  Cost cost;
  cost.flops = flops(graph, node);
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) continue;
    const Value& value = graph.value(id);
    if (value.constant) {
      cost.parameters += value.constant->elements();
    } else {
      cost.activation_bytes += elements(value) * static_cast<double>(dtype_size(value.dtype));
    }
  }
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    const Value& value = graph.value(id);
    cost.activation_bytes += elements(value) * static_cast<double>(dtype_size(value.dtype));
  }
  return cost;
}

}  // namespace prs
