// What a build without a CUDA toolkit answers.
#include "probe.hpp"
#include "prs/error.hpp"
#include "runtime.hpp"

namespace prs::cuda {

Probe probe_devices() {
  Probe probe;
  probe.reason = "not built with CUDA";
  return probe;
}

std::shared_ptr<Runtime> open_device(int) {
  throw Error(ErrorCode::kUnavailable, probe_devices().reason);
}

}  // namespace prs::cuda
