// A loaded ONNX model run on arbitrary tensors. Engine (engine.hpp) is the door for images; this
// one serves whatever else: reference data, several inputs, integer tensors.
//
// A Model is immutable and cheap to copy; const members may be called from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "prs/export.hpp"
#include "prs/precision.hpp"
#include "prs/tensor.hpp"

namespace prs {

/// Bounds on what an untrusted model may use.
struct ModelLimits {
  std::int64_t max_file_bytes = (std::int64_t{1} << 31) - 1;  ///< protobuf's own limit.
  std::int64_t max_arena_bytes = std::int64_t{2} << 30;       ///< Intermediates of one batch.
};

/// An input or output as the model declares it. extents: -1 for an open dimension.
struct PRS_API PortInfo {
  std::string name;
  DType dtype = DType::kUndefined;
  bool has_shape = false;
  std::vector<std::int64_t> extents;
  std::vector<std::string> symbols;  ///< The name of each open dimension, or "".
  /// E.g. "f32[batch,1,28,28]".
  std::string to_string() const;
};

/// One node of the model after import, with the shapes for a given batch.
struct LayerInfo {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;  ///< Types such as "f32[64,1,28,28]".
  std::vector<std::string> outputs;
  std::int64_t parameters = 0;  ///< Elements of constant operands.
  double flops_per_image = 0.0;
  double bytes_per_image = 0.0;  ///< Activations read and written; parameters not counted.
};

/// One step of the compiled plan.
struct StepInfo {
  std::string name;  ///< The node that gave the step its name.
  std::string op;    ///< "Conv+Relu", ...
  std::string kernel;
  std::string device;
  std::string output;  ///< Type.
};

struct ModelDescription {
  std::string path;
  std::int64_t ir_version = 0;
  std::int64_t opset = 0;
  std::string producer;
  std::vector<PortInfo> inputs;
  std::vector<PortInfo> outputs;
  Precision precision = Precision::kFp32;
  std::int64_t batch = 0;   ///< The batch that layers and steps were described for.
  bool batch_open = false;  ///< Any batch can be computed at once (else chunks of `batch`).
  std::int64_t parameters = 0;
  double flops_per_image = 0.0;
  double bytes_per_image = 0.0;
  std::vector<LayerInfo> layers;  ///< As imported.
  std::vector<StepInfo> steps;    ///< After the graph passes.
  std::int64_t arena_bytes = 0;
  std::vector<std::string> notes;  ///< What the passes did, in words.
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

class PRS_API Model {
 public:
  /// Reads and checks an ONNX file. Throws io, invalid model, unsupported, out of memory.
  static Model load(const std::filesystem::path& path, const ModelLimits& limits = {});

  std::span<const PortInfo> inputs() const noexcept;
  std::span<const PortInfo> outputs() const noexcept;

  /// Runs the model on one set of inputs, given in the order of inputs(); absent trailing optional
  /// ones may be left out. Compiles for these shapes first (kept for the next call with the same
  /// ones). Throws invalid argument when types or shapes contradict the declared ones.
  std::vector<Tensor> run(std::span<const Tensor> inputs) const;

  /// The model with the plan for these input shapes.
  ModelDescription describe(std::span<const TensorView> inputs) const;

  /// Opaque; the engine's own sources know it.
  struct State;

 private:
  friend class Engine;
  explicit Model(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

/// Reads a file that holds one serialized ONNX TensorProto, as ONNX's backend tests do.
/// Throws io, invalid argument, unsupported (element type).
PRS_API NamedTensor read_tensor_proto(const std::filesystem::path& path);

}  // namespace prs
