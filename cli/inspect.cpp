// prs-gpu inspect: what is in a model, how images become its input, and how it will run.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <prs/engine.hpp>
#include <prs/model.hpp>

#include "choice.hpp"
#include "commands.hpp"
#include "entry/calibration.hpp"
#include "load_engine.hpp"
#include "output.hpp"
#include "scoring_options.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kInspectExamples = R"(Examples:
  prs-gpu inspect lenet.onnx                       inputs, preprocessing, layers, plan
  prs-gpu inspect lenet.onnx --batch 64            the plan for 64 images at once
  prs-gpu inspect model.onnx --resize=224x224      a model that leaves the image size open
  prs-gpu inspect lenet.onnx --format json | jq .parameters

FLOP and bytes are for one image; bytes are activations read and written, without parameters. Models
that take no images are shown with --batch for each open dimension.
)";

/// What there is to tell about a model.
struct Inspection {
  ModelDescription model;
  std::optional<ImageInput> images;
  std::string no_images;  ///< Why `images` is empty.
  std::vector<std::string> labels;
  std::string no_layers;  ///< Why layers and plan are not known.
  /// What --device auto chose for some batch sizes, ascending; empty where there is no choice.
  std::vector<std::pair<std::int64_t, std::string>> choices{};
};

/// Whether the model's shapes may depend on the contents of its inputs, as those of Reshape do.
bool takes_integers(const Model& model) {
  return std::any_of(model.inputs().begin(), model.inputs().end(), [](const PortInfo& port) {
    return port.dtype == DType::kInt64 || port.dtype == DType::kInt32;
  });
}

Inspection inspect_tensors(const ScoringOptions& options, std::string no_images) {
  const Model model = Model::load(options.model);
  Inspection inspection;
  inspection.no_images = std::move(no_images);
  try {
    std::vector<TensorView> inputs;
    for (const PortInfo& port : model.inputs()) {
      Shape shape;
      for (const std::int64_t extent : port.extents) {
        shape.push_back(extent < 0 ? options.engine.max_batch : extent);
      }
      inputs.push_back({port.dtype, shape, nullptr});
    }
    inspection.model = model.describe(inputs);
  } catch (const Error& error) {
    if (!takes_integers(model)) throw;
    inspection.model.path = options.model.string();
    inspection.model.inputs.assign(model.inputs().begin(), model.inputs().end());
    inspection.model.outputs.assign(model.outputs().begin(), model.outputs().end());
    inspection.no_layers =
        "not known; they depend on the contents of inputs. With zeros: " + error.message();
  }
  return inspection;
}

/// Whether a message is about what the model says of its images, not about the model: what is wrong
/// there has to be put right, whereas a model may well take no images.
bool is_about_settings(const std::string& message, const std::filesystem::path& model) {
  const auto is_about = [&](const std::string& subject) {
    return message.starts_with(subject + ": ");
  };
  std::filesystem::path sidecar = model;
  std::filesystem::path labels = model;
  return is_about(sidecar.replace_extension(".prs.json").string()) ||
         is_about(labels.replace_extension(".labels.txt").string()) ||
         is_about(model.string() + " (metadata \"prs\")");
}

/// Compiles the model for each of these batch sizes, which decides where it runs.
std::vector<std::pair<std::int64_t, std::string>> choices_of(const std::filesystem::path& model,
                                                             EngineOptions options) {
  constexpr std::int64_t kBatches[] = {1, 4, 16, 64, 256};
  std::vector<std::pair<std::int64_t, std::string>> choices;
  options.max_batch = std::max(options.max_batch, kBatches[std::size(kBatches) - 1]);
  const Engine engine = load_engine(model, options);
  for (const std::int64_t batch : kBatches) {
    const ModelDescription plan = engine.describe(batch);
    if (plan.batch == batch && !plan.steps.empty()) {
      choices.emplace_back(batch, plan.steps.back().device);
    }
  }
  return choices;
}

Inspection inspect_model(const ScoringOptions& options) {
  std::string reason;
  try {
    const entry::CalibrationImages calibration = entry::read_calibration(options);
    EngineOptions engine_options = options.engine;
    engine_options.calibration = calibration.view();
    const Engine engine = load_engine(options.model, engine_options);
    Inspection inspection{engine.describe(options.engine.max_batch),
                          engine.input(),
                          {},
                          {engine.labels().begin(), engine.labels().end()},
                          {}};
    if (engine_options.device == "auto" && engine.device() != "cpu") {
      inspection.choices = choices_of(options.model, engine_options);
    }
    return inspection;
  } catch (const Error& error) {
    const bool other_model =
        error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kUnsupported;
    // Without images a model is described in fp32, which is not what was asked for.
    const bool other_precision = options.engine.precision != Precision::kFp32;
    if (!other_model || other_precision || is_about_settings(error.message(), options.model)) throw;
    reason = error.message();
  }
  return inspect_tensors(options, std::move(reason));
}

std::string ports_as_text(const char* title, const std::vector<PortInfo>& ports) {
  Table table("<<");
  for (const PortInfo& port : ports) table.add({port.name, port.to_string()});
  return fmt::format("{}\n{}", title, table.to_string("  "));
}

std::string images_as_text(const Inspection& inspection) {
  if (!inspection.images) return fmt::format("images: none ({})\n", inspection.no_images);
  const ImageInput& images = *inspection.images;
  std::string text = fmt::format("images: {}\n", entry::describe_input(images));
  for (const std::string& line : describe_origins(images)) text += fmt::format("  {}\n", line);
  if (!inspection.labels.empty()) {
    text += fmt::format("classes: {}\n", fmt::join(inspection.labels, ", "));
  }
  return text;
}

std::string layers_as_text(const ModelDescription& model) {
  Table table("<<<>>>");
  table.add({"name", "operator", "output", "parameters", "FLOP", "bytes"});
  for (const LayerInfo& layer : model.layers) {
    table.add({layer.name, layer.op, fmt::format("{}", fmt::join(layer.outputs, " ")),
               group_digits(layer.parameters), format_quantity(layer.flops_per_image),
               format_quantity(layer.bytes_per_image)});
  }
  table.add({"total", "", "", group_digits(model.parameters),
             format_quantity(model.flops_per_image), format_quantity(model.bytes_per_image)});
  return "layers\n" + table.to_string("  ");
}

std::string plan_as_text(const Inspection& inspection) {
  const ModelDescription& model = inspection.model;
  Table table("><<<<<");
  std::int64_t number = 0;
  table.add({"#", "name", "operators", "kernel", "device", "output"});
  for (const StepInfo& step : model.steps) {
    table.add(
        {fmt::format("{}", ++number), step.name, step.op, step.kernel, step.device, step.output});
  }
  const bool any_batch = !inspection.images || model.batch_open;
  std::string text =
      fmt::format("plan for batch {}{}, in {}\n{}", model.batch, any_batch ? "" : ", the only one",
                  precision_name(model.precision), table.to_string("  "));
  text += fmt::format("  arena: {}\n", format_bytes(model.arena_bytes));
  for (const std::string& note : model.notes) text += fmt::format("  {}\n", note);
  if (inspection.choices.empty()) return text;
  text += "--device auto by batch\n";
  Table choices("><");
  for (const auto& [batch, device] : inspection.choices) {
    choices.add({group_digits(batch), device});
  }
  return text + choices.to_string("  ");
}

std::string as_text(const Inspection& inspection) {
  const ModelDescription& model = inspection.model;
  std::string text = model.path;
  if (model.ir_version > 0) {
    text += fmt::format(": ONNX IR {}, opset {}{}", model.ir_version, model.opset,
                        model.producer.empty() ? "" : ", by " + model.producer);
  }
  text += "\n" + ports_as_text("inputs", model.inputs) + ports_as_text("outputs", model.outputs) +
          images_as_text(inspection);
  if (!inspection.no_layers.empty()) return text + "layers: " + inspection.no_layers + "\n";
  return text + layers_as_text(model) + plan_as_text(inspection);
}

Json ports_as_json(const std::vector<PortInfo>& ports) {
  Json list = Json::array();
  for (const PortInfo& port : ports) {
    Json json = {
        {"name", port.name}, {"dtype", dtype_name(port.dtype)}, {"type", port.to_string()}};
    if (port.has_shape) json["shape"] = port.extents;
    list.push_back(std::move(json));
  }
  return list;
}

Json images_as_json(const Inspection& inspection) {
  if (!inspection.images) return nullptr;
  const ImageInput& images = *inspection.images;
  return {{"input", images.name},
          {"height", images.height},
          {"width", images.width},
          {"channels", images.channels},
          {"layout", layout_name(images.layout)},
          {"scale", images.preprocess.scale},
          {"mean", images.preprocess.mean},
          {"std", images.preprocess.std},
          {"invert", images.preprocess.invert},
          {"channel_order", images.preprocess.bgr ? "bgr" : "rgb"},
          {"origins", images.origins},
          {"labels", inspection.labels}};
}

std::string as_json(const Inspection& inspection) {
  const ModelDescription& model = inspection.model;
  Json json = {{"path", model.path},
               {"ir_version", model.ir_version},
               {"opset", model.opset},
               {"producer", model.producer},
               {"inputs", ports_as_json(model.inputs)},
               {"outputs", ports_as_json(model.outputs)},
               {"images", images_as_json(inspection)},
               {"precision", precision_name(model.precision)},
               {"batch", model.batch},
               {"batch_open", model.batch_open},
               {"parameters", model.parameters},
               {"flops_per_image", model.flops_per_image},
               {"bytes_per_image", model.bytes_per_image},
               {"arena_bytes", model.arena_bytes},
               {"layers", Json::array()},
               {"steps", Json::array()},
               {"notes", model.notes}};
  if (!inspection.choices.empty()) json["auto"] = Json::array();
  for (const auto& [batch, device] : inspection.choices) {
    json["auto"].push_back({{"batch", batch}, {"device", device}});
  }
  if (!inspection.no_layers.empty()) json["layers_unknown"] = inspection.no_layers;
  for (const LayerInfo& layer : model.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"op", layer.op},
                              {"inputs", layer.inputs},
                              {"outputs", layer.outputs},
                              {"parameters", layer.parameters},
                              {"flops_per_image", layer.flops_per_image},
                              {"bytes_per_image", layer.bytes_per_image}});
  }
  for (const StepInfo& step : model.steps) {
    json["steps"].push_back({{"name", step.name},
                             {"op", step.op},
                             {"kernel", step.kernel},
                             {"device", step.device},
                             {"output", step.output}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

void add_inspect(CLI::App& app, Command& chosen) {
  CLI::App& command =
      *app.add_subcommand("inspect", "Show a model, its preprocessing and its plan");
  const auto options = std::make_shared<ScoringOptions>();
  const auto format = std::make_shared<Format>(Format::kText);
  options->engine.max_batch = 1;
  add_model_options(command, *options, "model");
  add_format(command, *format);
  add_preprocess_options(command, *options);
  command.footer(kInspectExamples);
  command.callback([options, format, &chosen] {
    chosen = [options, format] {
      const Inspection inspection = inspect_model(*options);
      print(*format == Format::kText ? as_text(inspection) : as_json(inspection));
      return kExitDone;
    };
  });
}

}  // namespace prs::cli
