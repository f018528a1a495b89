// gpu_status(): the probe's findings as one line.
#include <fmt/format.h>

#include "probe.hpp"
#include "prs/version.hpp"

namespace prs {

std::string gpu_status() {
  const cuda::Probe probe = cuda::probe_devices();
  if (probe.devices.empty()) return "none: " + probe.reason;
  std::string text;
  for (std::size_t index = 0; index < probe.devices.size(); ++index) {
    const cuda::DeviceInfo& device = probe.devices[index];
    constexpr double kBytesPerGib = 1024.0 * 1024.0 * 1024.0;
    text +=
        fmt::format("{}cuda:{} {} (compute capability {}.{}, {:.1f} GiB)", index == 0 ? "" : "; ",
                    index, device.name, device.compute_major, device.compute_minor,
                    static_cast<double>(device.memory_bytes) / kBytesPerGib);
  }
  return text;
}

}  // namespace prs
