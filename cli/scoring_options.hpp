// The flags that score, evaluate and inspect share: which model, on what, and how images become its
// input.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <prs/engine.hpp>

#include "pipeline.hpp"

namespace CLI {
class App;
}

namespace prs::cli {

struct ScoringOptions {
  std::filesystem::path model;
  std::vector<std::string> images;
  std::filesystem::path class_names;  ///< Empty: the model's own.
  std::int64_t max_pixels = DecodeOptions{}.max_pixels;
  bool resize = false;  ///< Scale images to the model's size.
  EngineOptions engine;
};

/// --model, also as `positional` when that is given, and --device, --threads, --batch.
void add_model_options(CLI::App& command, ScoringOptions& options,
                       const char* positional = nullptr);

/// --scale, --mean, --std, --invert, --layout, --channel-order, --channels, --resize.
void add_preprocess_options(CLI::App& command, ScoringOptions& options);

/// IMAGES, --max-pixels, and the class names under `names_flag`.
void add_image_options(CLI::App& command, ScoringOptions& options, const char* names_flag);

/// "(pixel * 0.00392157 - 0) / 1".
std::string preprocess_formula(const Preprocess& preprocess);

/// "28 x 28, 1 channel, nchw, value = ...".
std::string describe_input(const ImageInput& input);

/// Where the settings came from, one line an origin: "layout, scale: from ...".
std::vector<std::string> describe_origins(const ImageInput& input);

/// A model ready to score, and what its classes are called.
struct Scorer {
  Engine engine;
  std::vector<std::string> class_names;  ///< Empty, or one a class.

  std::string class_name(std::int64_t index) const;
};

/// Loads the model, logs how images will be treated. Throws prs::Error; invalid argument when the
/// file of class names does not have one line a class.
Scorer load_scorer(const ScoringOptions& options);

/// How `scorer` reads images.
PipelineOptions pipeline_options(const ScoringOptions& options, const Scorer& scorer);

/// The arguments as a list; throws UsageError when there is nothing to score.
ImageList find_images(const std::vector<std::string>& arguments);

}  // namespace prs::cli
