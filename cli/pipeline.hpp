// Reading and scoring, overlapped: threads decode images into batches while the engine scores the
// batch before. Memory is bounded by a few batches, whatever the number of images.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <prs/engine.hpp>

namespace prs::cli {

struct PipelineOptions {
  std::int64_t batch = 256;  ///< Images scored in one call; fewer when they are large.
  int decoders = 1;          ///< Threads that read and decode; at least 1.
  bool resize = false;       ///< Scale images to the model's size instead of failing them.
  std::int64_t max_pixels = DecodeOptions{}.max_pixels;
};

/// Takes the results, item by item in the order of the list, on the thread that called
/// score_images(). `item` is an index into the list.
class ScoreSink {
 public:
  virtual ~ScoreSink() = default;
  virtual void scored(std::int64_t item, std::span<const float> scores) = 0;
  /// `reason` begins with the item's name.
  virtual void failed(std::int64_t item, const std::string& reason) = 0;
  /// After each batch; `items_done` counts scored and failed ones.
  virtual void batch_done(std::int64_t items_done) = 0;
};

/// Scores all items of `images`. An item that cannot be read or decoded fails alone. Returns false
/// when SIGINT ended it early (interrupt.hpp). Throws what the engine and the sink throw.
bool score_images(const Engine& engine, const ImageList& images, const PipelineOptions& options,
                  ScoreSink& sink);

}  // namespace prs::cli
