#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "cpu/isa/gemm.hpp"
#include "cpu/kernel.hpp"
#include "ops/support.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

using Ints = std::vector<std::int64_t>;

OpCase make_case(const ConvParams& params, const Shape& x, const Shape& w, bool bias,
                 std::mt19937_64& random, DType x_type = DType::kFloat32,
                 DType w_type = DType::kFloat32) {
  OpCase test{OpKind::kConv, params, {}};
  const double high = x_type == DType::kUint8 ? 256.0 : 1.0;
  test.inputs.push_back(random_tensor(x_type, x, random, high == 256.0 ? 0.0 : -1.0, high));
  test.inputs.push_back(random_tensor(w_type, w, random));
  if (bias) test.inputs.push_back(random_tensor(w_type, Shape{w[0]}, random));
  return test;
}

/// Parity within the error bound of the sums.
void expect_conv_parity(const OpCase& test) {
  const std::int64_t k = test.inputs[1].shape().elements(1, test.inputs[1].shape().rank());
  OpCase bare = test;
  std::get<ConvParams>(bare.params).activation = {};
  // Transcendental activations are within a few ulps themselves.
  expect_parity(test, {.rtol = 8 * kUlp32, .atol = product_bound(bare, k)});
}

std::string kernel_of(const OpCase& test) {
  std::vector<InputInfo> inputs;
  for (const Tensor& input : test.inputs) {
    inputs.push_back({{input.dtype(), input.shape()}, nullptr});
  }
  const std::vector<TensorType> outputs = infer_types(test);
  const cpu::Isa& portable = *cpu::supported_isas().front();
  return cpu::plan_conv({test.kind, test.params, inputs, outputs}, portable).kernel;
}

TEST(Conv, ReferenceSumsTheWindowWithAndWithoutPadding) {
  OpCase test{OpKind::kConv,
              ConvParams{.kernel_shape = {3, 3}, .pads = {1, 1, 1, 1}},
              {tensor<float>({1, 1, 5, 5}, count_up(25, 0)),
               tensor<float>({1, 1, 3, 3}, std::vector<float>(9, 1.0F))}};
  EXPECT_EQ(to_vector(run_reference(test)[0]),
            (std::vector<float>{12,  21, 27, 33,  24,  33,  54,  63, 72,  51,  63,  99, 108,
                                117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84}));
  test.params = ConvParams{};
  EXPECT_EQ(to_vector(run_reference(test)[0]),
            (std::vector<float>{54, 63, 72, 99, 108, 117, 144, 153, 162}));
  test.params = ConvParams{.strides = {2, 2}, .pads = {1, 0, 1, 0}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{21, 33, 99, 117, 111, 123}));
}

TEST(Conv, ReferenceAddsBiasAndKeepsGroupsApart) {
  const OpCase test{OpKind::kConv,
                    ConvParams{.group = 2},
                    {tensor<float>({1, 2, 2}, {1, 2, 10, 20}), tensor<float>({2, 1, 1}, {3, 5}),
                     tensor<float>({2}, {100, 200})}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{103, 106, 250, 300}));
}

TEST(Conv, ReferenceSpreadsTapsByTheDilation) {
  const OpCase test{OpKind::kConv,
                    ConvParams{.dilations = {2}},
                    {tensor<float>({1, 1, 5}, {1, 2, 3, 4, 5}), tensor<float>({1, 1, 2}, {1, 10})}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{31, 42, 53}));
}

TEST(Conv, SameUpperPutsTheOddPadAtTheEnd) {
  OpCase test{OpKind::kConv,
              ConvParams{.auto_pad = AutoPad::kSameUpper},
              {tensor<float>({1, 1, 4}, {1, 2, 3, 4}), tensor<float>({1, 1, 2}, {1, 1})}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{3, 5, 7, 4}));
  test.params = ConvParams{.auto_pad = AutoPad::kSameLower};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{1, 3, 5, 7}));
  test.params = ConvParams{.pads = {9, 9}, .auto_pad = AutoPad::kValid};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{3, 5, 7}));
}

TEST(Conv, SamePaddingKeepsCeilOfExtentOverStride) {
  for (AutoPad pad : {AutoPad::kSameUpper, AutoPad::kSameLower}) {
    for (std::int64_t in : {1, 2, 5, 6, 7, 13}) {
      for (std::int64_t stride : {1, 2, 3, 7}) {
        std::mt19937_64 random(static_cast<std::uint64_t>(in * 100 + stride));
        const ConvParams params{.strides = {stride, 1}, .dilations = {2, 1}, .auto_pad = pad};
        const OpCase test = make_case(params, {1, 2, in, 4}, {3, 2, 3, 2}, true, random);
        EXPECT_EQ(infer_types(test)[0].shape, (Shape{1, 3, (in + stride - 1) / stride, 4}));
        expect_conv_parity(test);
      }
    }
  }
}

TEST(Conv, MatchesTheReferenceAroundEveryTileSize) {
  std::mt19937_64 random(1);
  for (std::int64_t filters : {1, 3, 4, 5, 7, 8, 9, 16, 17}) {
    for (std::int64_t width : {1, 2, 4, 7, 8, 9, 15, 16, 17, 24, 31, 47, 48, 49}) {
      const ConvParams params{.pads = {1, 0, 1, 2}};
      expect_conv_parity(make_case(params, {1, 2, 3, width}, {filters, 2, 2, 3}, true, random));
    }
  }
}

TEST(Conv, MatchesTheReferenceAroundEveryDepth) {
  std::mt19937_64 random(2);
  // 9 taps times these channels straddle the gathering kernels' blocks of 256.
  for (std::int64_t channels : {1, 28, 29, 57}) {
    expect_conv_parity(make_case({}, {2, channels, 7, 6}, {5, channels, 3, 3}, true, random));
    expect_conv_parity(
        make_case({}, {1, channels * 9, 7, 7}, {9, channels * 9, 1, 1}, true, random));
  }
}

TEST(Conv, MatchesTheReferenceOnRandomShapes) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](std::int64_t low, std::int64_t high) {
      return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    const std::int64_t rank = pick(1, 3);
    const std::int64_t group = pick(1, 3);
    const std::int64_t channels = pick(1, 4);
    ConvParams params{.group = group};
    Shape x{pick(1, 3), group * channels};
    Shape w{group * pick(1, 5), channels};
    Ints pads_end;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      const std::int64_t kernel = pick(1, 4);
      params.strides.push_back(pick(1, 5));
      params.dilations.push_back(pick(1, 3));
      params.pads.push_back(pick(0, 3));
      pads_end.push_back(pick(0, 3));
      const std::int64_t extent = (kernel - 1) * params.dilations.back() + 1;
      const std::int64_t least =
          std::max<std::int64_t>(extent - params.pads.back() - pads_end.back(), 1);
      x.push_back(least + pick(0, rank == 3 ? 6 : 20));
      w.push_back(kernel);
    }
    params.pads.insert(params.pads.end(), pads_end.begin(), pads_end.end());
    expect_conv_parity(make_case(params, x, w, pick(0, 1) == 1, random));
  }
}

TEST(Conv, MatchesTheReferenceForDepthwiseFiltersAndMultipliers) {
  std::mt19937_64 random(3);
  for (std::int64_t multiplier : {1, 2, 3}) {
    for (std::int64_t stride : {1, 2, 3}) {
      for (std::int64_t width : {3, 7, 14, 16, 17, 33, 130}) {
        const ConvParams params{.strides = {stride, stride}, .pads = {1, 1, 1, 1}, .group = 5};
        expect_conv_parity(
            make_case(params, {2, 5, 6, width}, {5 * multiplier, 1, 3, 3}, true, random));
      }
    }
  }
}

TEST(Conv, MatchesTheReferenceWhenStridesSkipInputs) {
  std::mt19937_64 random(4);
  for (std::int64_t stride : {2, 3, 5}) {
    for (std::int64_t pad : {0, 1, 4}) {
      const ConvParams params{.strides = {stride, stride}, .pads = {pad, pad, 0, pad}};
      expect_conv_parity(make_case(params, {1, 3, 11, 23}, {4, 3, 1, 1}, true, random));
      expect_conv_parity(make_case(params, {1, 3, 11, 23}, {20, 3, 2, 2}, true, random));
    }
  }
}

TEST(Conv, TakesPixelsAsTheyAre) {
  std::mt19937_64 random(5);
  for (std::int64_t pad : {0, 2}) {
    for (std::int64_t stride : {1, 2, 3}) {
      for (std::int64_t filters : {1, 8, 33}) {
        const ConvParams params{.strides = {stride, stride}, .pads = {pad, pad, pad, pad}};
        expect_conv_parity(
            make_case(params, {2, 3, 17, 19}, {filters, 3, 3, 3}, true, random, DType::kUint8));
      }
    }
  }
  expect_conv_parity(make_case({}, {2, 3, 9, 9}, {8, 3, 1, 1}, true, random, DType::kUint8));
}

TEST(Conv, ComputesInDoubleForDoubles) {
  std::mt19937_64 random(6);
  const ConvParams params{.strides = {2, 1}, .dilations = {1, 2}, .pads = {1, 0, 2, 3}, .group = 2};
  const OpCase test =
      make_case(params, {2, 4, 9, 8}, {6, 2, 3, 2}, true, random, DType::kFloat64, DType::kFloat64);
  expect_parity(test, {.atol = product_bound(test, 12)});
}

TEST(Conv, AppliesTheFusedActivationToEveryOutput) {
  std::mt19937_64 random(7);
  for (const Activation& activation : activations()) {
    for (std::int64_t filters : {3, 40}) {
      const ConvParams params{.pads = {1, 1, 1, 1}, .activation = activation};
      expect_conv_parity(make_case(params, {1, 3, 9, 21}, {filters, 3, 3, 3}, true, random));
      // Two blocks of taps: the activation must wait for the second.
      expect_conv_parity(make_case(params, {1, 40, 5, 6}, {filters, 40, 3, 3}, true, random));
    }
    const ConvParams wide{.activation = activation};
    const OpCase test =
        make_case(wide, {1, 2, 5}, {3, 2, 2}, true, random, DType::kFloat64, DType::kFloat64);
    OpCase bare = test;
    bare.params = ConvParams{};
    expect_parity(test, {.rtol = 8 * kUlp64, .atol = product_bound(bare, 4)});
  }
}

TEST(Conv, LetsNaNPassThroughRelu) {
  std::mt19937_64 random(8);
  ConvParams params;
  params.activation.kind = Activation::Kind::kRelu;
  OpCase test = make_case(params, {1, 1, 20, 20}, {9, 1, 3, 3}, true, random);
  test.inputs[0].as<float>()[123] = std::numeric_limits<float>::quiet_NaN();
  expect_conv_parity(test);
}

TEST(Conv, GivesTheBiasWhenThereAreNoChannels) {
  for (const Shape& kernel : {Shape{2, 0, 1, 1}, Shape{2, 0, 3, 3}, Shape{20, 0, 3, 3}}) {
    std::mt19937_64 random(9);
    const OpCase test = make_case({.pads = {1, 1, 1, 1}}, {1, 0, 5, 20}, kernel, true, random);
    expect_parity(test, {});
  }
}

TEST(Conv, AcceptsEmptyBatchesAndEmptyAxes) {
  std::mt19937_64 random(10);
  expect_parity(make_case({}, {0, 2, 5, 5}, {3, 2, 3, 3}, true, random), {});
  expect_parity(make_case({}, {2, 2, 5, 5}, {0, 2, 3, 3}, true, random), {});
  expect_parity(
      make_case({.auto_pad = AutoPad::kSameUpper}, {2, 2, 0, 5}, {3, 2, 3, 3}, true, random), {});
  expect_parity(make_case({.pads = {2, 2}}, {1, 2, 0}, {3, 2, 3}, true, random), {});
}

TEST(Conv, FallsBackToPlainLoopsWhenPaddingExceedsAddressing) {
  std::mt19937_64 random(11);
  constexpr std::int64_t kHuge = std::numeric_limits<std::int32_t>::max();
  const ConvParams params{.strides = {kHuge / 2}, .pads = {kHuge, kHuge}};
  const OpCase test = make_case(params, {1, 2, 3}, {3, 2, 1}, true, random);
  EXPECT_EQ(kernel_of(test), "conv1d_f32_plain");
  expect_conv_parity(test);
}

TEST(Conv, ChoosesEveryKernelForSomeShape) {
  std::mt19937_64 random(12);
  const auto name = [&](const ConvParams& params, const Shape& x, const Shape& w) {
    return kernel_of(make_case(params, x, w, false, random));
  };
  EXPECT_EQ(name({}, {1, 1, 28, 28}, {8, 1, 5, 5}), "conv2d_f32_direct_4x8");
  EXPECT_EQ(name({}, {1, 32, 26, 26}, {64, 32, 3, 3}), "conv2d_f32_im2col_gemm_4x8");
  EXPECT_EQ(name({}, {1, 32, 26, 26}, {64, 32, 1, 1}), "conv2d_f32_pointwise_gemm_4x8");
  EXPECT_EQ(name({.group = 32}, {1, 32, 26, 26}, {32, 1, 3, 3}),
            "conv2d_f32_depthwise_direct_1x32");
  EXPECT_EQ(name({}, {0, 1, 28}, {8, 1, 5}), "conv1d_f32_empty");
  EXPECT_EQ(kernel_of(make_case({}, {1, 1, 5, 5, 5}, {1, 1, 3, 3, 3}, false, random,
                                DType::kFloat64, DType::kFloat64)),
            "conv3d_f64_plain");
  EXPECT_EQ(kernel_of(make_case({}, {1, 1, 28, 28}, {64, 1, 5, 5}, false, random, DType::kUint8)),
            "conv2d_u8_f32_im2col_gemm_4x8");
}

TEST(Conv, ParsesTheAttributesOfEveryOpset) {
  for (std::int64_t opset : {1, 11, 22, 28}) {
    Attributes attributes;
    const auto defaults = std::get<ConvParams>(parse(OpKind::kConv, attributes, opset));
    EXPECT_TRUE(defaults.kernel_shape.empty() && defaults.strides.empty() &&
                defaults.dilations.empty() && defaults.pads.empty());
    EXPECT_EQ(defaults.group, 1);
    attributes.set("kernel_shape", Ints{3, 5});
    attributes.set("strides", Ints{2, 1});
    attributes.set("dilations", Ints{1, 2});
    attributes.set("pads", Ints{0, 1, 2, 3});
    attributes.set("auto_pad", std::string("SAME_LOWER"));
    attributes.set("group", std::int64_t{4});
    const auto params = std::get<ConvParams>(parse(OpKind::kConv, attributes, opset));
    EXPECT_EQ(params.kernel_shape, (Ints{3, 5}));
    EXPECT_EQ(params.strides, (Ints{2, 1}));
    EXPECT_EQ(params.dilations, (Ints{1, 2}));
    EXPECT_EQ(params.pads, (Ints{0, 1, 2, 3}));
    EXPECT_EQ(params.auto_pad, AutoPad::kSameLower);
    EXPECT_EQ(params.group, 4);
    attributes.set("auto_pad", std::string("SAME"));
    expect_error(ErrorCode::kInvalidModel, "auto_pad 'SAME'; expected NOTSET",
                 [&] { parse(OpKind::kConv, attributes, opset); });
  }
}

TEST(Conv, RefusesAttributesThatContradictTheShapes) {
  std::mt19937_64 random(13);
  const auto refuses = [&](const std::string& text, const ConvParams& params,
                           const Shape& x = {1, 4, 8, 8}, const Shape& w = {6, 4, 3, 3}) {
    const OpCase test = make_case(params, x, w, false, random);
    expect_error(ErrorCode::kInvalidModel, text, [&] { infer_types(test); });
  };
  refuses("strides[1] is 0; expected 1..2147483647", {.strides = {1, 0}});
  refuses("dilations[0] is -1", {.dilations = {-1, 1}});
  refuses("pads[3] is -1; expected 0..", {.pads = {0, 0, 0, -1}});
  refuses("strides[0] is 4294967296", {.strides = {std::int64_t{1} << 32, 1}});
  refuses("strides has 1 values; x of shape [1,4,8,8] needs 2", {.strides = {1}});
  refuses("pads has 2 values", {.pads = {1, 1}});
  refuses("kernel_shape [3,5] contradicts weights of shape [6,4,3,3]", {.kernel_shape = {3, 5}});
  refuses("group is 0", {.group = 0});
  refuses("x has 4 channels, but weights of shape [6,4,3,3] with group 2 take 4", {.group = 2});
  refuses("5 output channels are no multiple of group 2", {.group = 2}, {1, 8, 8, 8}, {5, 4, 3, 3});
  refuses("expected equal ranks", {}, {1, 4, 8});
  refuses("kernel_shape[1] is 0", {}, {1, 4, 8, 8}, {6, 4, 3, 0});
  refuses("a window of extent 9 (kernel 3, dilation 4) does not fit into 8 inputs",
          {.dilations = {4, 1}});
  expect_error(ErrorCode::kUnsupported, "1 to 3 spatial axes", [&] {
    infer_types(make_case({}, {1, 4}, {6, 4}, false, random));
  });
}

TEST(Conv, RefusesOperandsOfTheWrongType) {
  std::mt19937_64 random(14);
  expect_error(ErrorCode::kUnsupported, "x of type f64 with weights of type f32", [&] {
    infer_types(make_case({}, {1, 1, 3}, {1, 1, 1}, false, random, DType::kFloat64));
  });
  expect_error(ErrorCode::kUnsupported, "weights of type u8", [&] {
    infer_types(make_case({}, {1, 1, 3}, {1, 1, 1}, false, random, DType::kUint8, DType::kUint8));
  });
  OpCase test = make_case({}, {1, 1, 3}, {4, 1, 1}, true, random);
  test.inputs[2] = random_tensor(DType::kFloat32, {3}, random);
  expect_error(ErrorCode::kInvalidModel, "bias is f32[3]; expected f32[4]",
               [&] { infer_types(test); });
}

}  // namespace
}  // namespace prs::test
