// The flags that score, evaluate and inspect share: which model, on what, and how images become its
// input.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <prs/engine.hpp>

#include "entry/scorer.hpp"
#include "pipeline.hpp"

namespace CLI {
class App;
}

namespace prs::cli {

using entry::Scorer;

struct ScoringOptions : entry::ScorerOptions {
  std::vector<std::string> images;
};

/// --model, also as `positional` when that is given, and --device, --precision, --threads,
/// --batch, --model-output.
void add_model_options(CLI::App& command, ScoringOptions& options,
                       const char* positional = nullptr);

/// --scale, --mean, --std, --invert, --layout, --channel-order, --channels, --resize.
void add_preprocess_options(CLI::App& command, ScoringOptions& options);

/// IMAGES, --max-pixels, and the class names under `names_flag`.
void add_image_options(CLI::App& command, ScoringOptions& options, const char* names_flag);

/// Where the settings came from, one line an origin: "layout, scale: from ...".
std::vector<std::string> describe_origins(const ImageInput& input);

/// As entry::load_scorer; logs how images will be treated.
Scorer load_scorer(const ScoringOptions& options);

/// How `scorer` reads images.
PipelineOptions pipeline_options(const ScoringOptions& options, const Scorer& scorer);

/// The arguments as a list; throws UsageError when there is nothing to score.
ImageList find_images(const std::vector<std::string>& arguments);

}  // namespace prs::cli
