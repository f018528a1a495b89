#include "support/interpret.hpp"

#include "graph/infer.hpp"
#include "prs/error.hpp"

namespace prs::test {

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs) {
  // With every input bound and no limit on folding, the whole graph folds to constants.
  Graph copy = graph;
  std::vector<InputBinding> bindings;
  for (const Tensor& input : inputs) {
    bindings.push_back({input.dtype(), input.shape(), std::make_shared<const Tensor>(input)});
  }
  infer_and_fold(copy, bindings, std::int64_t{1} << 40);
  std::vector<Tensor> outputs;
  for (const GraphPort& output : copy.outputs) {
    const Value& value = copy.value(output.value);
    if (!value.constant) throw Error(ErrorCode::kInternal, "a node did not fold");
    outputs.push_back(*value.constant);
  }
  return outputs;
}

std::vector<OpKind> kinds(const Graph& graph) {
  std::vector<OpKind> result;
  for (const Node& node : graph.nodes) result.push_back(node.kind);
  return result;
}

Shape with_batch(std::int64_t batch, const Shape& image) {
  Shape shape{batch};
  for (const std::int64_t extent : image) shape.push_back(extent);
  return shape;
}

}  // namespace prs::test
