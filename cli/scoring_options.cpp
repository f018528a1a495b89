#include "scoring_options.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "choice.hpp"
#include "entry/calibration.hpp"
#include "entry/model_options.hpp"
#include "errors.hpp"
#include "load_engine.hpp"

namespace prs::cli {
namespace {

constexpr const char* kPreprocessing =
    "Preprocessing (default: what the model and its sidecar say)";

/// The largest DecodeOptions::max_pixels.
constexpr std::int64_t kMostPixels = (std::int64_t{1} << 31) - 1;

/// Runs `parse`, whose errors then name the flag.
template <typename Parse>
void parse_flag(const char* flag, const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    throw CLI::ValidationError(flag, error.message());
  }
}

std::string check_device(const std::string& device) {
  constexpr std::string_view kCuda = "cuda:";
  if (device == "auto" || device == "cpu" || device == "cuda") return {};
  if (device.starts_with(kCuda) && device.size() > kCuda.size() &&
      std::all_of(device.begin() + kCuda.size(), device.end(),
                  [](char c) { return c >= '0' && c <= '9'; })) {
    return {};
  }
  return fmt::format("'{}' is no device: auto, cpu, cuda or cuda:N", device);
}

}  // namespace

void add_precision(CLI::App& command, ScoringOptions& options) {
  add_choice<Precision>(command, "--precision", options.engine.precision,
                        {{"fp32", Precision::kFp32},
                         {"tf32", Precision::kTf32},
                         {"bf16", Precision::kBf16},
                         {"fp16", Precision::kFp16},
                         {"int8", Precision::kInt8}},
                        "What products are computed in: fp32, tf32, bf16, fp16 or int8");
}

void add_model_options(CLI::App& command, ScoringOptions& options, const char* positional) {
  const std::string names =
      positional == nullptr ? "--model" : fmt::format("--model,{}", positional);
  command.add_option(names, options.model, "ONNX model")->required()->type_name("FILE");
  command.add_option("--device", options.engine.device, "auto, cpu, cuda or cuda:N")
      ->type_name("DEVICE")
      ->check(CLI::Validator(check_device, ""))
      ->capture_default_str();
  add_precision(command, options);
  command.add_option("--threads", options.engine.threads, "CPU threads; 0: all cores")
      ->type_name("N")
      ->check(CLI::Range(0, 4096).description(""))
      ->capture_default_str();
  const bool by_device = options.engine.max_batch == 0;
  CLI::Option* batch =
      command
          .add_option("--batch", options.engine.max_batch,
                      by_device ? "Images computed at once (default: 256; on a GPU up to 4096)"
                                : "Images computed at once")
          ->type_name("N")
          ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24).description(""));
  if (!by_device) batch->capture_default_str();
  command
      .add_option("--model-output", options.engine.output,
                  "The model's output that holds the scores (default: the first)")
      ->type_name("NAME");
  add_calibration_options(command, options);
}

CLI::Option* add_calibration_options(CLI::App& command, ScoringOptions& options) {
  command.add_option("--images", options.calibration_images, "How many of them, the first ones")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24).description(""))
      ->capture_default_str();
  return command
      .add_option("--calibrate", options.calibrate,
                  "Typical images to quantise a float model for (default: the first to score)")
      ->type_name("IMAGES")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_preprocess_options(CLI::App& command, ScoringOptions& options) {
  PreprocessOverrides& overrides = options.engine.preprocess;
  const auto numbers = [&command](const char* flag, std::optional<std::vector<double>>& target,
                                  const char* help) {
    const auto parse = [flag, &target](const std::string& text) {
      parse_flag(flag, [&] { target = entry::parse_numbers(text); });
      // Pixels are divided by it.
      const bool has_zero = std::find(target->begin(), target->end(), 0.0) != target->end();
      if (flag == std::string_view("--std") && has_zero) {
        throw CLI::ValidationError(flag, fmt::format("'{}': must not be 0", text));
      }
    };
    command.add_option_function<std::string>(flag, parse, help)
        ->type_name("X[,X,X]")
        ->group(kPreprocessing);
  };
  command
      .add_option_function<std::string>(
          "--scale",
          [&overrides](const std::string& text) {
            std::vector<double> values;
            parse_flag("--scale", [&] { values = entry::parse_numbers(text); });
            if (values.size() != 1) {
              throw CLI::ValidationError("--scale", fmt::format("'{}' is not one number", text));
            }
            overrides.scale = values[0];
          },
          "value = (pixel * SCALE - MEAN) / STD")
      ->type_name("X")
      ->group(kPreprocessing);
  numbers("--mean", overrides.mean, "One number, or one a channel");
  numbers("--std", overrides.std, "One number, or one a channel");
  command
      .add_flag_callback(
          "--invert", [&overrides] { overrides.invert = true; },
          "First replace each pixel by 255 - pixel (dark on light <-> light on dark)")
      ->group(kPreprocessing);
  command
      .add_flag_callback(
          "--no-invert", [&overrides] { overrides.invert = false; }, "Leave pixels as they are")
      ->group(kPreprocessing)
      ->excludes("--invert");
  command
      .add_option_function<std::string>(
          "--layout",
          [&overrides](const std::string& name) {
            parse_flag("--layout", [&] { overrides.layout = parse_layout(name); });
          },
          "The model's input: nchw, nhwc, nhw or flat")
      ->type_name("LAYOUT")
      ->group(kPreprocessing);
  command
      .add_option_function<std::string>(
          "--channel-order",
          [&overrides](const std::string& order) { overrides.bgr = order == "bgr"; },
          "The order of the model's three channels")
      ->type_name("rgb|bgr")
      ->check(CLI::IsMember(std::vector<std::string>{"rgb", "bgr"}).description(""))
      ->group(kPreprocessing);
  command.add_option("--channels", overrides.channels, "1 (gray) or 3 (RGB)")
      ->type_name("N")
      ->check(CLI::IsMember(std::vector<std::int64_t>{1, 3}).description(""))
      ->group(kPreprocessing);
  // A flag that takes a value only as --resize=WxH: after a blank it would swallow the next image.
  command
      .add_option(
          "--resize",
          [&options](const CLI::results_t& results) {
            options.resize = true;
            if (results[0] != "true") {
              parse_flag("--resize",
                         [&] { entry::parse_size(results[0], options.engine.preprocess); });
            }
            return true;
          },
          "Scale images to the model's size; --resize=WxH for a model that leaves it open")
      ->expected(0)
      ->group(kPreprocessing);
}

void add_image_options(CLI::App& command, ScoringOptions& options, const char* names_flag) {
  command
      .add_option(
          "images", options.images,
          "Files, folders, globs, IDX or NPY files, @LIST, or - for a list on standard input")
      ->required()
      ->type_name("");
  command.add_option(names_flag, options.class_names, "Names of the classes, one a line")
      ->type_name("FILE");
  command
      .add_option("--max-pixels", options.max_pixels, "Refuse larger images before decoding them")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, kMostPixels).description(""))
      ->capture_default_str();
}

std::vector<std::string> describe_origins(const ImageInput& input) {
  std::vector<std::pair<std::string, std::string>> names_by_origin;
  for (const std::string& entry : input.origins) {
    const std::size_t colon = entry.find(": ");
    const std::string name = entry.substr(0, colon);
    const std::string origin = colon == std::string::npos ? "" : entry.substr(colon);
    const auto same = std::find_if(names_by_origin.begin(), names_by_origin.end(),
                                   [&](const auto& pair) { return pair.first == origin; });
    if (same == names_by_origin.end()) {
      names_by_origin.emplace_back(origin, name);
    } else {
      same->second += ", " + name;
    }
  }
  std::vector<std::string> lines;
  for (const auto& [origin, names] : names_by_origin) lines.push_back(names + origin);
  return lines;
}

Scorer load_scorer(const ScoringOptions& options, const ImageList& images) {
  const entry::CalibrationImages calibration = entry::read_calibration(options, &images);
  EngineOptions engine_options = entry::engine_options(options);
  engine_options.calibration = calibration.view();
  Scorer scorer = entry::make_scorer(load_engine(options.model, engine_options), options);
  const Engine& engine = scorer.engine;
  spdlog::info("{}: {} classes, on {} in {}, {} thread{}", options.model.string(), engine.classes(),
               engine.device(), precision_name(engine.precision()), engine.threads(),
               engine.threads() == 1 ? "" : "s");
  if (const std::string problem = engine.device_problem(); !problem.empty()) {
    spdlog::warn("{}; this runs on the CPU", problem);
  }
  spdlog::info("images: {}", entry::describe_input(engine.input()));
  for (const std::string& line : describe_origins(engine.input())) spdlog::info("  {}", line);
  return scorer;
}

PipelineOptions pipeline_options(const ScoringOptions& options, const Scorer& scorer) {
  return {.batch = scorer.engine.max_batch(),
          .decoders = scorer.engine.threads(),
          .resize = options.resize,
          .max_pixels = options.max_pixels};
}

ImageList find_images(const std::vector<std::string>& arguments) {
  constexpr const char* kNone = "no images found";
  try {
    ImageList images = expand_image_arguments(arguments);
    if (images.size() == 0) throw UsageError(kNone);
    return images;
  } catch (const Error& error) {
    const bool only_folders = std::all_of(
        arguments.begin(), arguments.end(),
        [](const std::string& argument) { return std::filesystem::is_directory(argument); });
    if (!only_folders || error.code() != ErrorCode::kInvalidArgument) throw;
    throw UsageError(fmt::format("{}: {}", kNone, error.message()));
  }
}

}  // namespace prs::cli
