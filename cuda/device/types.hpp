// Plain types that kernels, plans and both runtimes share. C++17: nvcc of CUDA 11.8 compiles it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace prs::cuda {

struct Dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

/// Four floats that move as one 16-byte access.
struct alignas(16) Float4 {
  float x;
  float y;
  float z;
  float w;
};

/// IEEE binary16 and bfloat16 as they lie in memory.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

/// What the hardware takes; launches are checked against it before they are made.
struct DeviceLimits {
  unsigned threads_per_block = 1024;
  Dim3 block = {1024, 1024, 64};
  Dim3 grid = {2147483647u, 65535u, 65535u};
  std::int64_t static_shared_bytes = 48 << 10;
  /// Static and dynamic, of one block. What exceeds 48 KiB is dynamic.
  std::int64_t shared_bytes = 48 << 10;
  int multiprocessors = 1;
  std::int64_t memory_bytes = std::int64_t{1} << 30;  ///< Of the whole device.
  int compute_capability = 80;                        ///< 10 * major + minor.
  /// Runs the kernels that are compiled for sm_90a alone: compute capability 9.0, and a build that
  /// has them.
  bool sm_90a = false;
};

/// The first compute capability that the build has machine code for (cmake/PrsCuda.cmake).
inline constexpr int kLeastCapability = 75;
/// The first compute capability whose tensor cores have all that the mma kernels use.
inline constexpr int kTensorCores = 80;

inline constexpr unsigned kWarpSize = 32;
inline constexpr std::uint32_t kFullMask = 0xFFFFFFFFu;

}  // namespace prs::cuda
