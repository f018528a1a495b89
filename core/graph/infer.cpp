#include "graph/infer.hpp"

#include <algorithm>
#include <utility>

#include "check.hpp"
#include "graph/cost.hpp"

namespace prs {
namespace {

/// Folding runs slow reference loops: of what costs more in all, the rest is left to the kernels.
constexpr double kFoldFlops = 5e8;
/// The same in proportion to the bytes that folding may make: a small file costs no seconds.
constexpr double kFoldFlopsPerByte = 2.0;

std::vector<InputInfo> input_infos(const Graph& graph, const Node& node) {
  std::vector<InputInfo> infos;
  for (const ValueId id : node.inputs) {
    InputInfo info;
    if (id != kNoValue) {
      const Value& value = graph.value(id);
      PRS_CHECK(value.shape.has_value());
      info = {{value.dtype, *value.shape}, value.constant.get()};
    }
    infos.push_back(info);
  }
  return infos;
}

bool all_constant(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id == kNoValue || graph.value(id).constant != nullptr;
  });
}

class Folder {
 public:
  Folder(Graph& graph, std::int64_t limit_bytes)
      : graph_(graph),
        left_bytes_(limit_bytes),
        left_flops_(std::min(kFoldFlops, kFoldFlopsPerByte * static_cast<double>(limit_bytes))) {}

  /// Sets the types of the node's outputs.
  void infer(const Node& node) {
    const std::vector<InputInfo> inputs = input_infos(graph_, node);
    std::vector<TensorType> types(node.outputs.size());
    op_def(node.kind).infer({node.kind, node.params, inputs}, types);
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      Value& value = graph_.value(node.outputs[i]);
      PRS_CHECK(types[i].present());
      value.dtype = types[i].dtype;
      value.shape = types[i].shape;
      if (value.declared != DType::kUndefined && value.declared != value.dtype) {
        fail_model("output '{}' is declared {}, but is {}", printable(value.name),
                   dtype_name(value.declared), dtype_name(value.dtype));
      }
      // Later passes multiply sizes freely: one that nothing can hold is refused here.
      static_cast<void>(buffer_bytes(value.dtype, *value.shape));
    }
  }

  /// Evaluates a node whose types are inferred, when it is constant and cheap. True when folded.
  bool fold(const Node& node) {
    if (graph_.keeps_dequantization && node.kind == OpKind::kDequantizeLinear) return false;
    // The result of Shape hangs on its input's shape alone.
    if (node.kind != OpKind::kShape && !all_constant(graph_, node)) return false;
    std::int64_t bytes = 0;
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const Value& value = graph_.value(id);
      bytes += buffer_bytes(value.dtype, *value.shape);
    }
    const double flops = node_cost(graph_, node).flops;
    if (bytes > left_bytes_ || flops > left_flops_) return false;
    evaluate(node);
    left_bytes_ -= bytes;
    left_flops_ -= flops;
    return true;
  }

 private:
  void evaluate(const Node& node) {
    std::vector<TensorView> inputs;
    for (const ValueId id : node.inputs) {
      TensorView view;
      if (id != kNoValue) {
        const Value& value = graph_.value(id);
        view = {value.dtype, *value.shape, value.constant ? value.constant->data() : nullptr};
      }
      inputs.push_back(view);
    }
    std::vector<Tensor> results;
    std::vector<MutableTensorView> outputs;
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) {
        results.emplace_back();
        outputs.emplace_back();
        continue;
      }
      const Value& value = graph_.value(id);
      results.emplace_back(value.dtype, *value.shape);
      outputs.push_back(results.back().mutable_view());
    }
    op_def(node.kind).reference({node.kind, node.params, inputs, outputs});
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      graph_.value(node.outputs[i]).constant =
          std::make_shared<const Tensor>(std::move(results[i]));
    }
  }

  Graph& graph_;
  std::int64_t left_bytes_;
  double left_flops_;
};

/// Checks a graph input or output against what the model declares for it. batch_binds: axis 0, too.
void check_port(const Graph& graph, const GraphPort& port, DType dtype, const Shape& shape,
                bool batch_binds, const char* role, ErrorCode code) {
  const std::string name = printable(graph.value(port.value).name);
  if (port.dtype != DType::kUndefined && port.dtype != dtype) {
    fail(code, "{}: {} '{}' is declared {}, but is {}", graph.source, role, name,
         dtype_name(port.dtype), dtype_name(dtype));
  }
  if (!port.dims) return;
  bool fits = static_cast<std::int64_t>(port.dims->size()) == shape.rank();
  std::string declared;
  for (std::size_t i = 0; i < port.dims->size(); ++i) {
    const DeclaredDim& dim = (*port.dims)[i];
    if (fits && dim.extent && (batch_binds || i > 0)) {
      fits = *dim.extent == shape[static_cast<std::int64_t>(i)];
    }
    declared += (i > 0 ? "," : "") + (dim.extent           ? std::to_string(*dim.extent)
                                      : dim.symbol.empty() ? "?"
                                                           : dim.symbol);
  }
  if (!fits) {
    fail(code, "{}: {} '{}' is declared [{}], but is {}", graph.source, role, name,
         printable(declared), shape.to_string());
  }
}

}  // namespace

std::vector<bool> shape_inputs(const Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    bool output_needed = false;
    for (const ValueId id : node->outputs) {
      output_needed |= id != kNoValue && needed[static_cast<std::size_t>(id)];
    }
    // Shape reads only its input's shape: that input's contents do not matter.
    if (node->kind == OpKind::kShape) output_needed = false;
    const std::uint32_t value_inputs = op_def(node->kind).value_inputs;
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      const ValueId id = node->inputs[i];
      if (id == kNoValue) continue;
      if (output_needed || (i < 32 && ((value_inputs >> i) & 1u) != 0)) {
        needed[static_cast<std::size_t>(id)] = true;
      }
    }
  }
  std::vector<bool> result;
  for (const GraphPort& input : graph.inputs) {
    result.push_back(needed[static_cast<std::size_t>(input.value)]);
  }
  return result;
}

void infer_and_fold(Graph& graph, std::span<const InputBinding> inputs,
                    std::int64_t fold_limit_bytes) {
  PRS_CHECK(inputs.size() == graph.inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value& value = graph.value(graph.inputs[i].value);
    value.dtype = inputs[i].dtype;
    value.shape = inputs[i].shape;
    value.constant = inputs[i].value;
    static_cast<void>(buffer_bytes(value.dtype, *value.shape));
    check_port(graph, graph.inputs[i], value.dtype, *value.shape, !graph.batch_opened, "input",
               ErrorCode::kInvalidArgument);
  }
  Folder folder(graph, fold_limit_bytes);
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    try {
      folder.infer(node);
      if (folder.fold(node)) continue;
    } catch (const Error& error) {
      throw Error(error.code(), describe(graph, node) + ": " + error.message());
    }
    kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
  // Exporters that open the inputs' batch often leave the one they traced with in the outputs.
  const bool takes_any_batch =
      std::any_of(graph.inputs.begin(), graph.inputs.end(), [](const GraphPort& port) {
        return port.dims && !port.dims->empty() && !port.dims->front().extent;
      });
  for (const GraphPort& output : graph.outputs) {
    const Value& value = graph.value(output.value);
    check_port(graph, output, value.dtype, *value.shape, !graph.batch_opened && !takes_any_batch,
               "output", ErrorCode::kInvalidModel);
  }
}

void fold_constants(Graph& graph, std::int64_t fold_limit_bytes) {
  Folder folder(graph, fold_limit_bytes);
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (all_constant(graph, node)) {
      try {
        folder.infer(node);
        if (folder.fold(node)) continue;
      } catch (const Error&) {
        // The same error comes from infer_and_fold, where it concerns the caller.
      }
    }
    kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
}

}  // namespace prs
