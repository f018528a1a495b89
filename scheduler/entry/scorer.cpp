#include "entry/scorer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <prs/error.hpp>
#include <utility>

namespace prs::entry {
namespace {

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot read the class names", path.string()));
  }
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace

std::string preprocess_formula(const Preprocess& preprocess) {
  const auto list = [](const std::vector<double>& values) {
    return values.size() == 1 ? fmt::format("{:.6g}", values[0])
                              : fmt::format("[{:.6g}]", fmt::join(values, ", "));
  };
  return fmt::format("({} * {:.6g} - {}) / {}", preprocess.invert ? "(255 - pixel)" : "pixel",
                     preprocess.scale, list(preprocess.mean), list(preprocess.std));
}

std::string describe_input(const ImageInput& input) {
  return fmt::format("{} x {}, {} channel{}, {}, value = {}", input.width, input.height,
                     input.channels, input.channels == 1 ? "" : "s", layout_name(input.layout),
                     preprocess_formula(input.preprocess));
}

std::optional<std::vector<double>> parse_numbers(std::string_view text) {
  std::vector<double> numbers;
  const char* position = text.data();
  const char* const end = position + text.size();
  for (;;) {
    double number = 0.0;
    const auto [next, error] = std::from_chars(position, end, number);
    if (error != std::errc() || !std::isfinite(number) || (next != end && *next != ',')) {
      return std::nullopt;
    }
    numbers.push_back(number);
    if (next == end) return numbers;
    position = next + 1;
  }
}

std::string Scorer::class_name(std::int64_t index) const {
  return class_names.empty() ? fmt::format("{}", index)
                             : class_names[static_cast<std::size_t>(index)];
}

Scorer load_scorer(const std::filesystem::path& model, const EngineOptions& options,
                   const std::filesystem::path& class_names) {
  Engine engine = Engine::load(model, options);
  std::vector<std::string> names(engine.labels().begin(), engine.labels().end());
  if (!class_names.empty()) {
    names = read_lines(class_names);
    if (static_cast<std::int64_t>(names.size()) != engine.classes()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {} class names, but {} gives {} scores", class_names.string(),
                              names.size(), model.string(), engine.classes()));
    }
  }
  return {std::move(engine), std::move(names)};
}

}  // namespace prs::entry
