// How a .cu hands its kernels to the runtimes: in each world, add(table, id, kernel).
#pragma once

#include "device/device.hpp"
#include "kernels/table.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The address is taken where the kernel is defined, so that it is the one which CUDA registers.
template <typename Args>
void add(KernelTable& table, KernelId id, void (*kernel)(Args)) {
  KernelEntry& entry = table[id];
  entry.function = reinterpret_cast<const void*>(kernel);
  entry.args_bytes = static_cast<std::int64_t>(sizeof(Args));
#ifndef __CUDACC__
  entry.invoke = [](const void* function, const void* args) {
    reinterpret_cast<void (*)(Args)>(const_cast<void*>(function))(*static_cast<const Args*>(args));
  };
#endif
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
