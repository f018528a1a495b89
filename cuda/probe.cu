// The probe of a build with CUDA. Host code only: it asks the runtime, which loads the driver when
// there is one.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <string>

#include "probe.hpp"

namespace prs::cuda {
namespace {

/// "13.0" for 13000.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string failure(const char* call, cudaError_t error) {
  return std::string(call) + ": " + cudaGetErrorName(error) + " (" + cudaGetErrorString(error) +
         ")";
}

/// Why cudaGetDeviceCount gave no device.
std::string no_device_reason(cudaError_t error, const Probe& probe) {
  switch (error) {
    case cudaErrorInsufficientDriver:
      // The runtime says this also when there is no driver at all; then the driver's version is 0.
      if (probe.driver_version == 0) return "no NVIDIA driver found";
      return "the driver is too old for CUDA " + version_text(probe.runtime_version) +
             ": it supports CUDA " + version_text(probe.driver_version);
    case cudaSuccess:
    case cudaErrorNoDevice: {
      const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
      if (visible == nullptr) return "the NVIDIA driver finds no CUDA device";
      if (*visible == '\0') return "no CUDA device is visible (CUDA_VISIBLE_DEVICES is empty)";
      return std::string("no CUDA device is visible (CUDA_VISIBLE_DEVICES=") + visible + ")";
    }
    default:
      return failure("cudaGetDeviceCount", error);
  }
}

}  // namespace

Probe probe_devices() {
  Probe probe;
  // The runtime is linked statically. cudaRuntimeGetVersion, which says the same, fails without a
  // driver in CUDA 11.8.
  probe.runtime_version = CUDART_VERSION;
  // Of a driver that is not there cudaGetDeviceCount tells, too.
  if (cudaDriverGetVersion(&probe.driver_version) != cudaSuccess) probe.driver_version = 0;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    probe.reason = no_device_reason(error, probe);
    return probe;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    if (const cudaError_t failed = cudaGetDeviceProperties(&properties, index)) {
      probe.devices.clear();
      probe.reason =
          failure(("cudaGetDeviceProperties of device " + std::to_string(index)).c_str(), failed);
      return probe;
    }
    probe.devices.push_back({properties.name, properties.major, properties.minor,
                             static_cast<std::int64_t>(properties.totalGlobalMem)});
  }
  return probe;
}

}  // namespace prs::cuda
