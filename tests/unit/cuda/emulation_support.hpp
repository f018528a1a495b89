// Runs small kernels, written as lambdas of the test, under the emulation.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "device/device.hpp"
#include "emulation/execution.hpp"
#include "prs/error.hpp"

namespace prs::cuda::emulated {

inline constexpr Schedule kSchedules[] = {
    {Order::kAscending, 0}, {Order::kDescending, 0}, {Order::kShuffled, 1}, {Order::kShuffled, 2}};

struct Shape {
  Dim3 grid;
  Dim3 block;
  std::int64_t dynamic_shared_bytes = 0;
};

/// Runs `kernel()` in every thread.
template <typename Kernel>
void run(const Shape& shape, const Kernel& kernel, const Schedule& schedule = {}) {
  KernelCall call;
  call.name = "test_kernel";
  call.function = &kernel;
  call.invoke = [](const void* function, const void*) {
    (*static_cast<const Kernel*>(function))();
  };
  call.grid = shape.grid;
  call.block = shape.block;
  call.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  execute(call, schedule, DeviceLimits{});
}

/// Under every schedule.
template <typename Kernel>
void run_all(const Shape& shape, const Kernel& kernel) {
  for (const Schedule& schedule : kSchedules) run(shape, kernel, schedule);
}

/// The error that every schedule must end with; its message must hold all of `parts`.
template <typename Kernel>
void expect_detected(const Shape& shape, const Kernel& kernel,
                     std::initializer_list<const char*> parts) {
  for (const Schedule& schedule : kSchedules) {
    try {
      run(shape, kernel, schedule);
      ADD_FAILURE() << "nothing was detected";
    } catch (const Error& error) {
      for (const char* part : parts) {
        EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
      }
    }
  }
}

}  // namespace prs::cuda::emulated
