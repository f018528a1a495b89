// What the two halves of `prs-gpu bench` share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "choice.hpp"
#include "output.hpp"
#include "scoring_options.hpp"

namespace prs::cli {

struct BenchOptions {
  std::string device;  ///< "cpu" or "gpu".
  ScoringOptions scoring;
  std::vector<std::int64_t> batches = {1, 16, 64, 256, 1024};
  std::vector<int> threads;
  double seconds = 0.5;
  Format format = Format::kText;
};

/// `images` images' worth of random pixels for the model.
std::vector<std::uint8_t> random_pixels(const ImageInput& input, std::int64_t images);

/// As load_engine; int8 of a float model is calibrated on random pixels, as the speed of its
/// products does not depend on their ranges.
Engine load_measured(const BenchOptions& options, EngineOptions engine_options);

/// Measures GPU 0 and, if one is given, a model on it; returns the exit code. Throws ExitError with
/// kExitNoGpu.
int run_bench_gpu(const BenchOptions& options);

}  // namespace prs::cli
