// Measuring a device: on the emulation, which keeps no time, for what is done; with a clock whose
// every entry is known, for the units.
#include "backend/measure.hpp"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "graph/infer.hpp"
#include "kernels/args.hpp"
#include "onnx/importer.hpp"
#include "support/sample_models.hpp"
#include "unit/cuda/parity_support.hpp"

namespace prs::test {
namespace {

/// Takes what it is given as done: a copy at 10 bytes a nanosecond, a launch in 2 us.
class ClockedRuntime : public cuda::Runtime {
 public:
  static constexpr double kLaunchUs = 2.0;

  std::string device() const override { return "cuda:clocked"; }
  const cuda::DeviceLimits& limits() const override { return limits_; }
  void* allocate(std::int64_t bytes) override { return memory_->allocate(bytes); }
  void free(void* memory) noexcept override { memory_->free(memory); }
  void* allocate_host(std::int64_t bytes) override { return memory_->allocate_host(bytes); }
  void free_host(void* memory) noexcept override { memory_->free_host(memory); }
  std::unique_ptr<cuda::Stream> new_stream() override { return memory_->new_stream(); }
  void copy_to_device(cuda::Stream&, void*, const void*, std::int64_t bytes) override {
    copy(bytes);
  }
  void copy_to_host(cuda::Stream&, void*, const void*, std::int64_t bytes) override { copy(bytes); }
  void copy_on_device(cuda::Stream&, void*, const void*, std::int64_t bytes) override {
    copy(bytes);
  }
  void launch(cuda::Stream&, const cuda::Launch&) override { now_us_ += kLaunchUs; }
  void begin_recording(cuda::Stream&) override { recorded_from_us_ = now_us_; }
  std::unique_ptr<cuda::Recording> end_recording(cuda::Stream&) override {
    auto recording = std::make_unique<Recorded>();
    recording->us = now_us_ - recorded_from_us_;
    now_us_ = recorded_from_us_;
    return recording;
  }
  void start(cuda::Stream&, const cuda::Recording& recording) override {
    now_us_ += static_cast<const Recorded&>(recording).us;
  }
  void synchronize(cuda::Stream&) override {}
  std::unique_ptr<cuda::Event> new_event() override { return std::make_unique<Moment>(); }
  void record(cuda::Stream&, cuda::Event& event) override {
    static_cast<Moment&>(event).us = now_us_;
  }
  std::optional<double> elapsed_us(const cuda::Event& from, const cuda::Event& to) override {
    return static_cast<const Moment&>(to).us - static_cast<const Moment&>(from).us;
  }

 private:
  struct Moment : cuda::Event {
    double us = 0.0;
  };
  struct Recorded : cuda::Recording {
    double us = 0.0;
  };
  void copy(std::int64_t bytes) { now_us_ += static_cast<double>(bytes) / 1e4; }

  std::shared_ptr<cuda::emulated::EmulatedRuntime> memory_ = cuda::emulated::make_runtime();
  cuda::DeviceLimits limits_;
  double now_us_ = 0.0;
  double recorded_from_us_ = 0.0;
};

TEST(CudaMeasure, RatesAreInTheirUnits) {
  const auto runtime = std::make_shared<ClockedRuntime>();
  const DevicePeaks peaks = cuda::measure_peaks(runtime, 1e-3);
  EXPECT_TRUE(peaks.keeps_time);
  EXPECT_NEAR(peaks.to_device_gb_s.value(), 10.0, 1e-6);
  EXPECT_NEAR(peaks.to_host_gb_s.value(), 10.0, 1e-6);
  EXPECT_NEAR(peaks.copy_gb_s.value(), 20.0, 1e-6);  // Read and written.
  EXPECT_NEAR(peaks.launch_us.value(), ClockedRuntime::kLaunchUs, 1e-6);
  EXPECT_GT(peaks.round_trip_us.value(), 0.0);
  ASSERT_EQ(peaks.operations.size(), 5U);
  // By warp and round: an FMA a lane and sum, or a product m16n8 by the instruction's depth.
  const double rounds_per_us = 4.0 * 8 * 8 * 4096 / ClockedRuntime::kLaunchUs;
  const double per_round[] = {2.0 * 32, 2.0 * 16 * 8 * 8, 2.0 * 16 * 8 * 16, 2.0 * 16 * 8 * 16,
                              2.0 * 16 * 8 * 32};
  for (std::size_t i = 0; i < 5; ++i) {
    const double want = rounds_per_us * per_round[i] / 1e3;
    EXPECT_NEAR(peaks.operations[i].giga_per_s.value(), want, 1e-9 * want)
        << precision_name(peaks.operations[i].precision);
  }
}

TEST(CudaMeasure, TheEmulationKeepsNoTimeAndLeavesNothingBehind) {
  const auto runtime = cuda::emulated::make_runtime();
  const DevicePeaks peaks = cuda::measure_peaks(runtime, 0.0);
  EXPECT_FALSE(peaks.keeps_time);
  EXPECT_FALSE(peaks.to_device_gb_s || peaks.to_host_gb_s || peaks.copy_gb_s || peaks.launch_us ||
               peaks.round_trip_us);
  ASSERT_EQ(peaks.operations.size(), 5U);
  for (const auto& one : peaks.operations) EXPECT_FALSE(one.giga_per_s);
  EXPECT_EQ(runtime->counts().live, 0);

  cuda::DeviceLimits limits;
  limits.compute_capability = 75;
  const auto old = cuda::emulated::make_runtime({}, limits);
  ASSERT_EQ(cuda::measure_peaks(old, 0.0).operations.size(), 1U);
}

/// The sample's small network, compiled on `runtime`, and what its steps take.
RunProfile profile_of_convnet(const std::shared_ptr<cuda::Runtime>& runtime) {
  const auto models = sample_models();
  const auto sample = std::find_if(models.begin(), models.end(),
                                   [](const auto& model) { return model.first == "convnet"; });
  Graph graph = onnx::import_bytes(sample->second, sample->first, {}).graph;
  std::vector<InputBinding> bindings;
  std::vector<Tensor> inputs;
  std::vector<const void*> pointers;
  for (const GraphPort& port : graph.inputs) {
    Shape shape;
    for (const DeclaredDim& dim : *port.dims) shape.push_back(dim.extent.value_or(2));
    std::mt19937_64 random(1);
    inputs.push_back(random_tensor(port.dtype, shape, random));
    bindings.push_back({port.dtype, shape, nullptr});
  }
  for (const Tensor& input : inputs) pointers.push_back(input.data());
  infer_and_fold(graph, bindings, std::int64_t{1} << 20);
  const auto backend = cuda::make_backend(runtime);
  const auto executable = backend->compile(graph, {});
  const auto context = executable->new_context();
  RunProfile profile = executable->profile(*context, pointers, 1e-4);
  EXPECT_EQ(profile.steps.size(), executable->steps().size());
  for (std::size_t i = 0; i < profile.steps.size(); ++i) {
    EXPECT_EQ(profile.steps[i].step.kernel, executable->steps()[i].kernel);
    EXPECT_GT(profile.steps[i].bytes, 0.0);
  }
  return profile;
}

TEST(CudaMeasure, EveryStepOfAPlanIsTimedByItself) {
  const RunProfile clocked = profile_of_convnet(std::make_shared<ClockedRuntime>());
  double sum_us = 0.0;
  for (const StepProfile& step : clocked.steps) {
    EXPECT_NEAR(step.time_us.value(), ClockedRuntime::kLaunchUs, 1e-6) << step.step.kernel;
    sum_us += *step.time_us;
  }
  EXPECT_NEAR(clocked.resident_us.value(), sum_us, 1e-6);

  const RunProfile emulated = profile_of_convnet(cuda::emulated::make_runtime());
  EXPECT_EQ(emulated.steps.size(), clocked.steps.size());
  EXPECT_FALSE(emulated.resident_us);
  for (const StepProfile& step : emulated.steps) EXPECT_FALSE(step.time_us);
}

/// What the kernels are said to compute they do compute.
TEST(CudaKernels, PeaksMultiplyAsOftenAsTheyAreCountedFor) {
  const auto runtime = make_test_runtime({});
  const auto stream = runtime->new_stream();
  struct Case {
    cuda::KernelId kernel;
    std::uint32_t ones;
    float depth;  ///< What a round adds to each element of a sum.
  };
  constexpr std::int64_t kBytes = cuda::kThreads * sizeof(float);
  constexpr std::int64_t kRounds = 3;
  void* const device = runtime->allocate(kBytes);
  void* const host = runtime->allocate_host(kBytes);
  cuda::PeakArgs args{static_cast<float*>(device), kRounds, 0.5F, 0};
  const auto sums = [&](cuda::KernelId kernel) {
    runtime->launch(*stream, {kernel, {1, 1, 1}, {cuda::kThreads, 1, 1}, 0, &args, sizeof args});
    runtime->copy_to_host(*stream, host, device, kBytes);
    runtime->synchronize(*stream);
    const auto* first = static_cast<const float*>(host);
    return std::vector<float>(first, first + cuda::kThreads);
  };
  // The sums begin with 0 to 7.
  float fma = 0.0F;
  for (int j = 0; j < cuda::kPeakSums; ++j) {
    auto sum = static_cast<float>(j);
    for (std::int64_t round = 0; round < kRounds; ++round) sum = sum * 0.5F + 0.5F;
    fma += sum;
  }
  EXPECT_EQ(sums(cuda::KernelId::kPeakF32), std::vector<float>(cuda::kThreads, fma));
  for (const Case& test : {Case{cuda::KernelId::kPeakTf32, 0x3F800000, 8},
                           Case{cuda::KernelId::kPeakBf16, 0x3F803F80, 16},
                           Case{cuda::KernelId::kPeakF16, 0x3C003C00, 16},
                           Case{cuda::KernelId::kPeakU8S8, 0x01010101, 32}}) {
    args.operand = test.ones;
    const float want = 4.0F * (28.0F + 8.0F * kRounds * test.depth);
    EXPECT_EQ(sums(test.kernel), std::vector<float>(cuda::kThreads, want))
        << cuda::kernel_name(test.kernel);
  }
  runtime->free(device);
  runtime->free_host(host);
}

TEST(CudaMeasure, WgmmaCountsWhereADeviceHasIt) {
  const cuda::DeviceLimits limits = hopper(1);
  const auto emulated = cuda::emulated::make_runtime({}, limits);
  EXPECT_EQ(cuda::measure_peaks(emulated, 0.0).operations.size(), 5U);
  const std::shared_ptr<cuda::Runtime> runtime = make_test_runtime({}, launchable(limits));
  if (!runtime->limits().sm_90a) return;
  const auto stream = runtime->new_stream();
  constexpr std::int64_t kBytes = cuda::kThreads * sizeof(float);
  void* const device = runtime->allocate(kBytes);
  void* const host = runtime->allocate_host(kBytes);
  cuda::PeakArgs args{static_cast<float*>(device), 3, 0.5F, 0};
  struct Case {
    cuda::KernelId kernel;
    std::uint32_t ones;
    float depth;  ///< Products of an instruction.
  };
  for (const auto& [kernel, ones, depth] : {Case{cuda::KernelId::kPeakBf16Wgmma, 0x3F803F80, 16},
                                            Case{cuda::KernelId::kPeakF16Wgmma, 0x3C003C00, 16},
                                            Case{cuda::KernelId::kPeakU8S8Wgmma, 0x01010101, 32}}) {
    args.operand = ones;
    runtime->launch(
        *stream,
        {kernel, {1, 1, 1}, {cuda::kThreads, 1, 1}, cuda::kPeakTileBytes, &args, sizeof args});
    runtime->copy_to_host(*stream, host, device, kBytes);
    runtime->synchronize(*stream);
    const auto* first = static_cast<const float*>(host);
    // 128 sums of a thread, each of 3 rounds of 8 products.
    EXPECT_EQ(std::vector<float>(first, first + cuda::kThreads),
              std::vector<float>(cuda::kThreads, 128.0F * 3 * cuda::kPeakSums * depth))
        << cuda::kernel_name(kernel);
  }
  runtime->free(device);
  runtime->free_host(host);
}

}  // namespace
}  // namespace prs::test
