// Quantisation of a float model on images: which values its layers take, and the model for them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "engine/engine_state.hpp"
#include "file.hpp"
#include "graph/passes.hpp"
#include "graph/rewrite.hpp"

namespace prs {
namespace {

/// Images that are run at once: all their intermediate tensors are kept.
constexpr std::int64_t kCalibrationBatch = 32;

void widen(onnx::Range& range, std::span<const float> values) {
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
}

/// Makes outputs of the values of these names, of those that the graph computes: what leads only to
/// other outputs of the model is no part of it. Returns the names found.
std::vector<std::string> keep_as_outputs(Graph& graph, std::span<const std::string> wanted) {
  const std::vector<int> producer = producers(graph);
  std::map<std::string_view, ValueId> computed;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (producer[i] >= 0) computed.emplace(graph.values[i].name, static_cast<ValueId>(i));
  }
  for (const GraphPort& port : graph.inputs) {
    computed.emplace(graph.value(port.value).name, port.value);
  }
  graph.outputs.clear();
  std::vector<std::string> names;
  for (const std::string& name : wanted) {
    const auto found = computed.find(name);
    if (found == computed.end()) continue;
    names.push_back(name);
    graph.outputs.push_back({found->second, {}, {}});
  }
  remove_dead_nodes(graph);
  return names;
}

}  // namespace

std::map<std::string, onnx::Range> Engine::State::observe(
    const TensorView& images, std::span<const std::string> wanted) const {
  check_images(images);
  if (images.dtype != DType::kUint8) fail_argument("calibration takes u8 images");
  const bool takes_floats = model->inputs[0].dtype == DType::kFloat32;
  Graph graph = takes_floats ? with_normalization(as_opened) : as_opened;
  const std::vector<std::string> names = keep_as_outputs(graph, wanted);
  const std::int64_t count = images.shape[0];
  const std::int64_t whole = fixed_batch > 0 ? fixed_batch : std::min(count, kCalibrationBatch);
  if (whole == 0 || count < whole) {
    fail_argument("{}: {} images to calibrate on; expected at least {}", model->path, count,
                  std::max<std::int64_t>(whole, 1));
  }
  std::map<std::string, onnx::Range> ranges;
  std::unique_ptr<CompiledGraph> compiled;
  std::int64_t compiled_batch = 0;
  std::vector<Tensor> outputs;
  for (std::int64_t first = 0; first < count; first += compiled_batch) {
    const std::int64_t batch = std::min(count - first, whole);
    if (fixed_batch > 0 && batch < whole) break;  // The others have told enough.
    if (batch != compiled_batch) {
      compiled = compile_for(graph, *backend, std::array{binding(DType::kUint8, batch)},
                             {.limits = model->limits}, model->fold_limit);
      compiled_batch = batch;
      outputs.clear();
      for (std::size_t i = 0; i < names.size(); ++i) {
        const TensorType type = compiled->output_type(i);
        outputs.emplace_back(type.dtype, type.shape);
      }
    }
    std::vector<void*> pointers;
    for (Tensor& one : outputs) pointers.push_back(one.data());
    compiled->run(std::array{stage(images, first, batch, batch)}, pointers);
    for (std::size_t i = 0; i < names.size(); ++i) {
      // A layer that takes pixels as they are does so in steps of 1.
      onnx::Range& range = ranges[names[i]];
      if (outputs[i].dtype() != DType::kFloat32) continue;
      widen(range, {outputs[i].as<float>(), static_cast<std::size_t>(outputs[i].elements())});
    }
  }
  // What the first layer takes is pixels, all of them possible.
  if (const auto first = ranges.find(input.name); takes_floats && first != ranges.end()) {
    const auto& params = std::get<NormalizeParams>(graph.nodes.front().params);
    if (params.scale.size() == 1 && params.scale[0] > 0.0F) {
      first->second.step = params.scale[0];
      first->second.low = params.bias[0];
      first->second.high = 255.0F * params.scale[0] + params.bias[0];
    }
  }
  return ranges;
}

std::string Engine::quantize(const std::filesystem::path& path, const TensorView& images,
                             const EngineOptions& options) {
  EngineOptions as_float = options;
  as_float.precision = Precision::kFp32;
  as_float.calibration = {};
  as_float.shared_weights = -1;  // Needed while it looks at images only: not for the job's memory.
  // Ranges hang on no device then: all workers of a job quantise a model to the same one.
  as_float.device = "cpu";
  const std::string bytes = InputFile(path).read_all();
  onnx::FloatModel model(bytes, path.string());
  const Engine engine = load(path, as_float);
  return model.quantize(engine.state_->observe(images, model.activations()));
}

}  // namespace prs
