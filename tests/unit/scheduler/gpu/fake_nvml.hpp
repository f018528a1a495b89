// What the fake driver library of these tests answers; a test gets the state by
// dlsym("fake_nvml_state") and changes it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace prs::test {

struct FakeDevice {
  std::string uuid;
  std::string name = {};
  int handle_result = 0;               ///< Of nvmlDeviceGetHandleByIndex_v2.
  std::optional<unsigned> mig_mode{};  ///< Nothing: not supported.
  /// A place without uuid is empty.
  std::vector<FakeDevice> mig_devices = {};
  unsigned gpu_instance = 0;
  unsigned compute_instance = 0;
  std::optional<unsigned> utilization{};
  std::optional<unsigned long long> memory_used{};
  unsigned long long memory_total = 0;
  std::optional<unsigned> temperature{};
  std::optional<unsigned> milliwatts{};
};

struct FakeNvml {
  std::vector<FakeDevice> devices;
  int init_result = 0;
  int count_result = 0;
  int initialized = 0;  ///< nvmlInit_v2 less nvmlShutdown.
};

}  // namespace prs::test
