// Fuzzes the way of an untrusted model: parse, infer, fold, optimise, compile and, when it is
// cheap, run. Only prs::Error may come out, and never with the code for our own mistakes.
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "backend.hpp"
#include "graph/cost.hpp"
#include "graph/infer.hpp"
#include "graph/passes.hpp"
#include "onnx/importer.hpp"
#include "prs/error.hpp"

namespace {

constexpr std::int64_t kOpenExtent = 2;
constexpr std::int64_t kMaxBytes = std::int64_t{16} << 20;
constexpr double kMaxFlops = 1e7;

void exercise(const prs::Graph& imported) {
  prs::Graph graph = imported;
  const std::vector<bool> needed = prs::shape_inputs(graph);
  std::vector<prs::InputBinding> bindings;
  std::vector<prs::Tensor> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const prs::GraphPort& port = graph.inputs[i];
    prs::Shape shape;
    if (port.dims) {
      for (const prs::DeclaredDim& dim : *port.dims)
        shape.push_back(dim.extent.value_or(kOpenExtent));
    }
    if (shape.elements() > kMaxBytes / 8) return;
    prs::Tensor tensor(port.dtype, shape);
    std::memset(tensor.data(), 1, static_cast<std::size_t>(tensor.bytes()));
    inputs.push_back(tensor);
    bindings.push_back({port.dtype, shape, nullptr});
    if (needed[i]) bindings.back().value = std::make_shared<const prs::Tensor>(tensor);
  }
  prs::infer_and_fold(graph, bindings, kMaxBytes);
  prs::Graph opened = graph;
  prs::open_batch(opened);
  std::vector<std::string> notes;
  prs::optimize(graph, notes);
  double flops = 0.0;
  for (const prs::Node& node : graph.nodes) {
    const prs::Cost cost = prs::node_cost(graph, node);
    flops += cost.flops + cost.activation_bytes;
  }
  prs::ModelLimits limits;
  limits.max_arena_bytes = kMaxBytes;
  const auto executable = prs::make_backend("cpu")->compile(graph, {.limits = limits});
  if (!(flops < kMaxFlops)) return;
  std::vector<const void*> input_pointers;
  for (const prs::Tensor& input : inputs) input_pointers.push_back(input.data());
  std::vector<prs::Tensor> outputs;
  std::vector<void*> output_pointers;
  for (const prs::GraphPort& port : graph.outputs) {
    const prs::Value& value = graph.value(port.value);
    if (value.shape->elements() > kMaxBytes / 8) return;
    outputs.emplace_back(value.dtype, *value.shape);
    output_pointers.push_back(outputs.back().data());
  }
  executable->run(*executable->new_context(), input_pointers, output_pointers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::span bytes(reinterpret_cast<const char*>(data), size);
    const prs::onnx::ImportedModel model = prs::onnx::import_bytes(bytes, "fuzz.onnx", {});
    exercise(model.graph);
  } catch (const prs::Error& error) {
    if (error.code() == prs::ErrorCode::kInternal) std::abort();
  }
  return 0;
}
