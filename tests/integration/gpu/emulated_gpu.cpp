// The one device of the test build's program: the emulation, in the place of cuda/probe.cu and
// cuda/runtime_cuda.cu. All else is the program as it is.
#include <cstdint>
#include <string>

#include "emulation/emulated_runtime.hpp"
#include "probe.hpp"
#include "prs/error.hpp"
#include "runtime.hpp"

namespace prs::cuda {
namespace {

DeviceLimits emulated_limits() {
  DeviceLimits limits;
  limits.shared_bytes = 99 << 10;  // As of compute capability 8.6.
  limits.compute_capability = 86;
  return limits;
}

}  // namespace

Probe probe_devices() {
  const DeviceLimits limits = emulated_limits();
  Probe probe;
  probe.devices.push_back({"emulated on the CPU", limits.compute_capability / 10,
                           limits.compute_capability % 10, limits.memory_bytes});
  return probe;
}

std::shared_ptr<Runtime> open_device(int index) {
  if (index != 0)
    throw Error(ErrorCode::kUnavailable, "there is no device " + std::to_string(index));
  return emulated::make_runtime({}, emulated_limits());
}

}  // namespace prs::cuda
