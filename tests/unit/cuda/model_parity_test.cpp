// Whole graphs through the CUDA backend on the emulated device: a sample of every operator, the
// shipped models through the engine, and what the steady state must not do.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "backend/fused/estimate.hpp"
#include "backend/linear.hpp"
#include "backend/memory.hpp"
#include "check.hpp"
#include "engine/model_state.hpp"
#include "onnx/importer.hpp"
#include "prs/engine.hpp"
#include "support/expect_error.hpp"
#include "support/interpret.hpp"
#include "support/qdq_model.hpp"
#include "support/sample_models.hpp"
#include "support/temp_dir.hpp"
#include "unit/cuda/network_builder.hpp"
#include "unit/cuda/parity_support.hpp"

namespace prs {

/// In this program "cuda" is the device of the tests, as of compute capability 8.6, and
/// "cuda:large" has an H200's multiprocessors and shared memory; takes the place of
/// cuda/backends.cpp.
std::unique_ptr<Backend> make_backend(std::string_view device) {
  if (device == "cpu") return cpu::make_backend();
  const bool large = device == "cuda:large";
  if (device != "cuda" && !large) fail_argument("device '{}'", device);
  cuda::DeviceLimits limits;
  limits.shared_bytes = large ? 227 << 10 : 99 << 10;
  limits.multiprocessors = large ? 132 : 1;
  if (large) limits.memory_bytes = std::int64_t{140} << 30;
  return cuda::make_backend(
      test::make_test_runtime({cuda::emulated::Order::kShuffled, 5}, test::launchable(limits)));
}

namespace {

constexpr std::int64_t kFoldLimit = std::int64_t{16} << 20;

std::vector<InputBinding> bindings_of(const Graph& graph, const std::vector<Tensor>& inputs) {
  const std::vector<bool> known = shape_inputs(graph);
  std::vector<InputBinding> bindings;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    bindings.push_back({inputs[i].dtype(), inputs[i].shape(), nullptr});
    if (known[i]) bindings[i].value = std::make_shared<const Tensor>(inputs[i]);
  }
  return bindings;
}

/// Some samples use element types that the GPU refuses; no operator may be refused in all of its
/// samples.
TEST(CudaModels, EveryOperatorRunsInASample) {
  std::set<std::string> operators;
  for (const OpDef& def : op_table()) operators.insert(std::string(def.name));
  for (const auto& [name, bytes] : test::sample_models()) {
    const Graph graph = onnx::import_bytes(bytes, name, {}).graph;
    std::mt19937_64 random(3);
    std::vector<Tensor> inputs;
    for (const GraphPort& port : graph.inputs) {
      Shape shape;
      for (const DeclaredDim& dim : *port.dims) shape.push_back(dim.extent.value_or(2));
      inputs.push_back(test::random_tensor(port.dtype, shape, random, -2.0, 2.0));
    }
    std::vector<Tensor> first;
    for (const auto& schedule : test::kSchedules) {
      const auto backend = cuda::make_backend(test::make_test_runtime(schedule));
      // Nothing folded, so that every operator runs; unless a shape hangs on what is folded.
      Graph inferred = graph;
      try {
        infer_and_fold(inferred, bindings_of(graph, inputs), 0);
      } catch (const Error&) {
        inferred = graph;
        infer_and_fold(inferred, bindings_of(graph, inputs), kFoldLimit);
      }
      std::unique_ptr<Executable> executable;
      try {
        executable = backend->compile(inferred, {});
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << name << ": " << error.what();
        break;
      }
      const auto context = executable->new_context();
      const auto got = test::run_executable(*executable, *context, inferred, inputs);
      if (first.empty()) {
        first = got;
        for (const Node& node : inferred.nodes) {
          operators.erase(std::string(op_def(node.kind).name));
        }
        const std::vector<Tensor> want = test::interpret(graph, inputs);
        for (std::size_t i = 0; i < got.size(); ++i) {
          test::expect_close(got[i], want[i], {1e-5, 1e-5}, name);
        }
      }
      test::expect_equal_bits(got, first, name);
    }
  }
  // Made by graph passes only; kernel_parity_test.cpp and quantized_test.cpp have them.
  for (const char* name : {"Normalize", "QuantizedConv", "QuantizedGemm"}) operators.erase(name);
  EXPECT_EQ(operators, std::set<std::string>{});
}

/// A bundle has its models beside it.
std::filesystem::path models_folder() {
  const char* bundled = std::getenv("PRS_MODELS_FOLDER");
  return bundled != nullptr ? bundled : PRS_MODELS;
}

class CudaModelTest : public ::testing::TestWithParam<const char*> {};

/// From pixels to scores, normalisation folded and activations fused as the engine has it. The
/// batches leave partial tiles.
TEST_P(CudaModelTest, ScoresAsTheCpuDoes) {
  const auto path = models_folder() / (std::string(GetParam()) + ".onnx");
  EngineOptions options;
  options.threads = 1;
  options.max_batch = 16;
  options.device = "cpu";
  const Engine cpu = Engine::load(path, options);
  options.device = "cuda";
  const Engine gpu = Engine::load(path, options);
  EXPECT_EQ(gpu.device().rfind("cuda:", 0), 0U);
  std::mt19937_64 random(12);
  for (const std::int64_t batch : {1, 17}) {
    if (batch > 1 && std::string(GetParam()) == "cnn") continue;
    const Tensor images = test::random_tensor(
        DType::kUint8, {batch, gpu.input().height, gpu.input().width}, random, 0, 256);
    const std::vector<float> want = cpu.run(images.view());
    const std::vector<float> got = gpu.run(images.view());
    const Shape shape{batch, gpu.classes()};
    test::expect_close(Tensor::from<float>(DType::kFloat32, shape, got),
                       Tensor::from<float>(DType::kFloat32, shape, want), {1e-4, 1e-4}, GetParam());
  }
  const ModelDescription description = gpu.describe(1);
  for (const StepInfo& step : description.steps) EXPECT_EQ(step.device, gpu.device());
  // An image of cnn needs more shared memory than this device has.
  const bool fused = std::string(GetParam()) != "cnn";
  EXPECT_EQ(description.steps.size() == 1, fused);
  EXPECT_EQ(description.notes.back().rfind(fused ? "fused: " : "not fused: ", 0), 0U)
      << description.notes.back();
}

class CudaPrecisionTest : public ::testing::TestWithParam<const char*> {};

/// Scores of a network of a few layers lose a few units of the precision against their magnitude.
/// In lenet all layers are fused, in cnn the convolutions.
TEST_P(CudaPrecisionTest, ScoresStayCloseToFp32) {
  const auto path = models_folder() / (std::string(GetParam()) + ".onnx");
  EngineOptions options;
  options.threads = 1;
  options.device = "cpu";
  const Engine cpu = Engine::load(path, options);
  options.device = "cuda";
  std::mt19937_64 random(12);
  const Tensor images = test::random_tensor(DType::kUint8, {2, 28, 28}, random, 0, 256);
  const std::vector<float> want = cpu.run(images.view());
  double largest = 0;
  for (const float score : want) largest = std::max(largest, std::abs(double{score}));
  for (const auto& [precision, units] : {std::pair{Precision::kTf32, 0x1p-9},
                                         {Precision::kFp16, 0x1p-9},
                                         {Precision::kBf16, 0x1p-6}}) {
    // An operator a kernel takes seconds, emulated.
    if (precision == Precision::kTf32 && std::string(GetParam()) == "cnn") continue;
    options.precision = precision;
    const Engine gpu = Engine::load(path, options);
    const std::vector<float> got = gpu.run(images.view());
    if (precision != Precision::kTf32) {
      EXPECT_EQ(gpu.describe(2).notes.back().rfind("fused: 2 convolution(s)", 0), 0U);
    }
    const Shape shape{2, cpu.classes()};
    test::expect_close(Tensor::from<float>(DType::kFloat32, shape, got),
                       Tensor::from<float>(DType::kFloat32, shape, want), {0.0, units * largest},
                       std::string(precision_name(precision)));
  }
}

INSTANTIATE_TEST_SUITE_P(Shipped, CudaPrecisionTest, ::testing::Values("lenet", "cnn"),
                         [](const auto& model) { return std::string(model.param); });

/// Scores of both devices, which have equal bits where every layer is one of 8-bit integers. In so
/// many steps, the first layers in one.
void expect_the_cpus_bits(const std::filesystem::path& model, const Tensor& images,
                          std::int64_t steps) {
  EngineOptions options;
  options.threads = 1;
  options.max_batch = 16;
  options.precision = Precision::kInt8;
  options.device = "cpu";
  const Engine cpu = Engine::load(model, options);
  options.device = "cuda";
  const Engine gpu = Engine::load(model, options);
  std::int64_t found = 0;
  const ModelDescription description = gpu.describe(1);
  for (const StepInfo& step : description.steps) {
    found += step.kernel.find("_u8s8_") != std::string::npos;
  }
  EXPECT_EQ(found, steps);
  EXPECT_EQ(description.notes.back().rfind("fused: ", 0), 0U) << description.notes.back();
  EXPECT_EQ(gpu.run(images.view()), cpu.run(images.view()));
}

TEST(CudaModelQuantized, OursHaveTheCpusBits) {
  const test::TempDir dir;
  std::mt19937_64 random(12);
  for (const auto& [name, steps] : {std::pair{"mlp", 1}, {"lenet", 1}, {"cnn", 3}}) {
    SCOPED_TRACE(name);
    const auto path = models_folder() / (std::string(name) + ".onnx");
    const Tensor images = test::random_tensor(DType::kUint8, {17, 28, 28}, random, 0, 256);
    EngineOptions options;
    options.threads = 1;
    options.device = "cuda";
    const std::string bytes = Engine::quantize(path, images.view(), options);
    options.device = "cpu";
    EXPECT_EQ(bytes, Engine::quantize(path, images.view(), options)) << "hangs on the device";
    const auto quantized = dir.path() / "quantized.onnx";
    std::ofstream(quantized, std::ios::binary) << bytes;
    const std::int64_t batch = std::string(name) == "cnn" ? 1 : 17;
    expect_the_cpus_bits(
        quantized, test::random_tensor(DType::kUint8, {batch, 28, 28}, random, 0, 256), steps);
  }
}

TEST(CudaModelQuantized, OtherToolsModelsHaveTheCpusBits) {
  const test::TempDir dir;
  std::mt19937_64 random(3);
  const Tensor images = test::random_tensor(DType::kUint8, {5, 8, 8}, random, 0, 256);
  for (const test::QdqStyle& style : test::qdq_styles()) {
    SCOPED_TRACE(style.name);
    if (style.layers < 2) continue;  // Their float layers round as the device does.
    expect_the_cpus_bits(test::QdqModel(style).write(dir.path() / "m.onnx"), images, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Shipped, CudaModelTest, ::testing::Values("mlp", "lenet", "cnn"),
                         [](const auto& model) { return std::string(model.param); });

/// What `inspect` tells of fusing, for each batch of 1, 8, 64 and 4096 images.
std::vector<std::string> notes_of(const std::string& model, Precision precision) {
  EngineOptions options;
  options.threads = 1;
  options.device = "cuda:large";
  options.precision = precision;
  const Engine engine = Engine::load(models_folder() / (model + ".onnx"), options);
  std::vector<std::string> notes;
  for (const std::int64_t batch : {1, 8, 64, 4096}) {
    notes.push_back(engine.describe(batch).notes.back());
  }
  return notes;
}

TEST(CudaModelLatency, FewImagesAreFusedWhereThatIsFaster) {
  struct Case {
    const char* model;
    Precision precision;
    bool fused[4];
  };
  for (const auto& [model, precision, fused] :
       {Case{"mlp", Precision::kFp32, {false, false, false, true}},
        Case{"mlp", Precision::kBf16, {false, false, false, true}},
        Case{"lenet", Precision::kFp32, {true, true, true, true}},
        Case{"lenet", Precision::kBf16, {true, true, true, true}},
        Case{"cnn", Precision::kBf16, {false, false, true, true}}}) {
    const std::vector<std::string> notes = notes_of(model, precision);
    for (std::size_t i = 0; i < notes.size(); ++i) {
      EXPECT_EQ(notes[i].rfind("fused: ", 0) == 0, fused[i])
          << model << " in " << precision_name(precision) << ": " << notes[i];
    }
  }
  EXPECT_EQ(notes_of("mlp", Precision::kFp32)[0],
            "not fused: 1 image(s) would keep 1 of 132 multiprocessors busy, for about 16 us; 3 "
            "kernels that spread their layers over all take about 5 (counted, not measured)");
}

TEST(CudaModelLatency, KernelsAreCountedByTheirBusiestPart) {
  using cuda::Arithmetic;
  using cuda::estimate_us;
  const double launch_us = estimate_us({}, 132);
  EXPECT_GT(launch_us, 0.0);
  EXPECT_DOUBLE_EQ(estimate_us({.flops = 2e6, .bytes = 64e3}, 132), launch_us + 10);
  EXPECT_DOUBLE_EQ(estimate_us({.flops = 2e6, .bytes = 1280e3}, 132), launch_us + 20);
  EXPECT_DOUBLE_EQ(estimate_us({.flops = 2e6, .blocks = 10}, 132), launch_us + 1);
  EXPECT_DOUBLE_EQ(estimate_us({.flops = 2e6, .blocks = 1000}, 20), launch_us + 0.5);
  EXPECT_DOUBLE_EQ(estimate_us({.flops = 14e5, .arithmetic = Arithmetic::kMatrixProducts}, 1),
                   launch_us + 1);
}

/// One image of cnn's: 9 tiles of 64 positions x 64 filters, or 36 of 64 x 16.
TEST(CudaModelLatency, ConvolutionsOfFewImagesTakeSmallerTiles) {
  cuda::DeviceLimits limits;
  limits.multiprocessors = 132;
  EXPECT_EQ(cuda::conv_tile_filters(576, 64, 1, limits), 16);
  EXPECT_EQ(cuda::conv_tile_filters(8 * 576, 64, 1, limits), 64);
  EXPECT_EQ(cuda::conv_tile_filters(8 * 576, 16, 1, limits), 16);
  EXPECT_EQ(cuda::conv_tile_filters(576, 64, 8, limits), 64);
}

struct SmallNetwork {
  SmallNetwork() {
    const auto models = test::sample_models();
    const auto sample = std::find_if(models.begin(), models.end(),
                                     [](const auto& model) { return model.first == "convnet"; });
    const Graph graph = onnx::import_bytes(sample->second, sample->first, {}).graph;
    std::mt19937_64 random(1);
    for (const GraphPort& port : graph.inputs) {
      Shape shape;
      for (const DeclaredDim& dim : *port.dims) shape.push_back(dim.extent.value_or(2));
      inputs.push_back(test::random_tensor(port.dtype, shape, random));
    }
    compiled = compile_for(graph, *backend, bindings_of(graph, inputs), {}, kFoldLimit);
  }

  std::vector<Tensor> run(ExecutionContext& context) {
    return test::run_executable(compiled->executable(), context, compiled->graph(), inputs);
  }

  std::shared_ptr<cuda::emulated::EmulatedRuntime> runtime = cuda::emulated::make_runtime();
  std::unique_ptr<Backend> backend = cuda::make_backend(runtime);
  std::vector<Tensor> inputs;
  std::unique_ptr<CompiledGraph> compiled;
};

TEST(CudaBackend, AllocatesNothingInTheSteadyState) {
  std::shared_ptr<cuda::emulated::EmulatedRuntime> runtime;
  {
    SmallNetwork network;
    runtime = network.runtime;
    auto context = network.compiled->executable().new_context();
    network.run(*context);
    const auto before = runtime->counts();
    network.run(*context);
    // Another context of the same executable takes the memory that this one gives back.
    context.reset();
    context = network.compiled->executable().new_context();
    network.run(*context);
    EXPECT_EQ(runtime->counts().allocations, before.allocations);
    EXPECT_GT(runtime->counts().launches, before.launches);
  }
  EXPECT_EQ(runtime->counts().live, 0);
}

TEST(CudaBackend, RecordsARunOnceAndStartsItAsAWhole) {
  SmallNetwork network;
  const auto context = network.compiled->executable().new_context();
  const auto first = network.run(*context);
  EXPECT_EQ(network.runtime->counts().recordings, 0);
  for (int i = 0; i < 3; ++i) {
    // Other inputs each time, and then the first ones again: nothing of a run is kept.
    const std::vector<Tensor> kept = network.inputs;
    std::mt19937_64 random(static_cast<std::uint64_t>(i));
    network.inputs = {test::random_tensor(kept[0].dtype(), kept[0].shape(), random)};
    network.run(*context);
    network.inputs = kept;
    test::expect_equal_bits(network.run(*context), first, "a recorded run");
  }
  EXPECT_EQ(network.runtime->counts().recordings, 1);
}

/// What a run that was recorded does.
void expect_run_of(const Graph& graph, const std::vector<Tensor>& inputs, std::int64_t launches,
                   std::int64_t copies) {
  cuda::DeviceLimits limits;
  limits.multiprocessors = 132;
  const auto runtime = cuda::emulated::make_runtime({}, limits);
  const auto backend = cuda::make_backend(runtime);
  const auto executable = backend->compile(graph, {});
  const auto context = executable->new_context();
  for (int i = 0; i < 2; ++i) test::run_executable(*executable, *context, graph, inputs);
  const auto before = runtime->counts();
  test::run_executable(*executable, *context, graph, inputs);
  const auto after = runtime->counts();
  EXPECT_EQ(after.launches - before.launches, launches);
  EXPECT_EQ(after.copies - before.copies, copies);
  EXPECT_EQ(after.recordings, 1);
}

/// The nodes of a CUDA graph, each of which takes its time.
TEST(CudaBackend, ARunIsTwoCopiesAndAKernelAnOperatorAndNothingElse) {
  std::mt19937_64 random(1);
  expect_run_of(test::NetworkBuilder(DType::kUint8, {1, 1, 28, 28})
                    .flatten()
                    .gemm(256, test::relu())
                    .gemm(128, test::relu())
                    .gemm(10)
                    .graph(),
                {test::random_tensor(DType::kUint8, {1, 1, 28, 28}, random, 0, 256)}, 3, 2);
  // Sums of several blocks need no more.
  expect_run_of(test::NetworkBuilder(DType::kFloat32, {1, 32768}).gemm(3).graph(),
                {test::random_tensor(DType::kFloat32, {1, 32768}, random)}, 1, 2);
}

/// Whether there is one is a copy more.
TEST(CudaBackend, AComplaintEndsItsRunAndNoOther) {
  const Graph graph = test::NetworkBuilder(DType::kInt64, {3}).gather({4, 2}).graph();
  const Tensor good = test::tensor<std::int64_t>({3}, {0, 3, -1});
  expect_run_of(graph, {good}, 1, 3);
  const auto backend = cuda::make_backend(test::make_test_runtime({}));
  const auto executable = backend->compile(graph, {});
  const auto context = executable->new_context();
  const auto want = test::run_executable(*executable, *context, graph, {good});
  for (const std::int64_t wrong : {4, -5, 100}) {
    test::expect_error(ErrorCode::kInvalidArgument,
                       "index " + std::to_string(wrong) + " out of range", [&] {
                         test::run_executable(*executable, *context, graph,
                                              {test::tensor<std::int64_t>({3}, {0, wrong, 1})});
                       });
    test::expect_equal_bits(test::run_executable(*executable, *context, graph, {good}), want,
                            "after a complaint");
  }
}

TEST(CudaBackend, ADeviceThatIsFullFailsTheRunAndLeavesNothingBehind) {
  SmallNetwork network;
  const Executable& executable = network.compiled->executable();
  network.runtime->limit_memory(0);
  const auto before = network.runtime->counts().live;
  test::expect_error(ErrorCode::kOutOfMemory, "try a smaller batch",
                     [&] { executable.new_context(); });
  EXPECT_LE(network.runtime->counts().live, before);
  network.runtime->limit_memory(std::int64_t{1} << 30);
  const auto context = executable.new_context();
  EXPECT_EQ(network.run(*context).size(), 1U);
}

TEST(CudaBackend, ALostDeviceIsToldByItsCodeAndTouchedNoMore) {
  SmallNetwork network;
  auto context = network.compiled->executable().new_context();
  network.run(*context);
  network.runtime->lose();
  test::expect_error(ErrorCode::kDeviceLost, "illegal address", [&] { network.run(*context); });
  test::expect_error(ErrorCode::kDeviceLost, "illegal address", [&] { network.run(*context); });
  context.reset();
}

TEST(CudaBackend, PiecesGoByTheDevicesMemoryAndKeepThreeLanesBusy) {
  cuda::DeviceLimits limits;
  limits.memory_bytes = std::int64_t{8} << 30;
  const auto backend = cuda::make_backend(cuda::emulated::make_runtime({}, limits));
  EXPECT_EQ(backend->preferred_images(), 4096);
  EXPECT_EQ(backend->lanes(1), 3);
  EXPECT_EQ(backend->lanes(64), 8);
  EXPECT_EQ(backend->piece_size(1 << 20, 1 << 10).most, 128);
  EXPECT_EQ(backend->piece_size(1 << 20, 1 << 10).least, 512);
}

TEST(CudaBackend, GivesUnusedMemoryBackBeforeItRunsOut) {
  const auto runtime = cuda::emulated::make_runtime();
  runtime->limit_memory(4096);
  cuda::MemoryPool pool(runtime, cuda::MemoryPool::Kind::kDevice);
  pool.give(pool.take(2048));
  void* large = pool.take(4000);
  test::expect_error(ErrorCode::kOutOfMemory, "cuda:emulated", [&] { pool.take(1); });
  pool.give(large);
  EXPECT_EQ(pool.take(3000), large);
  pool.give(large);
}

}  // namespace
}  // namespace prs
