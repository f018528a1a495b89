// The probe of a build without a CUDA toolkit.
#include "probe.hpp"

namespace prs::cuda {

Probe probe_devices() {
  Probe probe;
  probe.reason = "not built with CUDA";
  return probe;
}

}  // namespace prs::cuda
