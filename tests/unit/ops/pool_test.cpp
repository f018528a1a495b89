#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "ops/window.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

using Ints = std::vector<std::int64_t>;

OpCase pool_case(OpKind kind, const PoolParams& params, const Tensor& x, std::size_t outputs = 1) {
  return {kind, params, {x}, outputs};
}

std::vector<float> max_of(const PoolParams& params, const Tensor& x) {
  return to_vector<float>(run_reference(pool_case(OpKind::kMaxPool, params, x))[0]);
}

std::vector<float> average_of(const PoolParams& params, const Tensor& x) {
  return to_vector<float>(run_reference(pool_case(OpKind::kAveragePool, params, x))[0]);
}

/// Values lie in [-1, 1): the error of a mean of `taps` values is at most (taps + 8) * u.
Tolerance mean_tolerance(std::int64_t taps, DType dtype) {
  return {.atol = static_cast<double>(taps + 8) * (dtype == DType::kFloat64 ? kUlp64 : kUlp32)};
}

TEST(MaxPool, ReferenceTakesTheLargestOfEachWindow) {
  const Tensor x = tensor<float>({1, 1, 4, 4}, count_up(16, 1));
  EXPECT_EQ(max_of({.kernel_shape = {2, 2}, .strides = {2, 2}}, x),
            (std::vector<float>{6, 8, 14, 16}));
  EXPECT_EQ(max_of({.kernel_shape = {2, 2}, .dilations = {2, 2}}, x),
            (std::vector<float>{11, 12, 15, 16}));
}

TEST(MaxPool, CeilModeKeepsTheWindowThatHangsOverTheEnd) {
  const Tensor x = tensor<float>({1, 1, 4, 4}, count_up(16, 1));
  EXPECT_EQ(max_of({.kernel_shape = {3, 3}, .strides = {2, 2}}, x), (std::vector<float>{11}));
  EXPECT_EQ(max_of({.kernel_shape = {3, 3}, .strides = {2, 2}, .ceil_mode = true}, x),
            (std::vector<float>{11, 12, 15, 16}));
}

TEST(MaxPool, CeilModeDropsAWindowThatBeginsInTheEndPadding) {
  EXPECT_EQ(max_of({.kernel_shape = {1, 1}, .strides = {2, 2}, .ceil_mode = true},
                   tensor<float>({1, 1, 2, 2}, {1, 2, 3, 4})),
            (std::vector<float>{1}));
  EXPECT_EQ(max_of({.kernel_shape = {2}, .strides = {3}, .pads = {0, 1}, .ceil_mode = true},
                   tensor<float>({1, 1, 3}, {1, 2, 3})),
            (std::vector<float>{2}));
}

TEST(MaxPool, SamePaddingPutsTheOddPadAtTheEndOrTheBeginning) {
  const Tensor x = tensor<float>({1, 1, 4}, {4, 3, 2, 1});
  EXPECT_EQ(max_of({.kernel_shape = {2}, .auto_pad = AutoPad::kSameUpper}, x),
            (std::vector<float>{4, 3, 2, 1}));
  EXPECT_EQ(max_of({.kernel_shape = {2}, .auto_pad = AutoPad::kSameLower}, x),
            (std::vector<float>{4, 4, 3, 2}));
  EXPECT_EQ(max_of({.kernel_shape = {2}, .auto_pad = AutoPad::kValid}, x),
            (std::vector<float>{4, 3, 2}));
}

TEST(MaxPool, PaddingIsSmallerThanAnything) {
  const PoolParams params{.kernel_shape = {2}, .strides = {2}, .pads = {2, 0}};
  EXPECT_EQ(max_of(params, tensor<float>({1, 1, 2}, {-5, -7})), (std::vector<float>{-kInf, -5}));
  const OpCase bytes =
      pool_case(OpKind::kMaxPool, params, tensor<std::int8_t>({1, 1, 2}, {-5, -7}));
  EXPECT_EQ(to_vector<std::int8_t>(run_reference(bytes)[0]), (std::vector<std::int8_t>{-128, -5}));
  expect_parity(bytes, {});
}

TEST(MaxPool, IndicesCountThroughTheWholeTensor) {
  const Tensor x = tensor<float>({1, 2, 2, 3}, {1, 5, 2, 3, 4, 9, 0, 0, 7, 8, 0, 0});
  OpCase test = pool_case(OpKind::kMaxPool, PoolParams{.kernel_shape = {2, 2}}, x, 2);
  EXPECT_EQ(to_vector<std::int64_t>(run_reference(test)[1]), (Ints{1, 5, 9, 8}));
  expect_parity(test, {});
  // Column-major within each plane.
  test.params = PoolParams{.kernel_shape = {2, 2}, .storage_order = 1};
  EXPECT_EQ(to_vector<std::int64_t>(run_reference(test)[1]), (Ints{2, 5, 7, 10}));
  expect_parity(test, {});
}

TEST(MaxPool, IndexIsTheFirstOfEqualsAndMinusOneInPaddingAlone) {
  const Tensor x = tensor<float>({1, 1, 4}, {3, 3, -kInf, -kInf});
  const OpCase test = pool_case(
      OpKind::kMaxPool, PoolParams{.kernel_shape = {2}, .strides = {2}, .pads = {2, 0}}, x, 2);
  EXPECT_EQ(to_vector<std::int64_t>(run_reference(test)[1]), (Ints{-1, 0, 2}));
  expect_parity(test, {});
}

TEST(MaxPool, LetsNaNWin) {
  std::mt19937_64 random(1);
  for (std::int64_t stride : {1, 2, 3}) {
    Tensor x = random_tensor(DType::kFloat32, {1, 1, 20, 21}, random);
    for (std::int64_t i : {0, 30, 31, 52, 200, 419}) x.as<float>()[i] = kNaN;
    for (std::int64_t i : {100, 101, 122}) x.as<float>()[i] = -kInf;
    const PoolParams params{.kernel_shape = {3, 3}, .strides = {stride, stride}};
    const Tensor y = run_reference(pool_case(OpKind::kMaxPool, params, x))[0];
    EXPECT_TRUE(std::isnan(y.as<float>()[0]));
    expect_parity(pool_case(OpKind::kMaxPool, params, x), {});
    expect_parity(pool_case(OpKind::kMaxPool, params, x, 2), {});
  }
}

TEST(AveragePool, CountsPaddingOnlyWhenAsked) {
  const Tensor x = tensor<float>({1, 1, 2}, {2, 4});
  EXPECT_EQ(average_of({.kernel_shape = {2}, .pads = {1, 1}}, x), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(average_of({.kernel_shape = {2}, .pads = {1, 1}, .count_include_pad = true}, x),
            (std::vector<float>{1, 3, 2}));
}

TEST(AveragePool, NeverCountsWhatHangsOverInCeilMode) {
  const Tensor x = tensor<float>({1, 1, 4}, {2, 4, 6, 8});
  for (bool include : {false, true}) {
    EXPECT_EQ(
        average_of(
            {.kernel_shape = {3}, .strides = {2}, .ceil_mode = true, .count_include_pad = include},
            x),
        (std::vector<float>{4, 7}));
  }
  EXPECT_EQ(average_of({.kernel_shape = {3},
                        .strides = {3},
                        .pads = {1, 0},
                        .ceil_mode = true,
                        .count_include_pad = true},
                       x),
            (std::vector<float>{2, 7}));
}

TEST(AveragePool, SpreadsTapsByTheDilation) {
  EXPECT_EQ(average_of({.kernel_shape = {2, 2}, .dilations = {2, 2}},
                       tensor<float>({1, 1, 3, 3}, count_up(9, 1))),
            (std::vector<float>{5}));
}

TEST(AveragePool, IsNaNOverPaddingAlone) {
  const OpCase test =
      pool_case(OpKind::kAveragePool, PoolParams{.kernel_shape = {1}, .pads = {1, 0}},
                tensor<float>({1, 1, 1}, {7}));
  const Tensor y = run_reference(test)[0];
  EXPECT_TRUE(std::isnan(y.as<float>()[0]));
  EXPECT_EQ(y.as<float>()[1], 7.0F);
  expect_parity(test, {});
}

TEST(Pools, MatchTheReferenceOnRandomShapes) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const auto pick = [&](std::int64_t low, std::int64_t high) {
      return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    const std::int64_t rank = pick(1, 3);
    PoolParams params;
    Shape x{pick(1, 3), pick(1, 3)};
    Ints pads_end;
    std::int64_t taps = 1;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      params.kernel_shape.push_back(pick(1, 4));
      params.strides.push_back(pick(1, 4));
      params.dilations.push_back(pick(1, 3));
      params.pads.push_back(pick(0, 3));
      pads_end.push_back(pick(0, 3));
      taps *= params.kernel_shape.back();
      const std::int64_t extent = (params.kernel_shape.back() - 1) * params.dilations.back() + 1;
      const std::int64_t least =
          std::max<std::int64_t>(extent - params.pads.back() - pads_end.back(), 1);
      x.push_back(least + pick(0, rank == 3 ? 6 : 40));
    }
    params.pads.insert(params.pads.end(), pads_end.begin(), pads_end.end());
    params.ceil_mode = pick(0, 1) == 1;
    params.storage_order = pick(0, 1);
    if (pick(0, 4) == 0) {
      params.auto_pad = pick(0, 1) == 0 ? AutoPad::kSameUpper : AutoPad::kSameLower;
    }
    for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
      const Tensor values = random_tensor(dtype, x, random);
      expect_parity(pool_case(OpKind::kMaxPool, params, values), {});
      expect_parity(pool_case(OpKind::kMaxPool, params, values, 2), {});
      for (bool include : {false, true}) {
        PoolParams average = params;
        average.count_include_pad = include;
        expect_parity(pool_case(OpKind::kAveragePool, average, values),
                      mean_tolerance(taps, dtype));
      }
    }
    expect_parity(
        pool_case(OpKind::kMaxPool, params, random_tensor(DType::kUint8, x, random, 0.0, 256.0)),
        {});
    expect_parity(pool_case(OpKind::kMaxPool, params,
                            random_tensor(DType::kInt8, x, random, -128.0, 128.0), 2),
                  {});
  }
}

TEST(Pools, MatchTheReferenceAroundEveryVectorWidth) {
  std::mt19937_64 random(2);
  for (std::int64_t width : {3, 4, 5, 7, 8, 9, 15, 16, 17, 28, 31, 32, 33, 64, 67}) {
    for (std::int64_t stride : {1, 2, 3}) {
      const Tensor x = random_tensor(DType::kFloat32, {2, 3, 6, width}, random);
      const PoolParams params{.kernel_shape = {2, 3}, .strides = {stride, stride}};
      expect_parity(pool_case(OpKind::kMaxPool, params, x), {});
      expect_parity(pool_case(OpKind::kAveragePool, params, x), mean_tolerance(6, DType::kFloat32));
    }
  }
}

TEST(Pools, TakePaddingThatNoRowCouldHold) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int32_t>::max();
  const PoolParams params{.kernel_shape = {3}, .strides = {kHuge / 2}, .pads = {kHuge, kHuge}};
  const Tensor x = tensor<float>({1, 1, 3}, {3, 1, 2});
  expect_parity(pool_case(OpKind::kMaxPool, params, x), {});
  expect_parity(pool_case(OpKind::kAveragePool, params, x), mean_tolerance(9, DType::kFloat32));
}

TEST(Pools, AcceptEmptyBatchesAndEmptyAxes) {
  const PoolParams params{.kernel_shape = {2, 2}, .auto_pad = AutoPad::kSameUpper};
  for (const Shape& x : {Shape{0, 3, 4, 4}, Shape{2, 0, 4, 4}, Shape{2, 3, 0, 4}}) {
    for (OpKind kind : {OpKind::kMaxPool, OpKind::kAveragePool}) {
      expect_parity(pool_case(kind, params, Tensor(DType::kFloat32, x)), {});
    }
  }
  // Windows over padding alone.
  const PoolParams padded{.kernel_shape = {2}, .pads = {1, 2}};
  for (OpKind kind : {OpKind::kMaxPool, OpKind::kAveragePool}) {
    expect_parity(pool_case(kind, padded, Tensor(DType::kFloat32, Shape{1, 2, 0})), {});
  }
}

TEST(Pools, ParseTheAttributesOfEveryOpset) {
  for (std::int64_t opset : {1, 7, 8, 10, 11, 12, 19, 22, 28}) {
    Attributes attributes;
    attributes.set("kernel_shape", Ints{3, 2});
    attributes.set("strides", Ints{2, 1});
    attributes.set("pads", Ints{0, 1, 2, 3});
    attributes.set("auto_pad", std::string("NOTSET"));
    if (opset >= 10) attributes.set("ceil_mode", std::int64_t{1});
    if (opset >= 19) attributes.set("dilations", Ints{1, 2});
    Attributes max = attributes;
    if (opset >= 8) max.set("storage_order", std::int64_t{1});
    const auto max_params = std::get<PoolParams>(parse(OpKind::kMaxPool, max, opset));
    EXPECT_EQ(max_params.kernel_shape, (Ints{3, 2}));
    EXPECT_EQ(max_params.strides, (Ints{2, 1}));
    EXPECT_EQ(max_params.pads, (Ints{0, 1, 2, 3}));
    EXPECT_EQ(max_params.ceil_mode, opset >= 10);
    EXPECT_EQ(max_params.storage_order, opset >= 8 ? 1 : 0);
    Attributes average = attributes;
    if (opset >= 7) average.set("count_include_pad", std::int64_t{1});
    const auto average_params = std::get<PoolParams>(parse(OpKind::kAveragePool, average, opset));
    EXPECT_EQ(average_params.count_include_pad, opset >= 7);
    EXPECT_EQ(average_params.dilations, opset >= 19 ? (Ints{1, 2}) : Ints{});
  }
}

TEST(Pools, RefuseWhatDoesNotFit) {
  Attributes attributes;
  expect_error(ErrorCode::kInvalidModel, "attribute 'kernel_shape' is missing",
               [&] { parse(OpKind::kMaxPool, attributes, 12); });
  attributes.set("kernel_shape", Ints{2});
  attributes.set("storage_order", std::int64_t{2});
  expect_error(ErrorCode::kInvalidModel, "storage_order is 2; expected 0",
               [&] { parse(OpKind::kMaxPool, attributes, 12); });

  const auto refuses = [](ErrorCode code, const std::string& text, OpKind kind,
                          const PoolParams& params, const Tensor& x) {
    expect_error(code, text, [&] { infer_types(pool_case(kind, params, x)); });
  };
  const Tensor x(DType::kFloat32, {1, 1, 4, 4});
  refuses(ErrorCode::kInvalidModel, "kernel_shape has 1 values; x of shape [1,1,4,4] needs 2",
          OpKind::kMaxPool, {.kernel_shape = {2}}, x);
  refuses(ErrorCode::kInvalidModel, "spatial axis 1: a window of extent 5 (kernel 5, dilation 1)",
          OpKind::kMaxPool, {.kernel_shape = {2, 5}}, x);
  refuses(ErrorCode::kInvalidModel, "does not fit", OpKind::kAveragePool,
          {.kernel_shape = {2, 5}, .ceil_mode = true}, x);
  refuses(ErrorCode::kInvalidModel, "strides[0] is 0", OpKind::kAveragePool,
          {.kernel_shape = {2, 2}, .strides = {0, 1}}, x);
  refuses(ErrorCode::kUnsupported, "x of type u8", OpKind::kAveragePool, {.kernel_shape = {2, 2}},
          Tensor(DType::kUint8, {1, 1, 4, 4}));
  refuses(ErrorCode::kUnsupported, "x of type i32", OpKind::kMaxPool, {.kernel_shape = {2, 2}},
          Tensor(DType::kInt32, {1, 1, 4, 4}));
  refuses(ErrorCode::kUnsupported, "1 to 3 spatial axes", OpKind::kMaxPool,
          {.kernel_shape = {2, 2, 2, 2}}, Tensor(DType::kFloat32, {1, 1, 4, 4, 4, 4}));
}

TEST(GlobalPools, ReduceEachPlaneToOneValue) {
  const Tensor x = tensor<float>({1, 2, 2, 2}, {1, 2, 3, 6, -1, -2, -3, -6});
  const OpCase average{OpKind::kGlobalAveragePool, std::monostate{}, {x}};
  EXPECT_EQ(infer_types(average)[0].shape, (Shape{1, 2, 1, 1}));
  EXPECT_EQ(to_vector<float>(run_reference(average)[0]), (std::vector<float>{3, -3}));
  const OpCase max{OpKind::kGlobalMaxPool, std::monostate{}, {x}};
  EXPECT_EQ(to_vector<float>(run_reference(max)[0]), (std::vector<float>{6, -1}));
}

TEST(GlobalPools, MatchTheReferenceForEveryRankAndSize) {
  std::mt19937_64 random(3);
  for (const Shape& shape : {Shape{3, 5}, Shape{2, 3, 1}, Shape{2, 3, 15}, Shape{2, 3, 16},
                             Shape{2, 3, 17}, Shape{2, 3, 7, 7}, Shape{1, 2, 5, 4, 3, 2},
                             Shape{0, 3, 4}, Shape{2, 3, 0, 4}, Shape{1, 1, 1000, 101}}) {
    for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
      Tensor x = random_tensor(dtype, shape, random);
      const std::int64_t size = shape.elements(2, shape.rank());
      expect_parity({OpKind::kGlobalMaxPool, std::monostate{}, {x}}, {});
      expect_parity({OpKind::kGlobalAveragePool, std::monostate{}, {x}},
                    mean_tolerance(size, dtype));
    }
  }
}

TEST(GlobalPools, LetNaNWin) {
  std::mt19937_64 random(4);
  Tensor x = random_tensor(DType::kFloat32, {1, 4, 37}, random);
  for (std::int64_t i : {0, 37 + 20, 2 * 37 + 36}) x.as<float>()[i] = kNaN;
  expect_parity({OpKind::kGlobalMaxPool, std::monostate{}, {x}}, {});
  expect_parity({OpKind::kGlobalAveragePool, std::monostate{}, {x}},
                mean_tolerance(37, DType::kFloat32));
}

TEST(GlobalPools, RefuseVectorsAndIntegers) {
  const auto refuses = [](ErrorCode code, const std::string& text, const Tensor& x) {
    expect_error(code, text, [&] { infer_types({OpKind::kGlobalMaxPool, std::monostate{}, {x}}); });
  };
  refuses(ErrorCode::kInvalidModel, "x of shape [3]", Tensor(DType::kFloat32, {3}));
  refuses(ErrorCode::kUnsupported, "x of type i32", Tensor(DType::kInt32, {1, 1, 3}));
}

}  // namespace
}  // namespace prs::test
