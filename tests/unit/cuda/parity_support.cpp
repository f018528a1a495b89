#include "unit/cuda/parity_support.hpp"

#include <algorithm>
#include <cstring>

namespace prs::test {
namespace {

Graph graph_of(const OpCase& test, const std::vector<TensorType>& outputs) {
  Graph graph;
  graph.source = "test";
  Node node{test.kind, "node", test.params, {}, {}};
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    const Tensor& input = test.inputs[i];
    if (input.empty()) {
      node.inputs.push_back(kNoValue);
      continue;
    }
    const bool constant = (op_def(test.kind).value_inputs >> i & 1u) != 0 ||
                          std::find(test.constant_inputs.begin(), test.constant_inputs.end(), i) !=
                              test.constant_inputs.end();
    if (constant) {
      node.inputs.push_back(graph.add_constant("constant", input));
      continue;
    }
    Value value;
    value.name = "input";
    value.dtype = input.dtype();
    value.shape = input.shape();
    node.inputs.push_back(graph.add_value(value));
    graph.inputs.push_back({node.inputs.back(), input.dtype(), {}});
  }
  for (const TensorType& type : outputs) {
    Value value;
    value.name = "output";
    value.dtype = type.dtype;
    value.shape = type.shape;
    node.outputs.push_back(graph.add_value(value));
    graph.outputs.push_back({node.outputs.back(), type.dtype, {}});
  }
  graph.nodes.push_back(std::move(node));
  return graph;
}

}  // namespace

std::vector<Tensor> run_executable(const Executable& executable, ExecutionContext& context,
                                   const Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<const void*> in;
  for (const Tensor& input : inputs) in.push_back(input.data());
  std::vector<Tensor> outputs;
  std::vector<void*> out;
  for (const GraphPort& port : graph.outputs) {
    const Value& value = graph.value(port.value);
    outputs.emplace_back(value.dtype, *value.shape);
    std::memset(outputs.back().data(), 0xFF, static_cast<std::size_t>(outputs.back().bytes()));
    out.push_back(outputs.back().data());
  }
  executable.run(context, in, out);
  return outputs;
}

void expect_equal_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                       const std::string& label) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].bytes(), want[i].bytes());
    EXPECT_EQ(0,
              std::memcmp(got[i].data(), want[i].data(), static_cast<std::size_t>(got[i].bytes())))
        << label << ": output " << i << " differs in bits";
  }
}

std::string cuda_kernel(const OpCase& test, Precision precision) {
  const auto backend = cuda::make_backend(cuda::emulated::make_runtime());
  const Graph graph = graph_of(test, infer_types(test));
  return backend->compile(graph, {.limits = {}, .precision = precision})->steps()[0].kernel;
}

std::vector<Tensor> run_cuda(const OpCase& test, const cuda::emulated::Schedule& schedule,
                             Precision precision) {
  const Graph graph = graph_of(test, infer_types(test));
  const auto backend = cuda::make_backend(cuda::emulated::make_runtime(schedule));
  const auto executable = backend->compile(graph, {.limits = {}, .precision = precision});
  std::vector<Tensor> inputs;
  for (const GraphPort& port : graph.inputs) {
    const auto at =
        std::find(graph.nodes[0].inputs.begin(), graph.nodes[0].inputs.end(), port.value) -
        graph.nodes[0].inputs.begin();
    inputs.push_back(test.inputs[static_cast<std::size_t>(at)]);
  }
  const auto context = executable->new_context();
  std::vector<Tensor> first = run_executable(*executable, *context, graph, inputs);
  expect_equal_bits(run_executable(*executable, *context, graph, inputs), first, "a second run");
  return first;
}

void expect_cuda_parity(const OpCase& test, Tolerance tolerance) {
  expect_parity(test, tolerance);
  const std::vector<Tensor> want = run_reference(test);
  std::string label = std::string(op_def(test.kind).name) + " [cuda]";
  for (const Tensor& input : test.inputs) label += " " + input.shape().to_string();
  std::vector<Tensor> first;
  for (const auto& schedule : kSchedules) {
    const std::vector<Tensor> got = run_cuda(test, schedule);
    if (first.empty()) {
      first = got;
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        expect_close(got[i], want[i], tolerance, label + " output " + std::to_string(i));
      }
    }
    expect_equal_bits(got, first, label + " under another schedule");
  }
}

}  // namespace prs::test
