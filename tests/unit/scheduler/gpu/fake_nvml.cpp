// A libnvidia-ml.so.1 that answers from memory. The edition FAKE_NVML_OLD lacks a function.
#include "fake_nvml.hpp"

#include <cstring>

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using prs::test::FakeDevice;

constexpr int kSuccess = 0;
constexpr int kInvalidArgument = 2;
constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;

prs::test::FakeNvml g_state;

int copy_text(const std::string& text, char* buffer, unsigned size) {
  if (text.empty()) return kNotSupported;
  if (text.size() + 1 > size) return kInsufficientSize;
  std::memcpy(buffer, text.c_str(), text.size() + 1);
  return kSuccess;
}

template <typename T>
int copy_number(const std::optional<T>& number, T* result) {
  if (!number) return kNotSupported;
  *result = *number;
  return kSuccess;
}

struct Utilization {
  unsigned gpu;
  unsigned memory;
};
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

}  // namespace

FAKE_EXPORT prs::test::FakeNvml* fake_nvml_state() { return &g_state; }

FAKE_EXPORT int nvmlInit_v2() {
  if (g_state.init_result == kSuccess) ++g_state.initialized;
  return g_state.init_result;
}
FAKE_EXPORT int nvmlShutdown() {
  --g_state.initialized;
  return kSuccess;
}
FAKE_EXPORT const char* nvmlErrorString(int result) {
  switch (result) {
    case 9:
      return "Driver Not Loaded";
    case 15:
      return "GPU is lost";
    case 18:
      return "Driver/library version mismatch";
    default:
      return "Unknown Error";
  }
}
#if !defined(FAKE_NVML_OLD)
FAKE_EXPORT int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(g_state.devices.size());
  return g_state.count_result;
}
#endif
FAKE_EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, FakeDevice** handle) {
  if (index >= g_state.devices.size()) return kInvalidArgument;
  *handle = &g_state.devices[index];
  return g_state.devices[index].handle_result;
}
FAKE_EXPORT int nvmlDeviceGetUUID(FakeDevice* device, char* buffer, unsigned size) {
  return copy_text(device->uuid, buffer, size);
}
FAKE_EXPORT int nvmlDeviceGetName(FakeDevice* device, char* buffer, unsigned size) {
  return copy_text(device->name, buffer, size);
}
FAKE_EXPORT int nvmlDeviceGetMigMode(FakeDevice* device, unsigned* current, unsigned* pending) {
  *pending = device->mig_mode.value_or(0);
  return copy_number(device->mig_mode, current);
}
FAKE_EXPORT int nvmlDeviceGetMaxMigDeviceCount(FakeDevice* device, unsigned* count) {
  *count = static_cast<unsigned>(device->mig_devices.size());
  return kSuccess;
}
FAKE_EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(FakeDevice* device, unsigned index,
                                                    FakeDevice** handle) {
  if (index >= device->mig_devices.size()) return kInvalidArgument;
  if (device->mig_devices[index].uuid.empty()) return kNotFound;
  *handle = &device->mig_devices[index];
  return kSuccess;
}
FAKE_EXPORT int nvmlDeviceGetGpuInstanceId(FakeDevice* device, unsigned* id) {
  *id = device->gpu_instance;
  return kSuccess;
}
FAKE_EXPORT int nvmlDeviceGetComputeInstanceId(FakeDevice* device, unsigned* id) {
  *id = device->compute_instance;
  return kSuccess;
}
FAKE_EXPORT int nvmlDeviceGetUtilizationRates(FakeDevice* device, Utilization* utilization) {
  utilization->memory = 0;
  return copy_number(device->utilization, &utilization->gpu);
}
FAKE_EXPORT int nvmlDeviceGetMemoryInfo(FakeDevice* device, Memory* memory) {
  memory->total = device->memory_total;
  memory->free = device->memory_total - device->memory_used.value_or(0);
  return copy_number(device->memory_used, &memory->used);
}
FAKE_EXPORT int nvmlDeviceGetTemperature(FakeDevice* device, unsigned sensor, unsigned* celsius) {
  return sensor == 0 ? copy_number(device->temperature, celsius) : kInvalidArgument;
}
FAKE_EXPORT int nvmlDeviceGetPowerUsage(FakeDevice* device, unsigned* milliwatts) {
  return copy_number(device->milliwatts, milliwatts);
}
