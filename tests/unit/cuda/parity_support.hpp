// Runs operator calls and graphs through the CUDA backend: on the emulated device or, with
// PRS_TEST_GPU=1 in the environment, on GPU 0 (scripts/gpu-check.sh). Without a GPU everything is
// skipped then; with PRS_REQUIRE_GPU=1 it fails. PRS_TEST_KERNELS=FILE: the names of the kernels
// that the tests launched.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "backend/cuda_backend.hpp"
#include "emulation/emulated_runtime.hpp"
#include "emulation/sanitizer.hpp"
#include "support/op_test.hpp"

namespace prs::test {

inline constexpr cuda::emulated::Schedule kSchedules[] = {
    {cuda::emulated::Order::kShuffled, 11},
#ifndef PRS_ASAN  // It looks for accesses out of bounds, which hang on no order, and takes long.
    {cuda::emulated::Order::kAscending, 0},
    {cuda::emulated::Order::kDescending, 0},
    {cuda::emulated::Order::kShuffled, 12},
#endif
};

/// Convolutions that differ in what their kernels have to mind.
struct ConvVariants {
  ConvParams same;       ///< 3 x 3 keeps its size.
  ConvParams strided;    ///< Unlike on both axes, dilated, padded unevenly.
  ConvParams grouped;    ///< same, in 2 groups.
  ConvParams depthwise;  ///< same, in 5.
  ConvParams cube;       ///< Three spatial axes.
};
ConvVariants conv_variants();

/// The device of these tests. A GPU knows no schedules, but takes the limits, so that kernels are
/// chosen as the test expects; what is launched needs launchable() ones.
std::shared_ptr<cuda::Runtime> make_test_runtime(const cuda::emulated::Schedule& schedule,
                                                 const cuda::DeviceLimits& limits = {});

/// `limits`, or what of them the device of these tests has.
cuda::DeviceLimits launchable(cuda::DeviceLimits limits);

/// What a block may have on compute capability 9.0.
cuda::DeviceLimits hopper(int multiprocessors);

/// Outputs start as NaN patterns, so that an element never written shows.
std::vector<Tensor> run_executable(const Executable& executable, ExecutionContext& context,
                                   const Graph& graph, const std::vector<Tensor>& inputs);

/// The kernel that the call is planned with on a device with those limits.
std::string cuda_kernel(const OpCase& test, Precision precision,
                        const cuda::DeviceLimits& limits = {});

/// The call as a graph of one node, under one schedule, twice in one context: equal bits demanded.
std::vector<Tensor> run_cuda(const OpCase& test, const cuda::emulated::Schedule& schedule,
                             Precision precision = Precision::kFp32,
                             const cuda::DeviceLimits& limits = {});

/// Reference, CPU kernels and CUDA kernels against each other, the latter with equal bits under
/// every schedule.
void expect_cuda_parity(const OpCase& test, Tolerance tolerance);

/// Reference against CUDA kernels in this precision, input 1 constant, with equal bits under every
/// schedule, on a device with those limits; returns the kernel's name.
std::string expect_device_parity(OpCase test, Precision precision, const cuda::DeviceLimits& limits,
                                 Tolerance tolerance);

/// The same on devices of compute capability 8.0, and of 9.0 with large tiles and with small ones.
void expect_precision_parity(const OpCase& test, Precision precision, Tolerance tolerance);

void expect_equal_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                       const std::string& label);

}  // namespace prs::test
