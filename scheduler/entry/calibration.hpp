// Images that a float model is quantised for (--precision int8).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <prs/engine.hpp>
#include <prs/image.hpp>

#include "entry/scorer.hpp"

namespace prs::entry {

/// Images as an engine takes them, in memory.
class CalibrationImages {
 public:
  CalibrationImages() = default;
  /// The first options.calibration_images of `images` that can be read, for the model of `engine`.
  /// Throws invalid argument, with the first reason, when none can.
  CalibrationImages(const ImageList& images, const Engine& engine, const ScorerOptions& options);

  /// [n, ...] u8; without data when there are no images. Valid while this object lives.
  TensorView view() const;

 private:
  std::optional<RecordFile> records_;  ///< Whose first count_ are the images; else pixels_.
  std::vector<std::uint8_t> pixels_;
  Shape shape_;
};

/// What loading a model with these options needs: for int8, the images of options.calibrate, or
/// else those of `images`, when there are any. Throws as Engine::load and expand_image_arguments.
CalibrationImages read_calibration(const ScorerOptions& options, const ImageList* images = nullptr);

}  // namespace prs::entry
