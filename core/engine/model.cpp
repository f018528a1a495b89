#include "prs/model.hpp"

#include <algorithm>
#include <utility>

#include "check.hpp"
#include "engine/model_state.hpp"
#include "graph/cost.hpp"
#include "graph/passes.hpp"

namespace prs {
namespace {

/// Constants that folding may make: a small allowance, and in proportion to what the file brought.
constexpr std::int64_t kFoldAllowanceBytes = std::int64_t{16} << 20;

PortInfo port_info(const Graph& graph, const GraphPort& port) {
  PortInfo info;
  info.name = graph.value(port.value).name;
  info.dtype = port.dtype;
  info.has_shape = port.dims.has_value();
  if (port.dims) {
    for (const DeclaredDim& dim : *port.dims) {
      info.extents.push_back(dim.extent.value_or(-1));
      info.symbols.push_back(dim.symbol);
    }
  }
  return info;
}

std::string type_text(const Value& value) {
  return std::string(dtype_name(value.dtype)) + (value.shape ? value.shape->to_string() : "");
}

}  // namespace

std::string PortInfo::to_string() const {
  std::string text(dtype_name(dtype));
  if (!has_shape) return text;
  text += '[';
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (i > 0) text += ',';
    if (extents[i] >= 0) {
      text += std::to_string(extents[i]);
    } else {
      text += symbols[i].empty() ? "?" : printable(symbols[i]);
    }
  }
  return text + "]";
}

CompiledGraph::CompiledGraph(Graph graph, std::unique_ptr<Executable> executable,
                             std::vector<std::string> notes)
    : graph_(std::move(graph)), executable_(std::move(executable)), notes_(std::move(notes)) {}

CompiledGraph::~CompiledGraph() {
  for (std::atomic<ExecutionContext*>& place : idle_) delete place.load(std::memory_order_relaxed);
}

namespace {

/// Numbers threads in the order in which they come here.
std::size_t thread_number() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

std::unique_ptr<ExecutionContext> CompiledGraph::take_context() {
  const std::size_t first = thread_number();
  for (std::size_t i = 0; i < idle_.size(); ++i) {
    std::atomic<ExecutionContext*>& place = idle_[(first + i) % idle_.size()];
    if (place.load(std::memory_order_relaxed) == nullptr) continue;
    ExecutionContext* context = place.exchange(nullptr, std::memory_order_acquire);
    if (context != nullptr) return std::unique_ptr<ExecutionContext>(context);
  }
  return executable_->new_context();
}

void CompiledGraph::keep_context(std::unique_ptr<ExecutionContext> context) {
  const std::size_t first = thread_number();
  for (std::size_t i = 0; i < idle_.size(); ++i) {
    std::atomic<ExecutionContext*>& place = idle_[(first + i) % idle_.size()];
    ExecutionContext* free = nullptr;
    if (place.compare_exchange_strong(free, context.get(), std::memory_order_release,
                                      std::memory_order_relaxed)) {
      context.release();
      return;
    }
  }
  // More threads at once than places: this one's context goes.
}

void CompiledGraph::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                        ThreadPool* crew) {
  std::unique_ptr<ExecutionContext> context = take_context();
  context->crew = crew;
  executable_->run(*context, inputs, outputs);
  keep_context(std::move(context));
}

TensorType CompiledGraph::output_type(std::size_t index) const {
  const Value& value = graph_.value(graph_.outputs[index].value);
  return {value.dtype, *value.shape};
}

std::unique_ptr<CompiledGraph> compile_for(const Graph& graph, const Backend& backend,
                                           std::span<const InputBinding> inputs,
                                           const CompileOptions& options, std::int64_t fold_limit) {
  Graph copy = graph;
  std::vector<std::string> notes;
  infer_and_fold(copy, inputs, fold_limit);
  optimize(copy, notes);
  std::unique_ptr<Executable> executable = backend.compile(copy, options);
  return std::make_unique<CompiledGraph>(std::move(copy), std::move(executable), std::move(notes));
}

std::shared_ptr<Model::State> make_model_state(onnx::ImportedModel imported, std::string path,
                                               const ModelLimits& limits,
                                               bool keeps_dequantization) {
  auto state = std::make_shared<Model::State>();
  state->path = std::move(path);
  state->imported = std::move(imported);
  state->imported.graph.keeps_dequantization = keeps_dequantization;
  state->limits = limits;
  state->fold_limit = kFoldAllowanceBytes + 4 * state->imported.initializer_bytes;
  Graph& graph = state->imported.graph;
  for (const GraphPort& port : graph.inputs) state->inputs.push_back(port_info(graph, port));
  for (const GraphPort& port : graph.outputs) state->outputs.push_back(port_info(graph, port));
  fold_constants(graph, state->fold_limit);
  drop_unread_constants(graph);
  state->shape_inputs = prs::shape_inputs(graph);
  state->backend = make_backend("cpu");
  return state;
}

Model Model::load(const std::filesystem::path& path, const ModelLimits& limits) {
  return Model(make_model_state(onnx::import_file(path, limits), path.string(), limits, false));
}

Model::Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}

std::span<const PortInfo> Model::inputs() const noexcept { return state_->inputs; }
std::span<const PortInfo> Model::outputs() const noexcept { return state_->outputs; }

std::shared_ptr<CompiledGraph> Model::State::compile(std::span<const Tensor> tensors) const {
  if (tensors.size() != inputs.size()) {
    fail_argument("{}: {} inputs given, the model takes {}", path, tensors.size(), inputs.size());
  }
  std::vector<InputBinding> bindings;
  std::string key;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    if (tensor.empty()) {
      fail_argument("{}: input {} ('{}') is missing", path, i, printable(inputs[i].name));
    }
    InputBinding binding{tensor.dtype(), tensor.shape(), nullptr};
    key += dtype_name(tensor.dtype());
    key += tensor.shape().to_string();
    if (shape_inputs[i]) {
      // A copy: the caller may change its buffer, the compiled graph must not.
      binding.value = std::make_shared<const Tensor>(
          Tensor::copy_of(tensor.dtype(), tensor.shape(), tensor.data(), tensor.bytes()));
      key.append(static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
    }
    bindings.push_back(std::move(binding));
  }
  {
    const std::lock_guard lock(mutex);
    for (auto entry = compiled.begin(); entry != compiled.end(); ++entry) {
      if (entry->first != key) continue;
      compiled.splice(compiled.begin(), compiled, entry);
      return entry->second;
    }
  }
  std::shared_ptr<CompiledGraph> result =
      compile_for(imported.graph, *backend, bindings, {.limits = limits}, fold_limit);
  constexpr std::size_t kKept = 8;
  const std::lock_guard lock(mutex);
  compiled.emplace_front(std::move(key), result);
  if (compiled.size() > kKept) compiled.pop_back();
  return result;
}

std::vector<Tensor> Model::run(std::span<const Tensor> inputs) const {
  const std::shared_ptr<CompiledGraph> compiled = state_->compile(inputs);
  std::vector<const void*> input_pointers;
  for (const Tensor& input : inputs) input_pointers.push_back(input.data());
  std::vector<Tensor> outputs;
  std::vector<void*> output_pointers;
  for (std::size_t i = 0; i < state_->outputs.size(); ++i) {
    const TensorType type = compiled->output_type(i);
    outputs.emplace_back(type.dtype, type.shape);
    output_pointers.push_back(outputs.back().data());
  }
  compiled->run(input_pointers, output_pointers);
  return outputs;
}

ModelDescription Model::describe(std::span<const TensorView> inputs) const {
  std::vector<Tensor> tensors;
  for (const TensorView& view : inputs) {
    tensors.emplace_back(view.dtype, view.shape);
    if (view.data != nullptr) {
      tensors.back() = Tensor::copy_of(view.dtype, view.shape, view.data, view.bytes());
    } else {
      std::fill_n(tensors.back().as<std::byte>(), tensors.back().bytes(), std::byte{0});
    }
  }
  const std::shared_ptr<CompiledGraph> compiled = state_->compile(tensors);
  std::vector<InputBinding> bindings;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    bindings.push_back({tensors[i].dtype(), tensors[i].shape(), nullptr});
    if (state_->shape_inputs[i]) bindings[i].value = std::make_shared<const Tensor>(tensors[i]);
  }
  Graph annotated = state_->imported.graph;
  infer_and_fold(annotated, bindings, state_->fold_limit);
  const bool has_batch = !tensors.empty() && tensors[0].shape().rank() > 0;
  ModelDescription description = describe_header(*state_);
  describe_graph(description, annotated, has_batch ? tensors[0].shape()[0] : 1, *compiled);
  return description;
}

ModelDescription describe_header(const Model::State& state) {
  ModelDescription description;
  description.path = state.path;
  description.ir_version = state.imported.ir_version;
  description.opset = state.imported.opset;
  description.producer = state.imported.producer;
  description.inputs = state.inputs;
  description.outputs = state.outputs;
  return description;
}

void describe_graph(ModelDescription& description, const Graph& annotated, std::int64_t batch,
                    const CompiledGraph& compiled) {
  description.batch = batch;
  const double images = static_cast<double>(std::max<std::int64_t>(batch, 1));
  std::vector<bool> counted(annotated.values.size(), false);
  for (const Node& node : annotated.nodes) {
    Cost cost = node_cost(annotated, node);
    LayerInfo layer;
    layer.name = node.name;
    layer.op = op_def(node.kind).name;
    for (const ValueId id : node.inputs) {
      layer.inputs.push_back(id == kNoValue ? "" : type_text(annotated.value(id)));
      if (id == kNoValue || !annotated.value(id).constant) continue;
      // A constant that several nodes read is one set of parameters.
      if (!counted[static_cast<std::size_t>(id)]) {
        description.parameters += annotated.value(id).constant->elements();
      }
      counted[static_cast<std::size_t>(id)] = true;
    }
    for (const ValueId id : node.outputs) {
      layer.outputs.push_back(id == kNoValue ? "" : type_text(annotated.value(id)));
    }
    layer.parameters = cost.parameters;
    // What takes constants alone is computed once, when the model is prepared.
    const bool once = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id == kNoValue || annotated.value(id).constant != nullptr;
    });
    if (once) cost.flops = cost.activation_bytes = 0.0;
    layer.flops_per_image = cost.flops / images;
    layer.bytes_per_image = cost.activation_bytes / images;
    description.flops_per_image += layer.flops_per_image;
    description.bytes_per_image += layer.bytes_per_image;
    description.layers.push_back(std::move(layer));
  }
  description.steps.assign(compiled.executable().steps().begin(),
                           compiled.executable().steps().end());
  description.arena_bytes = compiled.executable().arena_bytes();
  description.notes.insert(description.notes.end(), compiled.notes().begin(),
                           compiled.notes().end());
  const auto backend_notes = compiled.executable().notes();
  description.notes.insert(description.notes.end(), backend_notes.begin(), backend_notes.end());
}

}  // namespace prs
