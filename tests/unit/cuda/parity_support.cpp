#include "unit/cuda/parity_support.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

namespace prs::test {
namespace {

bool on_gpu() { return std::getenv("PRS_TEST_GPU") != nullptr; }

/// By KernelId: launched by a test of this process.
std::array<std::atomic<bool>, cuda::kKernelCount> launched{};

class GpuEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    if (!on_gpu()) return;
    try {
      cuda::open_device(0);
    } catch (const Error& error) {
      if (std::getenv("PRS_REQUIRE_GPU") != nullptr) FAIL() << error.what();
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override {
    const char* path = std::getenv("PRS_TEST_KERNELS");
    if (path == nullptr) return;
    std::ofstream file(path);
    for (int i = 0; i < cuda::kKernelCount; ++i) {
      if (launched[static_cast<std::size_t>(i)]) {
        file << cuda::kernel_name(static_cast<cuda::KernelId>(i)) << '\n';
      }
    }
    EXPECT_TRUE(file.flush()) << path;
  }
};

[[maybe_unused]] const ::testing::Environment* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new GpuEnvironment);

/// A device that may say it has less than it has, and notes which kernels are launched.
class LimitedRuntime : public cuda::Runtime {
 public:
  LimitedRuntime(std::shared_ptr<cuda::Runtime> runtime, const cuda::DeviceLimits& limits)
      : runtime_(std::move(runtime)), limits_(limits) {}

  std::string device() const override { return runtime_->device(); }
  const cuda::DeviceLimits& limits() const override { return limits_; }
  void* allocate(std::int64_t bytes) override { return runtime_->allocate(bytes); }
  void free(void* memory) noexcept override { runtime_->free(memory); }
  void* allocate_host(std::int64_t bytes) override { return runtime_->allocate_host(bytes); }
  void free_host(void* memory) noexcept override { runtime_->free_host(memory); }
  std::unique_ptr<cuda::Stream> new_stream() override { return runtime_->new_stream(); }
  void copy_to_device(cuda::Stream& stream, void* to, const void* from,
                      std::int64_t bytes) override {
    runtime_->copy_to_device(stream, to, from, bytes);
  }
  void copy_to_host(cuda::Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    runtime_->copy_to_host(stream, to, from, bytes);
  }
  void copy_on_device(cuda::Stream& stream, void* to, const void* from,
                      std::int64_t bytes) override {
    runtime_->copy_on_device(stream, to, from, bytes);
  }
  void launch(cuda::Stream& stream, const cuda::Launch& launch) override {
    launched[static_cast<std::size_t>(launch.kernel)] = true;
    runtime_->launch(stream, launch);
  }
  void begin_recording(cuda::Stream& stream) override { runtime_->begin_recording(stream); }
  std::unique_ptr<cuda::Recording> end_recording(cuda::Stream& stream) override {
    return runtime_->end_recording(stream);
  }
  void start(cuda::Stream& stream, const cuda::Recording& recording) override {
    runtime_->start(stream, recording);
  }
  void synchronize(cuda::Stream& stream) override { runtime_->synchronize(stream); }
  std::unique_ptr<cuda::Event> new_event() override { return runtime_->new_event(); }
  void record(cuda::Stream& stream, cuda::Event& event) override {
    runtime_->record(stream, event);
  }
  std::optional<double> elapsed_us(const cuda::Event& from, const cuda::Event& to) override {
    return runtime_->elapsed_us(from, to);
  }

 private:
  std::shared_ptr<cuda::Runtime> runtime_;
  cuda::DeviceLimits limits_;
};

Graph graph_of(const OpCase& test, const std::vector<TensorType>& outputs) {
  Graph graph;
  graph.source = "test";
  Node node{test.kind, "node", test.params, {}, {}};
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    const Tensor& input = test.inputs[i];
    if (input.empty()) {
      node.inputs.push_back(kNoValue);
      continue;
    }
    const bool constant = (op_def(test.kind).value_inputs >> i & 1u) != 0 ||
                          std::find(test.constant_inputs.begin(), test.constant_inputs.end(), i) !=
                              test.constant_inputs.end();
    if (constant) {
      node.inputs.push_back(graph.add_constant("constant", input));
      continue;
    }
    Value value;
    value.name = "input";
    value.dtype = input.dtype();
    value.shape = input.shape();
    node.inputs.push_back(graph.add_value(value));
    graph.inputs.push_back({node.inputs.back(), input.dtype(), {}});
  }
  for (const TensorType& type : outputs) {
    Value value;
    value.name = "output";
    value.dtype = type.dtype;
    value.shape = type.shape;
    node.outputs.push_back(graph.add_value(value));
    graph.outputs.push_back({node.outputs.back(), type.dtype, {}});
  }
  graph.nodes.push_back(std::move(node));
  return graph;
}

}  // namespace

std::shared_ptr<cuda::Runtime> make_test_runtime(const cuda::emulated::Schedule& schedule,
                                                 const cuda::DeviceLimits& limits) {
  if (on_gpu()) return std::make_shared<LimitedRuntime>(cuda::open_device(0), limits);
  return std::make_shared<LimitedRuntime>(cuda::emulated::make_runtime(schedule, limits), limits);
}

cuda::DeviceLimits launchable(cuda::DeviceLimits limits) {
  if (!on_gpu()) return limits;
  const cuda::DeviceLimits device = cuda::open_device(0)->limits();
  limits.shared_bytes = std::min(limits.shared_bytes, device.shared_bytes);
  limits.compute_capability = std::min(limits.compute_capability, device.compute_capability);
  limits.sm_90a = limits.sm_90a && device.sm_90a;
  return limits;
}

cuda::DeviceLimits hopper(int multiprocessors) {
  cuda::DeviceLimits limits;
  limits.shared_bytes = 227 << 10;
  limits.multiprocessors = multiprocessors;
  limits.compute_capability = 90;
  limits.sm_90a = true;
  return limits;
}

ConvVariants conv_variants() {
  ConvVariants variants;
  variants.same.pads = {1, 1, 1, 1};
  variants.strided.strides = {2, 3};
  variants.strided.dilations = {2, 1};
  variants.strided.pads = {1, 0, 2, 1};
  variants.grouped = variants.depthwise = variants.same;
  variants.grouped.group = 2;
  variants.depthwise.group = 5;
  variants.cube.pads = {1, 0, 1, 0, 1, 1};
  return variants;
}

std::vector<Tensor> run_executable(const Executable& executable, ExecutionContext& context,
                                   const Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<const void*> in;
  for (const Tensor& input : inputs) in.push_back(input.data());
  std::vector<Tensor> outputs;
  std::vector<void*> out;
  for (const GraphPort& port : graph.outputs) {
    const Value& value = graph.value(port.value);
    outputs.emplace_back(value.dtype, *value.shape);
    std::memset(outputs.back().data(), 0xFF, static_cast<std::size_t>(outputs.back().bytes()));
    out.push_back(outputs.back().data());
  }
  executable.run(context, in, out);
  return outputs;
}

void expect_equal_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                       const std::string& label) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].bytes(), want[i].bytes());
    EXPECT_EQ(0,
              std::memcmp(got[i].data(), want[i].data(), static_cast<std::size_t>(got[i].bytes())))
        << label << ": output " << i << " differs in bits";
  }
}

std::string cuda_kernel(const OpCase& test, Precision precision, const cuda::DeviceLimits& limits) {
  const auto backend = cuda::make_backend(make_test_runtime({}, limits));
  const Graph graph = graph_of(test, infer_types(test));
  return backend->compile(graph, {.limits = {}, .precision = precision})->steps()[0].kernel;
}

std::vector<Tensor> run_cuda(const OpCase& test, const cuda::emulated::Schedule& schedule,
                             Precision precision, const cuda::DeviceLimits& limits) {
  const Graph graph = graph_of(test, infer_types(test));
  const auto backend = cuda::make_backend(make_test_runtime(schedule, limits));
  const auto executable = backend->compile(graph, {.limits = {}, .precision = precision});
  std::vector<Tensor> inputs;
  for (const GraphPort& port : graph.inputs) {
    const auto at =
        std::find(graph.nodes[0].inputs.begin(), graph.nodes[0].inputs.end(), port.value) -
        graph.nodes[0].inputs.begin();
    inputs.push_back(test.inputs[static_cast<std::size_t>(at)]);
  }
  const auto context = executable->new_context();
  std::vector<Tensor> first = run_executable(*executable, *context, graph, inputs);
  expect_equal_bits(run_executable(*executable, *context, graph, inputs), first, "a second run");
  return first;
}

void expect_cuda_parity(const OpCase& test, Tolerance tolerance) {
  expect_parity(test, tolerance);
  const std::vector<Tensor> want = run_reference(test);
  std::string label = std::string(op_def(test.kind).name) + " [cuda]";
  for (const Tensor& input : test.inputs) label += " " + input.shape().to_string();
  std::vector<Tensor> first;
  for (const auto& schedule : kSchedules) {
    const std::vector<Tensor> got = run_cuda(test, schedule);
    if (first.empty()) {
      first = got;
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        expect_close(got[i], want[i], tolerance, label + " output " + std::to_string(i));
      }
    }
    expect_equal_bits(got, first, label + " under another schedule");
  }
}

std::string expect_device_parity(OpCase test, Precision precision, const cuda::DeviceLimits& limits,
                                 Tolerance tolerance) {
  test.constant_inputs = {1};
  const std::string kernel = cuda_kernel(test, precision, limits);
  if (limits.sm_90a && !launchable(limits).sm_90a) return kernel;  // A GPU that knows no wgmma.
  const std::vector<Tensor> want = run_reference(test);
  const std::string label =
      kernel + " " + test.inputs[0].shape().to_string() + " " + test.inputs[1].shape().to_string();
  std::vector<Tensor> first;
  for (const auto& schedule : kSchedules) {
    const std::vector<Tensor> got = run_cuda(test, schedule, precision, launchable(limits));
    if (first.empty()) {
      first = got;
      expect_close(got[0], want[0], tolerance, label);
    }
    expect_equal_bits(got, first, label + " under another schedule");
  }
  return kernel;
}

void expect_precision_parity(const OpCase& test, Precision precision, Tolerance tolerance) {
  for (const cuda::DeviceLimits& limits : {cuda::DeviceLimits{}, hopper(1), hopper(1000)}) {
    expect_device_parity(test, precision, limits, tolerance);
  }
}

}  // namespace prs::test
