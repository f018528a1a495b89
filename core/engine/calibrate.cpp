// Quantisation of a float model on images: which values its layers take, and the model for them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "check.hpp"
#include "engine/engine_state.hpp"
#include "file.hpp"
#include "graph/passes.hpp"

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

}  // namespace

std::map<std::string, onnx::Range> Engine::State::observe(
    const TensorView& images, std::span<const std::string> names) const {
  check_images(images);
  if (images.dtype != DType::kUint8) fail_argument("calibration takes u8 images");
  const bool takes_floats = model->inputs[0].dtype == DType::kFloat32;
  Graph graph = takes_floats ? with_normalization(as_opened) : as_opened;
  graph.outputs.clear();
  for (const std::string& name : names) {
    const auto found = std::find_if(graph.values.begin(), graph.values.end(),
                                    [&](const Value& value) { return value.name == name; });
    PRS_CHECK(found != graph.values.end());
    graph.outputs.push_back({static_cast<ValueId>(found - graph.values.begin()), {}, {}});
  }
  remove_dead_nodes(graph);
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
  const std::string bytes = InputFile(path).read_all();
  onnx::FloatModel model(bytes, path.string());
  const Engine engine = load(path, as_float);
  return model.quantize(engine.state_->observe(images, model.activations()));
}

}  // namespace prs
