// A model ready to score, and what its classes are called.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <prs/engine.hpp>

namespace prs::entry {

struct Scorer {
  Engine engine;
  std::vector<std::string> class_names;  ///< Empty, or one a class.

  std::string class_name(std::int64_t index) const;
};

/// Loads the model; `class_names` is a file with one name a line, or empty for the model's own.
/// Throws prs::Error; invalid argument when the file does not have one line a class.
Scorer load_scorer(const std::filesystem::path& model, const EngineOptions& options,
                   const std::filesystem::path& class_names);

/// "28 x 28, 1 channel, nchw, value = (pixel * 0.00392157 - 0) / 1".
std::string describe_input(const ImageInput& input);

/// "(pixel * 0.00392157 - 0) / 1".
std::string preprocess_formula(const Preprocess& preprocess);

/// "0.5" or "0.485,0.456,0.406"; nothing unless all are finite numbers.
std::optional<std::vector<double>> parse_numbers(std::string_view text);

}  // namespace prs::entry
