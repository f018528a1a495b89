// Chains of 8-bit layers with an image in each lane. Their truth are the operators' references, bit
// by bit, for every level and batch.
#include "cpu/byte_chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backend.hpp"
#include "cpu/isa/byte_lanes.hpp"
#include "cpu/isa/isa.hpp"
#include "engine/thread_pool.hpp"
#include "graph/infer.hpp"
#include "ops/quantize.hpp"
#include "support/interpret.hpp"
#include "support/op_test.hpp"

namespace prs {
namespace {

using test::Ints;
using test::random_tensor;
using test::with_batch;

/// 8-bit layers one after the other, each with random weights, tables and zero points.
class ByteModel {
 public:
  explicit ByteModel(DType x, const Shape& image) : x_(x), image_(image), channels_(image[0]) {
    graph_.source = "m.onnx";
    graph_.inputs.push_back({add_value(x), x, std::nullopt});
    low_ = x == DType::kInt8 ? -128 : 0;
  }

  /// pads: all begins, then all ends. Empty: ONNX's defaults.
  ByteModel& conv(DType to, std::int64_t filters, const Ints& kernel, const Ints& pads = {},
                  const Ints& strides = {}, const Ints& dilations = {}) {
    Shape weights{filters, channels_};
    for (const std::int64_t taps : kernel) weights.push_back(taps);
    ConvParams params;
    params.pads = pads;
    params.strides = strides;
    params.dilations = dilations;
    channels_ = filters;
    add_layer(OpKind::kQuantizedConv, QuantizedConvParams{params, ends(to)}, weights, filters,
              weights.elements() / filters);
    return *this;
  }
  ByteModel& gemm(DType to, std::int64_t inputs, std::int64_t outputs, bool trans_b) {
    add_layer(OpKind::kQuantizedGemm, QuantizedGemmParams{trans_b, ends(to)},
              trans_b ? Shape{outputs, inputs} : Shape{inputs, outputs}, outputs, inputs);
    return *this;
  }
  ByteModel& pool(const Ints& kernel, const Ints& strides, const Ints& pads = {},
                  const Ints& dilations = {}) {
    PoolParams params;
    params.kernel_shape = kernel;
    params.strides = strides;
    params.pads = pads;
    params.dilations = dilations;
    add(OpKind::kMaxPool, params, {value()}, type());
    return *this;
  }
  ByteModel& flatten() {
    add(OpKind::kFlatten, FlattenParams{}, {value()}, type());
    return *this;
  }
  /// The last layer's multipliers: some below 0, so that larger sums give smaller outputs.
  ByteModel& negate_some_multipliers() {
    const Tensor& given = *graph_.value(graph_.nodes.back().inputs[2]).constant;
    Tensor multipliers(given.dtype(), given.shape());
    for (std::int64_t i = 0; i < given.elements(); ++i) {
      multipliers.as<float>()[i] = given.as<float>()[i] * (i % 2 == 0 ? -1.0F : 1.0F);
    }
    graph_.nodes.back().inputs[2] = graph_.add_constant("negated", std::move(multipliers));
    return *this;
  }

  /// Expects chains of every batch and level to give what the references give.
  void expect_bits() {
    graph_.outputs = {{value(), type(), std::nullopt}};
    constexpr std::int64_t kMost = 33;
    const Tensor images = random_tensor(x_, with_batch(kMost, image_), random_, low_, low_ + 256);
    const Tensor want = test::interpret(graph_, std::vector{images})[0];
    const std::int64_t x_bytes = images.bytes() / kMost;
    const std::int64_t y_bytes = want.bytes() / kMost;
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      const auto backend = cpu::make_backend(*isa);
      for (const std::int64_t batch : {1, 2, 7, 8, 16, 17, 33}) {
        SCOPED_TRACE(std::string(isa->name) + ", batch " + std::to_string(batch));
        const auto executable = backend->compile(
            bound(batch), {.limits = {}, .sharing = {.threads = 3, .least_products = 0}});
        EXPECT_EQ(executable->block_images(),
                  2 * batch < isa->byte_lanes.lanes ? 1 : isa->byte_lanes.lanes);
        const auto context = executable->new_context();
        // Nothing lies behind the images and the outputs, which are not aligned.
        const auto size = static_cast<std::size_t>(batch);
        std::vector<std::byte> x(size * static_cast<std::size_t>(x_bytes) + 4, std::byte{0xa5});
        std::vector<std::byte> y(size * static_cast<std::size_t>(y_bytes) + 4);
        const void* from = x.data() + 4;
        void* to = y.data() + 4;
        // First on other images, so that what a run leaves behind shows.
        executable->run(*context, std::span(&from, 1), std::span(&to, 1));
        std::copy_n(images.as<std::byte>(), x.size() - 4, x.begin() + 4);
        static ThreadPool crew(3, std::numeric_limits<int>::max());  // However late they come.
        context->crew = &crew;
        executable->run(*context, std::span(&from, 1), std::span(&to, 1));
        const std::vector<std::byte> shared = y;
        context->crew = nullptr;
        executable->run(*context, std::span(&from, 1), std::span(&to, 1));
        EXPECT_EQ(shared, y);
        const auto* wanted = want.as<std::byte>();
        const auto differs = std::mismatch(y.begin() + 4, y.end(), wanted).first;
        EXPECT_EQ(differs - y.begin() - 4, static_cast<std::ptrdiff_t>(y.size() - 4))
            << "the first byte that differs, of " << y_bytes << " an image";
      }
    }
  }

  /// What 32 images take at the best level.
  std::vector<std::string> kernels() {
    graph_.outputs = {{value(), type(), std::nullopt}};
    const auto executable =
        cpu::make_backend(*cpu::supported_isas().back())->compile(bound(32), {});
    std::vector<std::string> names;
    for (const StepInfo& step : executable->steps()) names.push_back(step.kernel);
    return names;
  }

 private:
  Graph bound(std::int64_t batch) const {
    Graph graph = graph_;
    infer_and_fold(graph, std::vector<InputBinding>{{x_, with_batch(batch, image_), nullptr}}, 0);
    return graph;
  }

  ValueId add_value(DType dtype) {
    Value value;
    value.name = "v" + std::to_string(graph_.values.size());
    value.dtype = dtype;
    return graph_.add_value(std::move(value));
  }
  ValueId value() const {
    return graph_.nodes.empty() ? graph_.inputs[0].value : graph_.nodes.back().outputs[0];
  }
  DType type() const { return graph_.value(value()).dtype; }

  void add(OpKind kind, Params params, std::vector<ValueId> inputs, DType to) {
    const std::string name = "n" + std::to_string(graph_.nodes.size());
    const ValueId output = add_value(to);
    graph_.nodes.push_back({kind, name, std::move(params), std::move(inputs), {output}});
  }

  void add_layer(OpKind kind, Params params, const Shape& weights, std::int64_t channels,
                 std::int64_t products) {
    const DType to = std::visit(
        [](const auto& layer) {
          if constexpr (requires { layer.out; }) {
            return layer.out.to;
          } else {
            return DType::kUndefined;
          }
        },
        params);
    // Most outputs are in range.
    const double step = 0.02 / std::sqrt(static_cast<double>(products));
    const std::vector<ValueId> inputs = {
        value(), graph_.add_constant("w", random_tensor(DType::kInt8, weights, random_, -128, 128)),
        graph_.add_constant("m", random_tensor(DType::kFloat32, {channels}, random_, 0, step)),
        graph_.add_constant("o", random_tensor(DType::kFloat32, {channels}, random_, -20, 20))};
    add(kind, std::move(params), inputs, to);
  }

  Requantization ends(DType to) {
    const auto zero = [&](DType dtype) {
      return static_cast<std::int32_t>(random_() % 256) - (dtype == DType::kInt8 ? 128 : 0);
    };
    Requantization out;
    out.to = to;
    out.x_zero_point = zero(type());
    out.low = 0.0F;  // As Relu leaves it.
    out.high = std::numeric_limits<float>::infinity();
    if (to == DType::kFloat32) return out;
    out.y_zero_point = zero(to);
    const ops::quantize::Range range = ops::quantize::range(to);
    if (random_() % 2 == 0) out.low = static_cast<float>(range.low - out.y_zero_point);
    out.high = static_cast<float>(range.high - out.y_zero_point);
    return out;
  }

  Graph graph_;
  DType x_;
  Shape image_;
  double low_ = 0;
  std::int64_t channels_;
  std::mt19937_64 random_{17};
};

constexpr DType kU8 = DType::kUint8;
constexpr DType kI8 = DType::kInt8;
constexpr DType kF32 = DType::kFloat32;

TEST(ByteChain, ComputesConvPoolAndGemmOfOneChannel) {
  for (const DType x : {kU8, kI8}) {
    ByteModel model(x, {1, 13, 11});
    model.conv(kU8, 9, {5, 5}, {2, 2, 2, 2}).pool({2, 2}, {2, 2});
    model.conv(kI8, 6, {5, 5}, {2, 2, 2, 2}).pool({3, 3}, {2, 2});
    model.flatten().gemm(kU8, 6 * 2 * 2, 13, true).gemm(kF32, 13, 10, false);
    model.expect_bits();
  }
}

TEST(ByteChain, FusesConvAndPool) {
  ByteModel model(kU8, {1, 12, 12});
  model.conv(kU8, 8, {5, 5}, {2, 2, 2, 2}).pool({2, 2}, {2, 2});
  model.conv(kU8, 16, {3, 3}).pool({2, 2}, {2, 2}).flatten().gemm(kF32, 64, 10, true);
  const std::vector<std::string> kernels = model.kernels();
  ASSERT_EQ(kernels.size(), 3U);
  EXPECT_EQ(kernels[0].find("conv2d_u8_i8_u8_image_per_lane_"), 0U) << kernels[0];
  EXPECT_EQ(kernels[1].find("conv2d_u8_i8_u8_image_per_lane_"), 0U) << kernels[1];
  EXPECT_EQ(kernels[2].find("gemm_u8_i8_f32_image_per_lane_"), 0U) << kernels[2];
}

TEST(ByteChain, ComputesRowsOfEveryWidthOfOneChannel) {
  for (std::int64_t taps = 1; taps <= 9; ++taps) {
    for (const std::int64_t pad : {std::int64_t{0}, taps - 1}) {
      SCOPED_TRACE(std::to_string(taps) + " taps, pad " + std::to_string(pad));
      ByteModel model(kU8, {1, 3, 10});
      model.conv(kU8, 5, {2, taps}, {1, pad, 0, pad}, {1, taps % 3 + 1});
      model.expect_bits();
    }
  }
  // One output, whose window is mostly padding.
  ByteModel narrow(kI8, {1, 1, 1});
  narrow.conv(kI8, 3, {3, 4}, {1, 3, 1, 0});
  narrow.expect_bits();
}

TEST(ByteChain, ComputesConvolutionsOfEveryGeometry) {
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
      {12, {2, 3}, {0, 2, 5, 0}, {3, 1}, {3, 1}},
      {21, {9, 10}, {}, {}, {}},
      {6, {3, 3}, {8, 8, 8, 8}, {4, 4}, {}},  // Windows of padding only.
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    for (const std::int64_t channels : {1, 3, 6}) {
      SCOPED_TRACE("case " + std::to_string(i) + ", channels " + std::to_string(channels));
      const Case& c = cases[i];
      ByteModel model(i % 2 == 0 ? kU8 : kI8, {channels, 9, 10});
      model.conv(i % 3 == 0 ? kI8 : kU8, c.filters, c.kernel, c.pads, c.strides, c.dilations);
      model.conv(i % 4 < 2 ? kF32 : kU8, 5, {2, 2}, {1, 1, 1, 1});
      model.expect_bits();
    }
  }
}

TEST(ByteChain, ComputesConvolutionsOfRows) {
  ByteModel model(kU8, {4, 37});
  model.conv(kI8, 6, {5}, {2, 1}, {2}).pool({3}, {2}, {1, 1});
  model.conv(kF32, 2, {3});
  model.expect_bits();
}

TEST(ByteChain, ComputesPoolsThatOverlapPadOrLeaveARemainder) {
  for (const DType between : {kU8, kI8}) {
    ByteModel model(kU8, {3, 14, 17});
    model.conv(between, 5, {3, 3}).pool({3, 3}, {2, 2}, {1, 1, 1, 1});
    model.conv(between, 4, {2, 2}, {0, 1, 1, 0}).pool({2, 1}, {1, 1}, {}, {2, 1});
    model.expect_bits();
  }
  ByteModel remainder(kU8, {2, 11, 10});
  remainder.conv(kU8, 17, {2, 2}).pool({3, 3}, {3, 3});
  remainder.expect_bits();
}

TEST(ByteChain, PoolsAfterwardsWhereLargerSumsGiveSmallerOutputs) {
  ByteModel model(kU8, {2, 8, 8});
  model.conv(kU8, 6, {3, 3}).negate_some_multipliers().pool({2, 2}, {2, 2});
  EXPECT_EQ(model.kernels().size(), 2U);
  model.expect_bits();
}

TEST(ByteChain, LeavesLargeGemmsToOtherKernels) {
  ByteModel model(kU8, {2, 10, 10});
  model.conv(kU8, 12, {3, 3}).flatten().gemm(kU8, 12 * 64, 100, true).gemm(kF32, 100, 3, false);
  const std::vector<std::string> kernels = model.kernels();
  ASSERT_EQ(kernels.size(), 3U);
  EXPECT_NE(kernels[0].find("image_per_lane"), std::string::npos) << kernels[0];
  EXPECT_NE(kernels[1].find("gemm_u8_i8_u8_packed"), std::string::npos) << kernels[1];
  model.expect_bits();
}

}  // namespace
}  // namespace prs
