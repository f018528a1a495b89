// A model ready to score images, and what its classes are called.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <prs/engine.hpp>

namespace prs::entry {

struct ScorerOptions {
  std::filesystem::path model;
  std::filesystem::path class_names;  ///< One name a line; empty: the model's own.
  std::int64_t max_pixels = DecodeOptions{}.max_pixels;
  bool resize = false;               ///< Scale images to the model's size.
  bool tables = false;               ///< A model of [N, F] takes F columns, not an image.
  std::vector<std::string> columns;  ///< Which ones, in the model's order; empty: all numbers.
  /// Images that int8 of a float model is calibrated on: files, folders, ... (image.hpp), of which
  /// the first calibration_images count.
  std::vector<std::string> calibrate;
  std::int64_t calibration_images = 512;
  EngineOptions engine;
};

struct Scorer {
  Engine engine;
  std::vector<std::string> class_names;  ///< Empty, or one a class.

  std::string class_name(std::int64_t index) const;
};

/// The engine's options: without the model's own class names when a file replaces them.
EngineOptions engine_options(const ScorerOptions& options);

/// The engine, loaded with engine_options(), and the names of its classes. Throws, naming the file
/// of class names: io when it cannot be read, invalid argument when it is empty or does not hold
/// one name a score.
Scorer make_scorer(Engine engine, const ScorerOptions& options);

/// Throws what Engine::load() and make_scorer() throw.
Scorer load_scorer(const ScorerOptions& options);

/// "28 x 28, 1 channel, nchw, value = (pixel * 0.00392157 - 0) / 1".
std::string describe_input(const ImageInput& input);

}  // namespace prs::entry
