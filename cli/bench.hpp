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

std::vector<std::uint8_t> random_pixels(std::int64_t count);

/// Measures GPU 0 and, if one is given, a model on it; returns the exit code. Throws ExitError with
/// kExitNoGpu.
int run_bench_gpu(const BenchOptions& options);

}  // namespace prs::cli
