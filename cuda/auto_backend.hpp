// What --device auto means: each plan, that is each batch size of a model, runs where it is faster,
// on the GPU or the CPU, as a few milliseconds of runs on both showed when it was compiled.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "backend.hpp"

namespace prs {

struct AutoOptions {
  /// Where decisions are kept for other processes; empty: nowhere. Whatever goes wrong with it only
  /// costs another calibration.
  std::filesystem::path cache_folder{};
  /// All that speed hangs on besides the plan: both devices and the program's version.
  std::string machine{};
  /// The clock, in microseconds.
  std::function<double()> now_us{};
};

/// The user's cache folder for this: below XDG_CACHE_HOME, or ~/.cache; empty without a home.
std::filesystem::path auto_cache_folder();

/// A backend over both. What the GPU has no kernels for, or a precision that the CPU has not got,
/// runs on the other one uncalibrated; so does what the GPU has no memory for, or all when it
/// cannot be used, and problem() tells why. Throws as both do.
std::unique_ptr<Backend> make_auto_backend(std::unique_ptr<Backend> gpu,
                                           std::unique_ptr<Backend> cpu, AutoOptions options);

}  // namespace prs
