#include "backend/measure.hpp"

#include <chrono>
#include <vector>

#include "backend/memory.hpp"
#include "kernels/args.hpp"

namespace prs::cuda {
namespace {

constexpr std::int64_t kCopyBytes = std::int64_t{64} << 20;  ///< Beyond any cache.
constexpr std::int64_t kRounds = 4096;                       ///< Far longer than a launch takes.

struct PeakKernel {
  Precision precision;
  KernelId kernel;
  std::uint32_t operand;     ///< Ones in the kernel's element type.
  double operations;         ///< Of one sum of a warp, a round.
  int least_capability = 0;  ///< 10 * major + minor.
  bool sm_90a = false;       ///< wgmma.
};

constexpr PeakKernel kPeakKernels[] = {
    {Precision::kFp32, KernelId::kPeakF32, 0, 2.0 * kWarpSize},
    {Precision::kTf32, KernelId::kPeakTf32, 0x3F800000, 2.0 * 16 * 8 * 8, kTensorCores},
    {Precision::kBf16, KernelId::kPeakBf16, 0x3F803F80, 2.0 * 16 * 8 * 16, kTensorCores},
    {Precision::kFp16, KernelId::kPeakF16, 0x3C003C00, 2.0 * 16 * 8 * 16, kTensorCores},
    {Precision::kBf16, KernelId::kPeakBf16Wgmma, 0x3F803F80, 2.0 * 16 * 256 * 16, 90, true},
    {Precision::kFp16, KernelId::kPeakF16Wgmma, 0x3C003C00, 2.0 * 16 * 256 * 16, 90, true},
    {Precision::kInt8, KernelId::kPeakU8S8, 0x01010101, 2.0 * 16 * 8 * 32, kTensorCores},
    {Precision::kInt8, KernelId::kPeakU8S8Wgmma, 0x01010101, 2.0 * 16 * 256 * 32, 90, true},
};

std::optional<double> per_us(double amount, const std::optional<DeviceTimer::Time>& time) {
  if (!time) return std::nullopt;
  return amount / time->best_us;
}

/// From the launch until the host has waited for it: the median of some.
double round_trip_us(Runtime& runtime, Stream& stream, const Launch& launch) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times_us(201);
  for (double& us : times_us) {
    const Clock::time_point begin = Clock::now();
    runtime.launch(stream, launch);
    runtime.synchronize(stream);
    us = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  }
  std::nth_element(times_us.begin(), times_us.begin() + 100, times_us.end());
  return times_us[100];
}

}  // namespace

DevicePeaks measure_peaks(const std::shared_ptr<Runtime>& runtime, double seconds) {
  const auto device = std::make_shared<MemoryPool>(runtime, MemoryPool::Kind::kDevice);
  const auto pinned = std::make_shared<MemoryPool>(runtime, MemoryPool::Kind::kPinned);
  const std::unique_ptr<Stream> stream = runtime->new_stream();
  DeviceTimer timer(*runtime, *stream);
  DevicePeaks peaks;
  peaks.device = runtime->device();
  {
    const Buffer host(pinned, kCopyBytes);
    const Buffer from(device, kCopyBytes);
    const Buffer to(device, kCopyBytes);
    const double gigabytes_us = static_cast<double>(kCopyBytes) / 1e3;
    peaks.to_device_gb_s = per_us(gigabytes_us, timer.time(seconds, [&] {
      runtime->copy_to_device(*stream, from.data(), host.data(), kCopyBytes);
    }));
    peaks.to_host_gb_s = per_us(gigabytes_us, timer.time(seconds, [&] {
      runtime->copy_to_host(*stream, host.data(), from.data(), kCopyBytes);
    }));
    peaks.copy_gb_s = per_us(2.0 * gigabytes_us, timer.time(seconds, [&] {
      runtime->copy_on_device(*stream, to.data(), from.data(), kCopyBytes);
    }));
  }
  peaks.keeps_time = peaks.copy_gb_s.has_value();

  // Enough warps for every scheduler of every multiprocessor to have several.
  const auto blocks = static_cast<unsigned>(4 * runtime->limits().multiprocessors);
  const Buffer sums(device, static_cast<std::int64_t>(blocks * kThreads * sizeof(float)));
  PeakArgs args{reinterpret_cast<float*>(sums.data()), 0, 0.5F, 0};
  Launch launch{KernelId::kPeakF32, {1, 1, 1}, {kThreads, 1, 1}, 0, &args, sizeof args};
  const auto empty = timer.time(seconds, [&] { runtime->launch(*stream, launch); });
  if (empty) {
    peaks.launch_us = empty->best_us;
    peaks.round_trip_us = round_trip_us(*runtime, *stream, launch);
  }
  launch.grid.x = blocks;
  args.rounds = peaks.keeps_time ? kRounds : 1;
  for (const PeakKernel& kernel : kPeakKernels) {
    const DeviceLimits& limits = runtime->limits();
    if (limits.compute_capability < kernel.least_capability || (kernel.sm_90a && !limits.sm_90a)) {
      continue;
    }
    launch.kernel = kernel.kernel;
    launch.dynamic_shared_bytes = kernel.sm_90a ? kPeakTileBytes : 0;
    args.operand = kernel.operand;
    const double warps = static_cast<double>(blocks) * kThreads / kWarpSize;
    const double operations =
        warps * kPeakSums * static_cast<double>(args.rounds) * kernel.operations;
    const auto rate =
        per_us(operations / 1e3, timer.time(seconds, [&] { runtime->launch(*stream, launch); }));
    // Of a precision's instructions the faster one: what kernels of either could reach.
    const auto known =
        std::find_if(peaks.operations.begin(), peaks.operations.end(),
                     [&](const auto& one) { return one.precision == kernel.precision; });
    if (known == peaks.operations.end()) {
      peaks.operations.push_back({kernel.precision, rate});
    } else {
      known->giga_per_s = std::max(known->giga_per_s, rate);
    }
  }
  return peaks;
}

}  // namespace prs::cuda
