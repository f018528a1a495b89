// What a loaded model consists of; shared by Model and Engine.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend.hpp"
#include "graph/infer.hpp"
#include "onnx/importer.hpp"
#include "prs/model.hpp"

namespace prs {

/// An executable with the contexts that wait for their next run. Thread-safe.
class CompiledGraph {
 public:
  CompiledGraph(Graph graph, std::unique_ptr<Executable> executable,
                std::vector<std::string> notes);
  ~CompiledGraph();
  CompiledGraph(const CompiledGraph&) = delete;
  CompiledGraph& operator=(const CompiledGraph&) = delete;

  /// Runs on an idle context, or on a new one when all are busy. Threads of `crew`, unless that is
  /// null, may share the steps.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs,
           ThreadPool* crew = nullptr);

  const Executable& executable() const noexcept { return *executable_; }
  const Graph& graph() const noexcept { return graph_; }
  const std::vector<std::string>& notes() const noexcept { return notes_; }
  TensorType output_type(std::size_t index) const;

 private:
  Graph graph_;
  std::unique_ptr<Executable> executable_;
  std::unique_ptr<ExecutionContext> take_context();
  void keep_context(std::unique_ptr<ExecutionContext> context);

  std::vector<std::string> notes_;
  /// Contexts that wait, owned; null: a free place. A thread begins to look at a place of its own,
  /// where it finds the context whose memory its core has in its caches.
  std::array<std::atomic<ExecutionContext*>, 64> idle_{};
};

/// Infers, folds, optimises and compiles a copy of `graph` for these inputs.
std::unique_ptr<CompiledGraph> compile_for(const Graph& graph, const Backend& backend,
                                           std::span<const InputBinding> inputs,
                                           const CompileOptions& options, std::int64_t fold_limit);

struct Model::State {
  std::string path;
  onnx::ImportedModel imported;
  ModelLimits limits;
  std::vector<PortInfo> inputs;
  std::vector<PortInfo> outputs;
  std::vector<bool> shape_inputs;  ///< Inputs whose contents the compiler needs.
  std::int64_t fold_limit = 0;
  std::unique_ptr<Backend> backend;

  /// The executables of the last few input shapes, most recent first.
  mutable std::mutex mutex;
  mutable std::list<std::pair<std::string, std::shared_ptr<CompiledGraph>>> compiled;

  std::shared_ptr<CompiledGraph> compile(std::span<const Tensor> tensors) const;
};

/// An imported model, ready to be compiled. With keeps_dequantization its quantised weights stay
/// integers (graph.hpp).
std::shared_ptr<Model::State> make_model_state(onnx::ImportedModel imported, std::string path,
                                               const ModelLimits& limits,
                                               bool keeps_dequantization);

/// Fills layers, totals, steps and notes of a description. `annotated`: the imported graph with
/// shapes for `batch`; `compiled`: what is run for it.
void describe_graph(ModelDescription& description, const Graph& annotated, std::int64_t batch,
                    const CompiledGraph& compiled);

/// The header part: path, versions, ports.
ModelDescription describe_header(const Model::State& state);

}  // namespace prs
