// What a loaded model consists of; shared by Model and Engine.
#pragma once

#include <condition_variable>
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

  /// Runs on an idle context, or on a new one when all are busy.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

  const Executable& executable() const noexcept { return *executable_; }
  const Graph& graph() const noexcept { return graph_; }
  const std::vector<std::string>& notes() const noexcept { return notes_; }
  TensorType output_type(std::size_t index) const;

 private:
  Graph graph_;
  std::unique_ptr<Executable> executable_;
  std::vector<std::string> notes_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ExecutionContext>> idle_;
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

/// Fills layers, totals, steps and notes of a description. `annotated`: the imported graph with
/// shapes for `batch`; `compiled`: what is run for it.
void describe_graph(ModelDescription& description, const Graph& annotated, std::int64_t batch,
                    const CompiledGraph& compiled);

/// The header part: path, versions, ports.
ModelDescription describe_header(const Model::State& state);

}  // namespace prs
