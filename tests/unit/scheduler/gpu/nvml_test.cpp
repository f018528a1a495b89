// The driver's report through a real library that is loaded at run time: a fake libnvidia-ml.so.1.
#include "gpu/nvml.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "fake_nvml.hpp"

namespace prs::gpu {
namespace {

using test::FakeDevice;
using test::FakeNvml;

class Nvml : public ::testing::Test {
 protected:
  // Held open, so that its state outlives each call of the code under test.
  void SetUp() override {
    library_ = ::dlopen(FAKE_NVML, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << ::dlerror();
    auto* state = reinterpret_cast<FakeNvml* (*)()>(::dlsym(library_, "fake_nvml_state"));
    ASSERT_NE(state, nullptr);
    fake_ = state();
    *fake_ = {};
  }
  void TearDown() override {
    if (library_ == nullptr) return;
    EXPECT_EQ(fake_->initialized, 0) << "nvmlShutdown was not called";
    ::dlclose(library_);
  }

  FakeNvml* fake_ = nullptr;
  void* library_ = nullptr;
};

TEST_F(Nvml, G1_ReportsTheDevicesInTheDriversOrder) {
  fake_->devices = {{.uuid = "GPU-aaaa", .name = "H200"}, {.uuid = "GPU-bbbb", .name = "L4"}};
  const DriverReport report = query_driver_from(FAKE_NVML);
  EXPECT_EQ(report.problem, "");
  ASSERT_EQ(report.devices.size(), 2U);
  EXPECT_EQ(report.devices[0].uuid, "GPU-aaaa");
  EXPECT_EQ(report.devices[0].name, "H200");
  EXPECT_FALSE(report.devices[0].mig_mode);
  EXPECT_EQ(report.devices[1].uuid, "GPU-bbbb");
}

// The library that is loaded already has the SONAME which the default asks for.
TEST_F(Nvml, TheDefaultIsTheDriversLibrary) {
  fake_->devices = {{.uuid = "GPU-aaaa"}};
  EXPECT_EQ(query_driver().devices.size(), 1U);
  const std::function<std::vector<Usage>()> as_the_monitor_calls_it = query_usage;
  EXPECT_EQ(as_the_monitor_calls_it().size(), 1U);
}

TEST_F(Nvml, G6_ReportsMigDevicesByBothNames) {
  FakeDevice gpu{.uuid = "GPU-aaaa", .name = "H200", .mig_mode = 1};
  gpu.mig_devices = {{.uuid = "MIG-1111", .gpu_instance = 7},
                     {.uuid = ""},
                     {.uuid = "MIG-2222", .gpu_instance = 8, .compute_instance = 1}};
  fake_->devices = {gpu, {.uuid = "GPU-bbbb", .mig_mode = 0}};
  const DriverReport report = query_driver_from(FAKE_NVML);
  ASSERT_EQ(report.devices.size(), 2U);
  EXPECT_TRUE(report.devices[0].mig_mode);
  ASSERT_EQ(report.devices[0].mig_devices.size(), 2U) << "an empty place is no device";
  EXPECT_EQ(report.devices[0].mig_devices[0].uuid, "MIG-1111");
  EXPECT_EQ(report.devices[0].mig_devices[0].old_name, "MIG-GPU-aaaa/7/0");
  EXPECT_EQ(report.devices[0].mig_devices[1].uuid, "MIG-2222");
  EXPECT_EQ(report.devices[0].mig_devices[1].old_name, "MIG-GPU-aaaa/8/1");
  EXPECT_FALSE(report.devices[1].mig_mode);
}

TEST_F(Nvml, ADeviceThatIsLostIsLeftOutAndTold) {
  fake_->devices = {{.uuid = "GPU-aaaa", .handle_result = 15}, {.uuid = "GPU-bbbb"}};
  const DriverReport report = query_driver_from(FAKE_NVML);
  ASSERT_EQ(report.devices.size(), 1U);
  EXPECT_EQ(report.devices[0].uuid, "GPU-bbbb");
  EXPECT_EQ(report.problem,
            "GPU 0 is left out: nvmlDeviceGetHandleByIndex_v2 failed with 15 (GPU is lost)");
  ASSERT_EQ(query_usage_from(FAKE_NVML).size(), 1U);
  EXPECT_EQ(query_usage_from(FAKE_NVML)[0].index, 1) << "as nvidia-smi counts";
}

TEST_F(Nvml, ADeviceWithoutUuidIsLeftOutAndTold) {
  fake_->devices = {{.uuid = "GPU-aaaa"}, {.uuid = ""}};
  const DriverReport report = query_driver_from(FAKE_NVML);
  EXPECT_EQ(report.devices.size(), 1U);
  EXPECT_EQ(report.problem, "GPU 1 is left out: the driver does not tell its UUID");
}

TEST_F(Nvml, ADriverWithoutGpusIsAProblemInOneLine) {
  EXPECT_EQ(query_driver_from(FAKE_NVML).problem, "the NVIDIA driver shows no GPU");
  fake_->count_result = 999;
  EXPECT_EQ(query_driver_from(FAKE_NVML).problem,
            "nvmlDeviceGetCount_v2 failed with 999 (Unknown Error)");
}

TEST_F(Nvml, AKernelModuleThatIsNotLoadedIsAProblemInOneLine) {
  fake_->devices = {{.uuid = "GPU-aaaa"}};
  fake_->init_result = 9;
  const DriverReport report = query_driver_from(FAKE_NVML);
  EXPECT_TRUE(report.devices.empty());
  EXPECT_EQ(report.problem,
            "nvmlInit_v2 failed with 9 (Driver Not Loaded): the NVIDIA kernel module is not "
            "loaded");
  EXPECT_TRUE(query_usage_from(FAKE_NVML).empty());
}

TEST_F(Nvml, AVersionMismatchTellsTheFix) {
  fake_->init_result = 18;
  EXPECT_EQ(query_driver_from(FAKE_NVML).problem,
            "nvmlInit_v2 failed with 18 (Driver/library version mismatch): the kernel module is of "
            "another version than the library; reboot");
}

TEST_F(Nvml, ALibraryThatLacksAFunctionIsNotUsed) {
  EXPECT_EQ(query_driver_from(FAKE_NVML_OLD).problem,
            FAKE_NVML_OLD " lacks nvmlDeviceGetCount_v2: the NVIDIA driver is too old");
  EXPECT_TRUE(query_usage_from(FAKE_NVML_OLD).empty());
}

TEST_F(Nvml, G1_NoDriverIsAProblemInOneLine) {
  const DriverReport report = query_driver_from("libprs-no-such-driver.so.1");
  EXPECT_TRUE(report.devices.empty());
  EXPECT_TRUE(report.problem.starts_with("no NVIDIA driver (libprs-no-such-driver.so.1: "))
      << report.problem;
  EXPECT_EQ(report.problem.find('\n'), std::string::npos);
  EXPECT_TRUE(query_usage_from("libprs-no-such-driver.so.1").empty());
}

TEST_F(Nvml, M1_UsageIsInPercentMegabytesDegreesAndWatts) {
  fake_->devices = {{.uuid = "GPU-aaaa",
                     .utilization = 87,
                     .memory_used = 3ULL << 29,
                     .memory_total = 141ULL << 30,
                     .temperature = 61,
                     .milliwatts = 345'678}};
  const std::vector<Usage> usage = query_usage_from(FAKE_NVML);
  ASSERT_EQ(usage.size(), 1U);
  EXPECT_EQ(usage[0].index, 0);
  EXPECT_EQ(usage[0].utilization_percent, 87);
  EXPECT_EQ(usage[0].memory_used_mb, 1536);
  EXPECT_EQ(usage[0].memory_total_mb, 141 * 1024);
  EXPECT_EQ(usage[0].temperature_c, 61);
  EXPECT_DOUBLE_EQ(usage[0].power_w, 345.678);
}

TEST_F(Nvml, M1_WhatTheDriverDoesNotTellIsMinusOne) {
  fake_->devices = {{.uuid = "GPU-aaaa"}};
  const std::vector<Usage> usage = query_usage_from(FAKE_NVML);
  ASSERT_EQ(usage.size(), 1U);
  EXPECT_EQ(usage[0].utilization_percent, -1);
  EXPECT_EQ(usage[0].memory_used_mb, -1);
  EXPECT_EQ(usage[0].memory_total_mb, -1);
  EXPECT_EQ(usage[0].temperature_c, -1);
  EXPECT_EQ(usage[0].power_w, -1);
}

// Only a worker may hold a device, and only after its CUDA_VISIBLE_DEVICES is set.
TEST_F(Nvml, G7_AskingTheDriverLoadsNoCudaLibrary) {
  fake_->devices = {{.uuid = "GPU-aaaa"}};
  query_driver_from(FAKE_NVML);
  query_usage_from(FAKE_NVML);
  EXPECT_EQ(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), nullptr);
}

}  // namespace
}  // namespace prs::gpu
