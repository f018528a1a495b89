// Measures a device through any Runtime: times by its events, rates by its own copies and kernels.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "prs/profile.hpp"
#include "runtime.hpp"

namespace prs::cuda {

/// Times work on a stream of its caller's.
class DeviceTimer {
 public:
  DeviceTimer(Runtime& runtime, Stream& stream)
      : runtime_(runtime),
        stream_(stream),
        begin_(runtime.new_event()),
        end_(runtime.new_event()) {}

  struct Time {
    double best_us;
    double median_us;
  };

  /// What one call of enqueue() takes the device, over about `seconds`, after one to warm up; none
  /// from a device that keeps no time, which does the work twice.
  template <typename Enqueue>
  std::optional<Time> time(double seconds, const Enqueue& enqueue) {
    constexpr int kSlices = 7;
    constexpr std::int64_t kMostRepeats = std::int64_t{1} << 16;
    enqueue();
    std::int64_t repeats = 1;
    std::optional<double> slice_us = time_slice(repeats, enqueue);
    while (slice_us && *slice_us < seconds * 1e6 / kSlices && repeats < kMostRepeats) {
      repeats *= 2;
      slice_us = time_slice(repeats, enqueue);
    }
    if (!slice_us) return std::nullopt;
    std::array<double, kSlices> slices_us;
    for (double& us : slices_us) {
      us = *time_slice(repeats, enqueue) / static_cast<double>(repeats);
    }
    std::sort(slices_us.begin(), slices_us.end());
    return Time{slices_us.front(), slices_us[kSlices / 2]};
  }

 private:
  template <typename Enqueue>
  std::optional<double> time_slice(std::int64_t repeats, const Enqueue& enqueue) {
    runtime_.record(stream_, *begin_);
    for (std::int64_t i = 0; i < repeats; ++i) enqueue();
    runtime_.record(stream_, *end_);
    runtime_.synchronize(stream_);
    return runtime_.elapsed_us(*begin_, *end_);
  }

  Runtime& runtime_;
  Stream& stream_;
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
};

/// measure_device().
DevicePeaks measure_peaks(const std::shared_ptr<Runtime>& runtime, double seconds);

}  // namespace prs::cuda
