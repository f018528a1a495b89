// The kernels by number, and where a world (device.hpp) keeps their addresses. C++17.
#pragma once

#include <cstdint>

#include "device/types.hpp"

namespace prs::cuda {

enum class KernelId : int {
#define PRS_CUDA_KERNEL(id, name) k##id,
#include "kernels/kernels.inc"
#undef PRS_CUDA_KERNEL
};

inline constexpr int kKernelCount = 0
#define PRS_CUDA_KERNEL(id, name) +1
#include "kernels/kernels.inc"
#undef PRS_CUDA_KERNEL
    ;

inline const char* kernel_name(KernelId id) {
  constexpr const char* kNames[] = {
#define PRS_CUDA_KERNEL(id, name) name,
#include "kernels/kernels.inc"
#undef PRS_CUDA_KERNEL
  };
  return kNames[static_cast<int>(id)];
}

struct KernelEntry {
  const void* function = nullptr;
  /// Calls the function on the host: the emulation's. Null for GPU code.
  void (*invoke)(const void* function, const void* args) = nullptr;
  std::int64_t args_bytes = 0;
};

struct KernelTable {
  KernelEntry entries[kKernelCount];

  KernelEntry& operator[](KernelId id) { return entries[static_cast<int>(id)]; }
  const KernelEntry& operator[](KernelId id) const { return entries[static_cast<int>(id)]; }
};

namespace on_device {
const KernelTable& kernel_table();
}
namespace emulated {
const KernelTable& kernel_table();
}

}  // namespace prs::cuda
