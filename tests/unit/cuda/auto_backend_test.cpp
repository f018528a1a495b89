// --device auto: which of two devices of known speed each batch size gets, and what is remembered.
#include "auto_backend.hpp"

#include <fstream>
#include <utility>

#include <gtest/gtest.h>

#include "prs/error.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::test {
namespace {

/// A device whose runs take `fixed_us` and `image_us` more an image, by a clock of the test's.
struct Pretended {
  const char* name;
  double fixed_us;
  double image_us;
  std::optional<ErrorCode> refusal = {};  ///< Of compiling.
  bool full = false;                      ///< A run finds no memory.
};

struct World {
  double now_us = 0.0;
  int runs = 0;
};

class PretendedExecutable : public Executable {
 public:
  PretendedExecutable(const Pretended& device, std::int64_t batch, World& world)
      : duration_us_(device.fixed_us + static_cast<double>(batch) * device.image_us),
        full_(device.full),
        world_(world),
        steps_{{"x", "Relu", "pretended", device.name, ""}} {}

  std::unique_ptr<ExecutionContext> new_context() const override {
    if (full_) throw Error(ErrorCode::kOutOfMemory, "no memory for a run");
    return std::make_unique<ExecutionContext>();
  }
  void run(ExecutionContext&, std::span<const void* const>, std::span<void* const>) const override {
    world_.now_us += duration_us_;
    ++world_.runs;
  }
  std::int64_t arena_bytes() const override { return 1; }
  std::span<const StepInfo> steps() const override { return steps_; }

 private:
  double duration_us_;
  bool full_;
  World& world_;
  std::vector<StepInfo> steps_;
};

class PretendedBackend : public Backend {
 public:
  PretendedBackend(const Pretended& device, World& world) : device_(device), world_(world) {}

  std::string name() const override { return device_.name; }
  std::span<const Precision> precisions() const override {
    static constexpr Precision kOnly[] = {Precision::kFp32};
    return kOnly;
  }
  std::unique_ptr<Executable> compile(const Graph& graph, const CompileOptions&) const override {
    if (device_.refusal) throw Error(*device_.refusal, "refused");
    const std::int64_t batch = (*graph.value(graph.inputs[0].value).shape)[0];
    return std::make_unique<PretendedExecutable>(device_, batch, world_);
  }

 private:
  Pretended device_;
  World& world_;
};

Graph relu_of(std::int64_t batch) {
  Graph graph;
  for (const char* name : {"x", "y"}) {
    Value value;
    value.name = name;
    value.dtype = DType::kFloat32;
    value.shape = Shape{batch, 4};
    graph.add_value(std::move(value));
  }
  graph.nodes.push_back({OpKind::kRelu, "relu", {}, {0}, {1}});
  graph.inputs.push_back({0, DType::kFloat32, {}});
  graph.outputs.push_back({1, DType::kFloat32, {}});
  return graph;
}

class AutoBackend : public ::testing::Test {
 protected:
  /// A launch costs 100 us, an image a tenth of the CPU's time: from 16 images on it pays.
  static constexpr Pretended kGpu{"cuda:0", 100.0, 1.0};
  static constexpr Pretended kCpu{"cpu", 0.0, 10.0};

  std::unique_ptr<Backend> make(const std::string& machine, const Pretended& gpu,
                                const Pretended& cpu) {
    return make_auto_backend(std::make_unique<PretendedBackend>(gpu, world_),
                             std::make_unique<PretendedBackend>(cpu, world_),
                             {.cache_folder = folder_.path() / "cache" / "auto",
                              .machine = machine,
                              .now_us = [this] { return world_.now_us; }});
  }
  std::unique_ptr<Executable> compile(std::int64_t batch, const std::string& machine = "one",
                                      const Pretended& gpu = kGpu, const Pretended& cpu = kCpu) {
    return make(machine, gpu, cpu)->compile(relu_of(batch), {});
  }
  std::string device(std::int64_t batch) { return compile(batch)->steps()[0].device; }

  TempDir folder_;
  World world_;
};

TEST_F(AutoBackend, EachBatchSizeRunsWhereItIsFaster) {
  EXPECT_EQ(device(1), "cpu");
  EXPECT_EQ(device(8), "cpu");
  EXPECT_EQ(device(16), "cuda:0");
  EXPECT_EQ(device(1024), "cuda:0");
  EXPECT_EQ(compile(8)->notes().back(), "auto: 108.0 us on cuda:0, 80.0 us on the CPU: the CPU");
}

TEST_F(AutoBackend, CalibratesOnceForAProcessAndTheNext) {
  const std::string first(compile(8)->notes().back());
  const int runs = world_.runs;
  EXPECT_GE(runs, 2 * 5);
  EXPECT_EQ(compile(8)->notes().back(), first);
  EXPECT_EQ(world_.runs, runs);
  // Another machine, version or shape is another question.
  compile(8, "two");
  EXPECT_GT(world_.runs, runs);
  const int more = world_.runs;
  compile(16);
  EXPECT_GT(world_.runs, more);
}

TEST_F(AutoBackend, ADamagedCacheCostsAnotherCalibration) {
  compile(8);
  const int runs = world_.runs;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "cache" / "auto")) {
    std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
    ++files;
  }
  EXPECT_EQ(files, 1);
  EXPECT_EQ(device(8), "cpu");
  EXPECT_GT(world_.runs, runs);
  // A folder that cannot be: nothing is kept, everything else works.
  std::filesystem::remove_all(folder_.path() / "cache");
  std::ofstream(folder_.path() / "cache") << "a file";
  EXPECT_EQ(device(8), "cpu");
}

TEST_F(AutoBackend, ASlowModelIsNotRunOften) {
  compile(8, "one", {"cuda:0", 1e6, 0.0}, {"cpu", 2e6, 0.0});
  EXPECT_EQ(world_.runs, 2);
}

TEST_F(AutoBackend, WithoutKernelsOnOneDeviceThereIsNothingToChoose) {
  const Pretended no_gpu{"cuda:0", 0.0, 0.0, ErrorCode::kUnsupported};
  const Pretended no_cpu{"cpu", 0.0, 0.0, ErrorCode::kUnsupported};
  EXPECT_EQ(compile(8, "one", no_gpu)->steps()[0].device, "cpu");
  EXPECT_EQ(compile(8, "one", kGpu, no_cpu)->steps()[0].device, "cuda:0");
  EXPECT_EQ(world_.runs, 0);
  EXPECT_THROW(compile(8, "one", no_gpu, no_cpu), Error);
}

TEST_F(AutoBackend, WhatTheGpuHasNoMemoryForRunsOnTheCpuAndSaysWhy) {
  const Pretended taken{"cuda:0", 0.0, 1.0, ErrorCode::kUnavailable};
  const Pretended small{"cuda:0", 0.0, 1.0, ErrorCode::kOutOfMemory};
  const Pretended full{"cuda:0", 0.0, 1.0, {}, true};
  for (const Pretended& gpu : {taken, small, full}) {
    const auto backend = make("one", gpu, kCpu);
    EXPECT_EQ(backend->name(), "cuda:0 or cpu");
    const auto chosen = backend->compile(relu_of(1024), {});
    EXPECT_EQ(chosen->steps()[0].device, "cpu");
    const std::string why = gpu.full ? "no memory for a run" : "refused";
    EXPECT_EQ(backend->problem(), "cuda:0 cannot be used: " + why);
    EXPECT_EQ(backend->name(), "cpu");
    EXPECT_EQ(chosen->notes().back(), "auto: " + backend->problem());
  }
  // Nor is an earlier decision for the GPU of any use then.
  EXPECT_EQ(device(1024), "cuda:0");
  EXPECT_EQ(compile(1024, "one", full)->steps()[0].device, "cpu");
  EXPECT_EQ(device(1024), "cuda:0");
}

TEST_F(AutoBackend, ALostGpuIsAnErrorAndSoIsNoMemoryForWhatTheCpuHasNoKernelsFor) {
  const Pretended lost{"cuda:0", 0.0, 1.0, ErrorCode::kDeviceLost};
  const Pretended small{"cuda:0", 0.0, 1.0, ErrorCode::kOutOfMemory};
  const Pretended no_cpu{"cpu", 0.0, 0.0, ErrorCode::kUnsupported};
  expect_error(ErrorCode::kDeviceLost, "refused", [&] { compile(8, "one", lost); });
  expect_error(ErrorCode::kOutOfMemory, "refused", [&] { compile(8, "one", small, no_cpu); });
}

}  // namespace
}  // namespace prs::test
