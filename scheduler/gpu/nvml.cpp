#include "gpu/nvml.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace prs::gpu {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";

// NVML's binary interface, as far as it is used here. Names and values are NVML's.

struct NvmlDevice;
using Handle = NvmlDevice*;
using Return = int;

constexpr Return kSuccess = 0;
constexpr Return kDriverNotLoaded = 9;
constexpr Return kLibRmVersionMismatch = 18;
constexpr unsigned kTemperatureGpu = 0;  // NVML_TEMPERATURE_GPU
constexpr unsigned kMigEnabled = 1;      // NVML_DEVICE_MIG_ENABLE
constexpr std::size_t kTextSize = 96;    // NVML_DEVICE_UUID_V2_BUFFER_SIZE, ..._NAME_V2_...

struct Utilization {
  unsigned gpu;
  unsigned memory;
};
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

using GetText = Return(Handle, char*, unsigned);
using GetNumber = Return(Handle, unsigned*);

struct Functions {
  // Without these nothing works; drivers since 2013 have them.
  Return (*init)() = nullptr;
  Return (*shutdown)() = nullptr;
  Return (*count)(unsigned*) = nullptr;
  Return (*handle_by_index)(unsigned, Handle*) = nullptr;
  GetText* uuid = nullptr;
  // A driver may lack these.
  const char* (*error_string)(Return) = nullptr;
  GetText* name = nullptr;
  Return (*utilization)(Handle, Utilization*) = nullptr;
  Return (*memory)(Handle, Memory*) = nullptr;
  Return (*temperature)(Handle, unsigned, unsigned*) = nullptr;
  GetNumber* power_milliwatts = nullptr;
  Return (*mig_mode)(Handle, unsigned*, unsigned*) = nullptr;
  GetNumber* max_mig_devices = nullptr;
  Return (*mig_handle_by_index)(Handle, unsigned, Handle*) = nullptr;
  GetNumber* gpu_instance = nullptr;
  GetNumber* compute_instance = nullptr;
};

struct CloseLibrary {
  void operator()(void* library) const { ::dlclose(library); }
};

/// NVML, initialised for as long as the object lives; or unusable, with the reason.
class Nvml {
 public:
  explicit Nvml(const std::string& library) : name_(library) {
    library_.reset(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
    if (!library_) {
      const char* reason = ::dlerror();
      problem_ = fmt::format("no NVIDIA driver ({})",
                             reason != nullptr ? reason : library + " cannot be loaded");
      return;
    }
    if (!load()) return;
    const Return result = functions_.init();
    if (result == kSuccess) {
      initialized_ = true;
      return;
    }
    problem_ = failure("nvmlInit_v2", result);
    if (result == kDriverNotLoaded) problem_ += ": the NVIDIA kernel module is not loaded";
    if (result == kLibRmVersionMismatch) {
      problem_ += ": the kernel module is of another version than the library; reboot";
    }
  }
  ~Nvml() {
    if (initialized_) functions_.shutdown();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  bool usable() const { return initialized_; }
  const std::string& problem() const { return problem_; }
  const Functions& operator()() const { return functions_; }

  /// "nvmlDeviceGetUUID failed with 15 (GPU is lost)".
  std::string failure(const char* function, Return result) const {
    const char* text =
        functions_.error_string != nullptr ? functions_.error_string(result) : nullptr;
    return fmt::format("{} failed with {}{}", function, result,
                       text != nullptr ? fmt::format(" ({})", text) : std::string());
  }

 private:
  template <typename Function>
  bool find(const char* symbol, Function*& function) {
    function = reinterpret_cast<Function*>(::dlsym(library_.get(), symbol));
    return function != nullptr;
  }

  template <typename Function>
  void require(const char* symbol, Function*& function) {
    if (find(symbol, function) || !problem_.empty()) return;
    problem_ = fmt::format("{} lacks {}: the NVIDIA driver is too old", name_, symbol);
  }

  bool load() {
    require("nvmlInit_v2", functions_.init);
    require("nvmlShutdown", functions_.shutdown);
    require("nvmlDeviceGetCount_v2", functions_.count);
    require("nvmlDeviceGetHandleByIndex_v2", functions_.handle_by_index);
    require("nvmlDeviceGetUUID", functions_.uuid);
    find("nvmlErrorString", functions_.error_string);
    find("nvmlDeviceGetName", functions_.name);
    find("nvmlDeviceGetUtilizationRates", functions_.utilization);
    find("nvmlDeviceGetMemoryInfo", functions_.memory);
    find("nvmlDeviceGetTemperature", functions_.temperature);
    find("nvmlDeviceGetPowerUsage", functions_.power_milliwatts);
    find("nvmlDeviceGetMigMode", functions_.mig_mode);
    find("nvmlDeviceGetMaxMigDeviceCount", functions_.max_mig_devices);
    find("nvmlDeviceGetMigDeviceHandleByIndex", functions_.mig_handle_by_index);
    find("nvmlDeviceGetGpuInstanceId", functions_.gpu_instance);
    find("nvmlDeviceGetComputeInstanceId", functions_.compute_instance);
    return problem_.empty();
  }

  std::string name_;
  std::unique_ptr<void, CloseLibrary> library_;
  Functions functions_;
  std::string problem_;
  bool initialized_ = false;
};

/// "" when the driver does not tell.
std::string text_of(GetText* get, Handle handle) {
  std::array<char, kTextSize> text{};
  if (get == nullptr || get(handle, text.data(), static_cast<unsigned>(text.size())) != kSuccess) {
    return {};
  }
  text.back() = '\0';
  return text.data();
}

std::optional<unsigned> number_of(GetNumber* get, Handle handle) {
  unsigned number = 0;
  if (get == nullptr || get(handle, &number) != kSuccess) return std::nullopt;
  return number;
}

/// The parts of a partitioned device.
std::vector<MigDevice> mig_devices(const Nvml& nvml, Handle gpu, const std::string& gpu_uuid) {
  std::vector<MigDevice> parts;
  if (nvml().mig_handle_by_index == nullptr) return parts;
  const unsigned places = number_of(nvml().max_mig_devices, gpu).value_or(0);
  for (unsigned i = 0; i < places; ++i) {
    // Places may be empty in any order.
    Handle handle = nullptr;
    if (nvml().mig_handle_by_index(gpu, i, &handle) != kSuccess) continue;
    MigDevice part{text_of(nvml().uuid, handle), {}};
    if (part.uuid.empty()) continue;
    const auto gpu_instance = number_of(nvml().gpu_instance, handle);
    const auto compute_instance = number_of(nvml().compute_instance, handle);
    if (gpu_instance && compute_instance) {
      part.old_name = fmt::format("MIG-{}/{}/{}", gpu_uuid, *gpu_instance, *compute_instance);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

/// Calls visit(index, handle) for each device; gives the first problem, or "".
template <typename Visit>
std::string for_each_device(const Nvml& nvml, const Visit& visit) {
  unsigned count = 0;
  if (const Return result = nvml().count(&count); result != kSuccess) {
    return nvml.failure("nvmlDeviceGetCount_v2", result);
  }
  if (count == 0) return "the NVIDIA driver shows no GPU";
  std::string problem;
  for (unsigned i = 0; i < count; ++i) {
    Handle handle = nullptr;
    const Return result = nvml().handle_by_index(i, &handle);
    if (result == kSuccess) {
      visit(i, handle);
    } else if (problem.empty()) {
      problem = fmt::format("GPU {} is left out: {}", i,
                            nvml.failure("nvmlDeviceGetHandleByIndex_v2", result));
    }
  }
  return problem;
}

}  // namespace

DriverReport query_driver() { return query_driver_from(kLibrary); }

DriverReport query_driver_from(const std::string& library) {
  const Nvml nvml(library);
  if (!nvml.usable()) return {{}, nvml.problem()};
  DriverReport report;
  std::string unnamed;
  report.problem = for_each_device(nvml, [&](unsigned index, Handle handle) {
    Device device;
    device.uuid = text_of(nvml().uuid, handle);
    if (device.uuid.empty()) {
      unnamed = fmt::format("GPU {} is left out: the driver does not tell its UUID", index);
      return;
    }
    device.name = text_of(nvml().name, handle);
    unsigned mode = 0;
    unsigned pending = 0;
    if (nvml().mig_mode != nullptr && nvml().mig_mode(handle, &mode, &pending) == kSuccess) {
      device.mig_mode = mode == kMigEnabled;
    }
    if (device.mig_mode) device.mig_devices = mig_devices(nvml, handle, device.uuid);
    report.devices.push_back(std::move(device));
  });
  if (report.problem.empty()) report.problem = unnamed;
  return report;
}

std::vector<Usage> query_usage() { return query_usage_from(kLibrary); }

std::vector<Usage> query_usage_from(const std::string& library) {
  const Nvml nvml(library);
  std::vector<Usage> all;
  if (!nvml.usable()) return all;
  constexpr double kBytesPerMb = 1024.0 * 1024.0;
  for_each_device(nvml, [&nvml, &all](unsigned index, Handle handle) {
    Usage usage;
    usage.index = static_cast<int>(index);
    Utilization utilization{};
    if (nvml().utilization != nullptr && nvml().utilization(handle, &utilization) == kSuccess) {
      usage.utilization_percent = utilization.gpu;
    }
    Memory memory{};
    if (nvml().memory != nullptr && nvml().memory(handle, &memory) == kSuccess) {
      usage.memory_used_mb = static_cast<double>(memory.used) / kBytesPerMb;
      usage.memory_total_mb = static_cast<double>(memory.total) / kBytesPerMb;
    }
    unsigned temperature = 0;
    if (nvml().temperature != nullptr &&
        nvml().temperature(handle, kTemperatureGpu, &temperature) == kSuccess) {
      usage.temperature_c = temperature;
    }
    if (const auto milliwatts = number_of(nvml().power_milliwatts, handle)) {
      usage.power_w = *milliwatts / 1000.0;
    }
    all.push_back(usage);
  });
  return all;
}

}  // namespace prs::gpu
