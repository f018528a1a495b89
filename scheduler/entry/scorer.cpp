#include "entry/scorer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>
#include <utility>

#include <prs/error.hpp>
#include <prs/model.hpp>

#include "entry/calibration.hpp"

namespace prs::entry {
namespace {

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  if (!file.eof() || file.bad()) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot read the class names", path.string()));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no class names in it", path.string()));
  }
  return lines;
}

std::string preprocess_formula(const Preprocess& preprocess) {
  const auto list = [](const std::vector<double>& values) {
    return values.size() == 1 ? fmt::format("{:.6g}", values[0])
                              : fmt::format("[{:.6g}]", fmt::join(values, ", "));
  };
  return fmt::format("({} * {:.6g} - {}) / {}", preprocess.invert ? "(255 - pixel)" : "pixel",
                     preprocess.scale, list(preprocess.mean), list(preprocess.std));
}

/// For a model of [N, F]: a row of F values is an image of one line.
void take_rows(const ScorerOptions& options, EngineOptions& engine) {
  PreprocessOverrides& shape = engine.preprocess;
  if (!options.tables || shape.height || shape.width || shape.channels) return;
  const Model model = Model::load(options.model, engine.limits);
  if (model.inputs().size() != 1 || model.inputs()[0].extents.size() != 2) return;
  std::int64_t features = model.inputs()[0].extents[1];
  if (features < 1) features = static_cast<std::int64_t>(options.columns.size());
  if (features < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the model takes any number of columns; name them with "
                            "model_options.columns",
                            options.model.string()));
  }
  shape.height = 1;
  shape.width = features;
  shape.channels = 1;
}

}  // namespace

std::string Scorer::class_name(std::int64_t index) const {
  return class_names.empty() ? fmt::format("{}", index)
                             : class_names[static_cast<std::size_t>(index)];
}

EngineOptions engine_options(const ScorerOptions& options) {
  EngineOptions engine = options.engine;
  take_rows(options, engine);
  if (!options.class_names.empty()) engine.labels.emplace();
  return engine;
}

Scorer make_scorer(Engine engine, const ScorerOptions& options) {
  std::vector<std::string> names;
  if (options.class_names.empty()) {
    names.assign(engine.labels().begin(), engine.labels().end());
    return {std::move(engine), std::move(names)};
  }
  names = read_lines(options.class_names);
  if (static_cast<std::int64_t>(names.size()) != engine.classes()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} class names for the {} scores of {}; give one name a line, in "
                            "the order of the scores",
                            options.class_names.string(), names.size(), engine.classes(),
                            options.model.string()));
  }
  return {std::move(engine), std::move(names)};
}

Scorer load_scorer(const ScorerOptions& options) {
  const CalibrationImages calibration = read_calibration(options);
  EngineOptions engine = engine_options(options);
  engine.calibration = calibration.view();
  return make_scorer(Engine::load(options.model, engine), options);
}

std::string describe_input(const ImageInput& input) {
  return fmt::format("{} x {}, {} channel{}{}, {}, value = {}", input.width, input.height,
                     input.channels, input.channels == 1 ? "" : "s",
                     input.preprocess.bgr ? " (BGR)" : "", layout_name(input.layout),
                     preprocess_formula(input.preprocess));
}

}  // namespace prs::entry
