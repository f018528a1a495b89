// Chains with an image in each lane. Their truth is the plan for one image, which takes other
// kernels: sums run in the same order in both, so that the bits agree.
#include "cpu/lane_chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend.hpp"
#include "cpu/isa/bf16.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "engine/thread_pool.hpp"
#include "graph/infer.hpp"
#include "graph/passes.hpp"
#include "onnx/importer.hpp"
#include "support/interpret.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"

namespace prs {
namespace {

using test::float_attr;
using test::int_attr;
using test::Ints;
using test::ints_attr;
using test::ModelBuilder;
using test::random_tensor;
using test::with_batch;

/// Winograd's error in units of u * (number of terms) * max |w| * max |x|: its transforms add up
/// numbers larger than the result. About 10 are seen, 1 without Winograd.
constexpr double kWinogradBound = 16.0;

/// A model of layers one after the other, each with weights of its own.
class ChainModel {
 public:
  explicit ChainModel(const Shape& image) : channels_(image[0]) {
    std::vector<test::Dim> dims{"N"};
    for (const std::int64_t extent : image) dims.emplace_back(extent);
    model_.input("v0", DType::kFloat32, dims);
  }

  /// kernel, then pads (all begins, all ends), strides and dilations; empty: ONNX's defaults.
  ChainModel& conv(std::int64_t filters, const std::vector<std::int64_t>& kernel,
                   const std::vector<std::int64_t>& pads = {},
                   const std::vector<std::int64_t>& strides = {},
                   const std::vector<std::int64_t>& dilations = {}) {
    Shape weights{filters, channels_};
    for (const std::int64_t taps : kernel) weights.push_back(taps);
    channels_ = filters;
    add("Conv", {constant(weights), constant({filters})}, windows({}, pads, strides, dilations));
    return *this;
  }
  ChainModel& gemm(std::int64_t inputs, std::int64_t outputs) {
    add("Gemm", {constant({outputs, inputs}), constant({outputs})},
        {int_attr("transB", 1), float_attr("alpha", 0.5F), float_attr("beta", 2.0F)});
    return *this;
  }
  ChainModel& pool(const std::string& kind, const std::vector<std::int64_t>& kernel,
                   const std::vector<std::int64_t>& pads = {},
                   const std::vector<std::int64_t>& strides = {}, bool ceil = false) {
    auto attributes = windows(kernel, pads, strides, {});
    if (ceil) attributes.push_back(int_attr("ceil_mode", 1));
    add(kind, {}, attributes);
    return *this;
  }
  ChainModel& node(const std::string& kind,
                   const std::vector<::onnx::AttributeProto>& attributes = {}) {
    add(kind, {}, attributes);
    return *this;
  }

  /// The graph for `images` of them, optimised.
  Graph graph(DType dtype, const Shape& image, std::int64_t images) const {
    ModelBuilder model = model_;
    model.output(value(), DType::kFloat32, {});
    model.proto()
        .mutable_graph()
        ->mutable_output(0)
        ->mutable_type()
        ->mutable_tensor_type()
        ->clear_shape();
    Graph graph = onnx::import_bytes(model.serialize(), "m.onnx", {}).graph;
    if (dtype == DType::kUint8) prepend_normalize(graph);
    Shape shape{images};
    for (const std::int64_t extent : image) shape.push_back(extent);
    infer_and_fold(graph, std::vector<InputBinding>{{dtype, shape, nullptr}}, 1 << 24);
    std::vector<std::string> notes;
    optimize(graph, notes);
    return graph;
  }

 private:
  static void prepend_normalize(Graph& graph) {
    NormalizeParams params;
    params.scale = {1.0F / 255.0F};
    params.bias = {0.0F};
    Value pixels;
    pixels.name = "pixels";
    pixels.dtype = DType::kUint8;
    GraphPort& port = graph.inputs[0];
    Node node{OpKind::kNormalize, "normalize", std::move(params), {}, {port.value}};
    node.inputs = {graph.add_value(std::move(pixels))};
    port.value = node.inputs[0];
    port.dtype = DType::kUint8;
    graph.nodes.insert(graph.nodes.begin(), std::move(node));
  }

  static std::vector<::onnx::AttributeProto> windows(const std::vector<std::int64_t>& kernel,
                                                     const std::vector<std::int64_t>& pads,
                                                     const std::vector<std::int64_t>& strides,
                                                     const std::vector<std::int64_t>& dilations) {
    std::vector<::onnx::AttributeProto> attributes;
    if (!kernel.empty()) attributes.push_back(ints_attr("kernel_shape", kernel));
    if (!pads.empty()) attributes.push_back(ints_attr("pads", pads));
    if (!strides.empty()) attributes.push_back(ints_attr("strides", strides));
    if (!dilations.empty()) attributes.push_back(ints_attr("dilations", dilations));
    return attributes;
  }

  std::string value() const { return "v" + std::to_string(values_); }
  std::string constant(const Shape& shape) {
    const std::string name = "c" + std::to_string(constants_++);
    model_.initializer(name, random_tensor(DType::kFloat32, shape, random_));
    return name;
  }
  void add(const std::string& kind, const std::vector<std::string>& constants,
           const std::vector<::onnx::AttributeProto>& attributes) {
    std::vector<std::string> inputs{value()};
    inputs.insert(inputs.end(), constants.begin(), constants.end());
    ++values_;
    model_.node(kind, inputs, {value()}, attributes);
  }

  ModelBuilder model_{8, 13};
  std::int64_t channels_;
  int values_ = 0;
  int constants_ = 0;
  std::mt19937_64 random_{11};
};

/// One graph compiled for one instruction-set level.
class Program {
 public:
  Program(const Graph& graph, const cpu::Isa& isa, Precision precision = Precision::kFp32)
      : executable_(cpu::make_backend(isa)->compile(
            graph, {.limits = {},
                    .precision = precision,
                    .sharing = {.threads = 3, .least_products = 0}})),
        context_(executable_->new_context()),
        scores_(graph.value(graph.outputs[0].value).shape->elements()) {}

  /// Runs first on other images, so that what a run leaves behind shows; then shared by threads,
  /// and not: the bits are the same.
  std::vector<float> run(const std::byte* images, std::int64_t bytes) {
    // Neither the images nor the scores are aligned, and nothing lies behind them.
    std::vector<std::byte> input(static_cast<std::size_t>(bytes) + 4);
    std::vector<float> output(static_cast<std::size_t>(scores_) + 1);
    const void* from = input.data() + 4;
    void* to = output.data() + 1;
    const auto run_once = [&](ThreadPool* crew) {
      context_->crew = crew;
      executable_->run(*context_, std::span(&from, 1), std::span(&to, 1));
    };
    static ThreadPool crew(3, std::numeric_limits<int>::max());  // However late they come.
    std::fill(input.begin(), input.end(), std::byte{0xff});      // NaN as f32.
    run_once(nullptr);
    std::memcpy(input.data() + 4, images, static_cast<std::size_t>(bytes));
    run_once(&crew);
    const std::vector<float> shared = output;
    run_once(nullptr);
    EXPECT_EQ(0, std::memcmp(shared.data(), output.data(), output.size() * sizeof(float)));
    output.erase(output.begin());
    return output;
  }

  std::vector<std::string> kernels() const {
    std::vector<std::string> names;
    for (const StepInfo& step : executable_->steps()) names.push_back(step.kernel);
    return names;
  }
  std::int64_t block_images() const { return executable_->block_images(); }

 private:
  std::unique_ptr<Executable> executable_;
  std::unique_ptr<ExecutionContext> context_;
  std::int64_t scores_;
};

Tensor random_images(DType dtype, std::int64_t batch, const Shape& image) {
  std::mt19937_64 random(static_cast<std::uint64_t>(23 + batch));
  const bool pixels = dtype == DType::kUint8;
  return random_tensor(dtype, with_batch(batch, image), random, pixels ? 0.0 : -1.0,
                       pixels ? 256.0 : 1.0);
}

/// Expects chains of every batch and level to give what single images give, bit by bit.
void expect_chain(const ChainModel& model, const Shape& image, DType dtype = DType::kFloat32,
                  Precision precision = Precision::kFp32) {
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    // Without instructions for bf16, chains are of f32.
    if (precision == Precision::kBf16 && isa->bf16.lane_conv == nullptr) continue;
    Program single(model.graph(dtype, image, 1), *isa, precision);
    EXPECT_EQ(single.block_images(), 1);
    for (const std::int64_t batch : {2, 7, 16, 17, 33}) {
      SCOPED_TRACE(std::string(isa->name) + ", batch " + std::to_string(batch));
      const Tensor images = random_images(dtype, batch, image);
      Program chain(model.graph(dtype, image, batch), *isa, precision);
      EXPECT_EQ(chain.block_images(), 2 * batch < isa->lanes.lanes ? 1 : isa->lanes.lanes);
      const std::vector<float> got = chain.run(images.as<std::byte>(), images.bytes());
      const std::int64_t each = images.bytes() / batch;
      std::vector<float> want;
      for (std::int64_t i = 0; i < batch; ++i) {
        const std::vector<float> one = single.run(images.as<std::byte>() + i * each, each);
        want.insert(want.end(), one.begin(), one.end());
      }
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t k = 0; k < got.size(); ++k) {
        if (!(got[k] == want[k])) {
          FAIL() << "value " << k << " of " << got.size() << ": " << got[k] << ", alone "
                 << want[k];
        }
      }
    }
  }
}

/// The kernels that a model takes for 32 images at the best level.
std::vector<std::string> chosen_kernels(const ChainModel& model, const Shape& image,
                                        DType dtype = DType::kFloat32) {
  return Program(model.graph(dtype, image, 32), *cpu::supported_isas().back()).kernels();
}

TEST(LaneChain, ComputesConvReluAndPoolInOneStage) {
  const Shape image{1, 13, 11};
  ChainModel model(image);
  model.conv(9, {5, 5}, {2, 2, 2, 2}).node("Relu").pool("MaxPool", {2, 2}, {}, {2, 2});
  model.conv(5, {5, 5}, {2, 2, 2, 2}).node("LeakyRelu").pool("MaxPool", {2, 2}, {}, {2, 2});
  model.node("Flatten").gemm(5 * 3 * 2, 11);
  expect_chain(model, image);
  expect_chain(model, image, DType::kUint8);
  const std::vector<std::string> kernels = chosen_kernels(model, image, DType::kUint8);
  ASSERT_EQ(kernels.size(), 3U);
  EXPECT_EQ(kernels[0].find("conv2d_u8_f32_image_per_lane_"), 0U) << kernels[0];
  EXPECT_EQ(kernels[1].find("conv2d_f32_image_per_lane_"), 0U) << kernels[1];
  EXPECT_EQ(kernels[2].find("gemm_f32_image_per_lane_"), 0U) << kernels[2];
}

TEST(LaneChain, ComputesPoolsOfThreeThatLeaveARemainder) {
  const Shape image{3, 14, 17};
  ChainModel model(image);
  model.conv(17, {5, 5}, {2, 2, 2, 2}).pool("MaxPool", {3, 3}, {}, {3, 3});
  expect_chain(model, image);
}

TEST(LaneChain, ComputesConvolutionsOfEveryGeometry) {
  const Shape image{2, 9, 10};
  struct Case {
    std::int64_t filters;
    Ints kernel, pads, strides, dilations;
  };
  const std::vector<Case> cases = {
      {1, {1, 1}, {}, {}, {}},
      {2, {3, 2}, {}, {}, {}},
      {3, {3, 3}, {1, 1, 1, 1}, {2, 2}, {}},
      {7, {4, 5}, {3, 0, 1, 4}, {1, 3}, {}},
      {8, {3, 3}, {2, 2, 2, 2}, {}, {2, 2}},
      {16, {2, 3}, {0, 2, 5, 0}, {3, 1}, {3, 1}},
      {25, {9, 10}, {}, {}, {}},
      {6, {3, 3}, {8, 8, 8, 8}, {4, 4}, {}},  // Windows of padding only.
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    const Case& c = cases[i];
    ChainModel model(image);
    model.conv(c.filters, c.kernel, c.pads, c.strides, c.dilations);
    model.conv(3, {2, 2}, {1, 1, 1, 1});
    expect_chain(model, image);
  }
}

TEST(LaneChain, ComputesConvolutionsOfRows) {
  const Shape image{4, 37};
  ChainModel model(image);
  model.conv(6, {5}, {2, 1}, {2}).node("Relu").pool("MaxPool", {3}, {1, 1}, {2});
  expect_chain(model, image);
}

TEST(LaneChain, ComputesPoolsThatOverlapOrPad) {
  const Shape image{3, 11, 12};
  for (const bool ceil : {false, true}) {
    ChainModel model(image);
    model.conv(5, {3, 3}).pool("MaxPool", {3, 3}, {1, 1, 1, 1}, {2, 2}, ceil);
    model.conv(4, {2, 2}, {0, 1, 1, 0}).pool("MaxPool", {2, 2}, {}, {2, 2}, ceil);
    expect_chain(model, image);
  }
  ChainModel average(image);
  average.conv(5, {3, 3}).pool("AveragePool", {3, 2}, {1, 0, 1, 1}, {2, 1});
  average.conv(2, {1, 1});
  expect_chain(average, image);
}

TEST(LaneChain, MultipliesBf16AsSingleImagesDo) {
  constexpr auto kBf16 = Precision::kBf16;
  const Shape image{3, 13, 11};
  for (const DType dtype : {DType::kFloat32, DType::kUint8}) {
    ChainModel model(image);
    model.conv(9, {5, 5}, {2, 2, 2, 2}).node("Relu").pool("MaxPool", {2, 2}, {}, {2, 2});
    model.conv(5, {3, 4}, {1, 2, 1, 1}, {2, 1}).node("LeakyRelu");
    model.conv(7, {2, 2}, {}, {}, {1, 2}).pool("AveragePool", {2, 1}, {1, 0, 0, 0}, {1, 1});
    model.node("Flatten").gemm(7 * 2 * 3, 11);
    expect_chain(model, image, dtype, kBf16);
  }
  // Words along an odd number of inputs; a first layer of one channel, which stays f32; Winograd.
  ChainModel odd({1, 9, 9});
  odd.conv(3, {3, 2}).node("Flatten").gemm(3 * 7 * 8, 5).node("Relu").gemm(5, 3);
  expect_chain(odd, {1, 9, 9}, DType::kUint8, kBf16);
  ChainModel winograd({8, 12, 12});
  winograd.conv(16, {3, 3}, {1, 1, 1, 1}).conv(4, {5, 5});
  expect_chain(winograd, {8, 12, 12}, DType::kFloat32, kBf16);
  const cpu::Isa& best = *cpu::supported_isas().back();
  if (best.bf16.lane_conv == nullptr) GTEST_SKIP() << "no instructions for bf16 here";
  const std::vector<std::string> kernels =
      Program(odd.graph(DType::kUint8, {1, 9, 9}, 32), best, kBf16).kernels();
  ASSERT_EQ(kernels.size(), 3U);
  EXPECT_EQ(kernels[0].find("conv2d_u8_f32_image_per_lane_"), 0U) << kernels[0];
  EXPECT_EQ(kernels[1].find("gemm_bf16_image_per_lane_"), 0U) << kernels[1];
}

TEST(LaneChain, LetsNanPass) {
  const Shape image{1, 6, 6};
  ChainModel model(image);
  model.conv(3, {3, 3}).node("Relu").pool("MaxPool", {2, 2}, {}, {2, 2});
  const Graph graph = model.graph(DType::kFloat32, image, 16);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    Tensor images = random_images(DType::kFloat32, 16, image);
    images.as<float>()[3 * 36] = test::kNaN;  // Image 3, the first pixel.
    const std::vector<float> scores =
        Program(graph, *isa).run(images.as<std::byte>(), images.bytes());
    for (std::size_t k = 0; k < scores.size(); ++k) {
      const bool reached = k / 12 == 3 && k % 4 == 0;  // The first window of each filter.
      EXPECT_EQ(std::isnan(scores[k]), reached) << "score " << k;
    }
  }
}

TEST(LaneChain, EndsWhereItKnowsNoKernel) {
  const Shape image{2, 8, 8};
  ChainModel model(image);
  model.conv(4, {3, 3}).node("Sigmoid");
  model.conv(4, {3, 3}).node("Relu").node("Flatten").gemm(4 * 4 * 4, 900);  // Large weights.
  model.node("Softmax");
  const std::vector<std::string> kernels = chosen_kernels(model, image);
  ASSERT_EQ(kernels.size(), 4U);
  const std::vector<bool> in_lanes = {false, true, false, false};
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    EXPECT_EQ(kernels[i].find("image_per_lane") != std::string::npos, in_lanes[i]) << kernels[i];
  }
  expect_chain(model, image);
}

TEST(LaneChain, LeavesValuesWithTwoReadersOutside) {
  const Shape image{2, 6, 6};
  ModelBuilder model(8, 13);
  std::mt19937_64 random(3);
  model.input("x", DType::kFloat32, {16, 2, 6, 6});
  model.initializer("w", random_tensor(DType::kFloat32, {2, 2, 3, 3}, random));
  model.node("Conv", {"x", "w"}, {"a"}, {ints_attr("pads", {1, 1, 1, 1})});
  model.node("Conv", {"a", "w"}, {"b"}, {ints_attr("pads", {1, 1, 1, 1})});
  model.node("Add", {"a", "b"}, {"y"});
  model.output("y", DType::kFloat32, {16, 2, 6, 6});
  Graph graph = onnx::import_bytes(model.serialize(), "m.onnx", {}).graph;
  const Tensor images = random_images(DType::kFloat32, 16, image);
  const Tensor want = test::interpret(graph, std::vector{images})[0];
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, images.shape(), nullptr}}, 0);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    Program program(graph, *isa);
    EXPECT_EQ(program.block_images(), isa->lanes.lanes);
    const std::vector<float> got = program.run(images.as<std::byte>(), images.bytes());
    test::expect_close(test::tensor(images.shape(), got), want, {1e-4, 1e-4}, isa->name.data());
  }
}

TEST(LaneChain, LeavesImagesThatOverflowTheCachesToOtherKernels) {
  const Shape image{1, 512, 512};
  ChainModel model(image);
  model.conv(4, {3, 3}, {1, 1, 1, 1});
  for (const std::string& kernel : chosen_kernels(model, image)) {
    EXPECT_EQ(kernel.find("image_per_lane"), std::string::npos) << kernel;
  }
}

TEST(Winograd, StaysWithinItsErrorBound) {
  struct Case {
    Shape image;
    std::int64_t filters;
    std::vector<std::int64_t> pads;
    bool pool;
  };
  const std::vector<Case> cases = {
      {{8, 12, 12}, 16, {1, 1, 1, 1}, true}, {{8, 11, 10}, 13, {1, 1, 1, 1}, false},
      {{17, 9, 10}, 9, {0, 0, 0, 0}, true},  {{32, 6, 6}, 24, {2, 1, 0, 2}, false},
      {{64, 10, 5}, 8, {0, 1, 1, 0}, true},
  };
  for (const Case& c : cases) {
    ChainModel model(c.image);
    model.conv(c.filters, {3, 3}, c.pads);
    if (c.pool) model.node("Relu").pool("MaxPool", {2, 2}, {}, {2, 2});
    expect_chain(model, c.image);
    // Weights and inputs are at most 1.
    const double bound = kWinogradBound * test::kUnit * 9.0 * static_cast<double>(c.image[0]);
    for (const std::int64_t batch : {1, 17}) {
      const Graph graph = model.graph(DType::kFloat32, c.image, batch);
      const Tensor images = random_images(DType::kFloat32, batch, c.image);
      const Tensor want = test::interpret(graph, std::vector{images})[0];
      for (const cpu::Isa* isa : cpu::supported_isas()) {
        Program program(graph, *isa);
        EXPECT_NE(program.kernels()[0].find("winograd_4x4_3x3"), std::string::npos);
        const std::vector<float> got = program.run(images.as<std::byte>(), images.bytes());
        test::expect_close(test::tensor(want.shape(), got), want, {0.0, bound},
                           std::string(isa->name) + " " + c.image.to_string());
      }
    }
  }
}

TEST(Winograd, TakesPixelsAndWideImages) {
  for (const std::int64_t width : {64, 65, 203, 256}) {
    SCOPED_TRACE(width);
    const Shape image{4, 12, width};
    ChainModel model(image);
    model.conv(48, {3, 3}, {1, 1, 1, 1}).node("Relu");
    const Graph graph = model.graph(DType::kUint8, image, 2);
    const Tensor images = random_images(DType::kUint8, 2, image);
    const Tensor want = test::interpret(graph, std::vector{images})[0];
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      Program program(graph, *isa);
      EXPECT_NE(program.kernels()[0].find("winograd_4x4_3x3"), std::string::npos);
      const std::vector<float> got = program.run(images.as<std::byte>(), images.bytes());
      test::expect_close(test::tensor(want.shape(), got), want,
                         {0.0, kWinogradBound * test::kUnit * 36.0}, std::string(isa->name));
    }
  }
}

}  // namespace
}  // namespace prs
