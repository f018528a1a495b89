// What a device can do at most, and how long each step of a model takes there: for `prs-gpu bench`.
//
// Times come from the device's own clock. An emulated device keeps none: then every time and rate
// is empty, and only the structure of a measurement can be seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "prs/export.hpp"
#include "prs/model.hpp"
#include "prs/precision.hpp"

namespace prs {

/// Rates that nothing on the device can exceed. Multiply and add count as two operations.
struct DevicePeaks {
  std::string device;                      ///< "cuda:0".
  bool keeps_time = true;                  ///< False: emulated.
  std::optional<double> to_device_gb_s{};  ///< From page-locked host memory.
  std::optional<double> to_host_gb_s{};    ///< To page-locked host memory.
  std::optional<double> copy_gb_s{};       ///< Within the device: bytes read plus bytes written.
  std::optional<double> launch_us{};       ///< An empty kernel behind another.
  std::optional<double> round_trip_us{};   ///< An empty kernel, until the host knows it is done.
  /// Operations in registers, FMA for fp32 and for the others the faster one of mma.sync and, of
  /// compute capability 9.0, wgmma, which a kernel of newer matrix instructions may pass; by
  /// precision, those that the device has.
  struct Operations {
    Precision precision = Precision::kFp32;
    std::optional<double> giga_per_s{};
  };
  std::vector<Operations> operations;
};

/// A step of a plan with what one run of it costs.
struct StepProfile {
  StepInfo step;
  Precision precision = Precision::kFp32;  ///< What its products are computed in.
  double flops = 0.0;
  double bytes = 0.0;  ///< From and to device memory at least; weights as the model stores them.
  std::optional<double> time_us{};  ///< Launched again and again.
};

struct RunProfile {
  std::int64_t batch = 0;  ///< Images of one run.
  std::vector<StepProfile> steps;
  std::optional<double> resident_us{};  ///< All steps; input and scores stay on the device.
};

/// Takes about 8 * `seconds`. Throws invalid argument and unavailable (no such device, with the
/// reason), unsupported for a device that is no GPU, out of memory (it takes 128 MiB there).
PRS_API DevicePeaks measure_device(const std::string& device, double seconds);

}  // namespace prs
