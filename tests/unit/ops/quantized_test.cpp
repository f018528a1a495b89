// QuantizeLinear, DequantizeLinear, the layers of 8-bit integers, and pooling of bytes. Layers are
// compared bit by bit, on every instruction-set level.
#include <gtest/gtest.h>

#include <limits>

#include "unit/ops/linear_test.hpp"
#include "unit/ops/quantized_cases.hpp"

namespace prs::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(QuantizeLinear, ReferenceRoundsToEvenAndSaturates) {
  const OpCase test{OpKind::kQuantizeLinear,
                    QuantizeParams{},
                    {tensor<float>({9}, {0, 1, 3, 5, -1, 1000, -1000, kNaN, kInfinity}),
                     tensor<float>({}, {2}), tensor<std::uint8_t>({}, {10})}};
  EXPECT_EQ(to_vector<std::uint8_t>(run_one(test)),
            (std::vector<std::uint8_t>{10, 10, 12, 12, 10, 255, 0, 0, 255}));
  OpCase each{OpKind::kQuantizeLinear,
              QuantizeParams{.axis = 0},
              {tensor<float>({2, 2}, {1, -300, 1, -300}), tensor<float>({2}, {1, 100}),
               tensor<std::int8_t>({2}, {0, 1})}};
  EXPECT_EQ(to_vector<std::int8_t>(run_one(each)), (std::vector<std::int8_t>{1, -128, 1, -2}));
}

TEST(DequantizeLinear, ReferenceScalesTheDistanceToTheZeroPoint) {
  const OpCase test{OpKind::kDequantizeLinear,
                    QuantizeParams{.axis = -1},
                    {tensor<std::uint8_t>({2, 2}, {0, 10, 255, 20}), tensor<float>({2}, {0.5F, 2}),
                     tensor<std::uint8_t>({2}, {128, 10})}};
  EXPECT_EQ(to_vector(run_one(test)), (std::vector<float>{-64, 0, 63.5F, 20}));
  const OpCase bias{OpKind::kDequantizeLinear,
                    QuantizeParams{},
                    {tensor<std::int32_t>({2}, {-100000, 7}), tensor<float>({1}, {0.25F})}};
  EXPECT_EQ(to_vector(run_one(bias)), (std::vector<float>{-25000, 1.75F}));
}

TEST(QuantizeLinear, MatchesTheReferenceAroundEveryVectorSize) {
  std::mt19937_64 random(1);
  for (const DType to : {DType::kUint8, DType::kInt8}) {
    for (std::int64_t size : {0, 1, 3, 4, 15, 16, 17, 64, 100}) {
      const Tensor zero = random_tensor(to, {3}, random, 0, 100);
      const OpCase test{OpKind::kQuantizeLinear,
                        QuantizeParams{},
                        {random_tensor(DType::kFloat32, {2, 3, size}, random, -40, 40),
                         random_tensor(DType::kFloat32, {3}, random, 0.05, 0.5), zero}};
      expect_parity(test, {});
      expect_parity(
          {OpKind::kDequantizeLinear, QuantizeParams{}, {run_one(test), test.inputs[1], zero}},
          {.rtol = 2 * kUlp32});
    }
  }
  const OpCase special{
      OpKind::kQuantizeLinear,
      QuantizeParams{},
      {tensor<float>({5}, {kNaN, kInfinity, -kInfinity, 1e30F, -0.0F}), tensor<float>({}, {0.5F})}};
  expect_parity(special, {});
}

TEST(QuantizeLinear, ParsesTheAttributesOfEveryOpset) {
  const auto axis = [](std::int64_t opset, const Attributes& attributes) {
    return std::get<QuantizeParams>(parse(OpKind::kQuantizeLinear, attributes, opset)).axis;
  };
  Attributes attributes;
  attributes.set("axis", std::int64_t{0});
  EXPECT_EQ(axis(13, attributes), 0);
  EXPECT_EQ(axis(10, {}), 1);
  attributes.set("output_dtype", std::int64_t{3});
  EXPECT_EQ(std::get<QuantizeParams>(parse(OpKind::kQuantizeLinear, attributes, 21)).to,
            DType::kInt8);
  EXPECT_THROW(parse(OpKind::kDequantizeLinear, attributes, 23), Error);
  attributes.set("block_size", std::int64_t{16});
  EXPECT_THROW(parse(OpKind::kQuantizeLinear, attributes, 21), Error);
}

TEST(QuantizeLinear, RefusesOperandsThatDoNotFit) {
  const Tensor x = tensor<float>({2, 3}, std::vector<float>(6));
  const auto refused = [&](const std::vector<Tensor>& inputs, ErrorCode code,
                           const std::string& text) {
    expect_refused({OpKind::kQuantizeLinear, QuantizeParams{}, inputs}, code, text);
  };
  refused({x, tensor<float>({2}, {1, 1})}, ErrorCode::kInvalidModel, "2 scales for axis 1");
  refused({x, tensor<float>({3}, {1, 1, 1}), tensor<std::uint8_t>({}, {0})},
          ErrorCode::kInvalidModel, "zero point of shape []");
  refused({x, tensor<float>({1, 3}, {1, 1, 1})}, ErrorCode::kUnsupported, "scale of shape [1,3]");
  refused({x, tensor<float>({}, {1}), tensor<std::int32_t>({}, {0})}, ErrorCode::kUnsupported,
          "zero point");
  refused({tensor<double>({1}, {1}), tensor<float>({}, {1})}, ErrorCode::kUnsupported, "f64");
}

TEST(QuantizedGemm, GivesTheReferencesBitsAroundEveryTileSize) {
  int variant = 0;
  for (std::int64_t m : {0, 1, 3, 7, 8, 9, 67}) {
    for (std::int64_t n : {0, 1, 8, 15, 17, 48, 49, 64, 97}) {
      for (std::int64_t k : {0, 1, 3, 4, 5, 64, 129}) {
        std::mt19937_64 random(static_cast<std::uint64_t>(++variant));
        expect_parity(random_quantized_gemm(m, n, k, static_cast<std::size_t>(variant), random),
                      {});
      }
    }
  }
}

TEST(QuantizedGemm, SumsTheLargestProductsExactly) {
  // 255 * -128 and 255 * 127 in pairs are what instructions that saturate at 16 bits get wrong.
  for (const int weight : {-128, 127}) {
    const std::int64_t k = 65536;
    OpCase test{
        OpKind::kQuantizedGemm,
        QuantizedGemmParams{true, {.to = DType::kFloat32, .low = -kInfinity, .high = kInfinity}},
        {},
        1,
        {1}};
    test.inputs = {
        tensor<std::uint8_t>({1, k}, std::vector<std::uint8_t>(k, 255)),
        tensor<std::int8_t>({1, k}, std::vector<std::int8_t>(k, static_cast<std::int8_t>(weight))),
        tensor<float>({1}, {1}), tensor<float>({1}, {0})};
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      EXPECT_EQ(run_cpu(test, isa->name)[0].as<float>()[0],
                static_cast<float>(255.0 * weight * static_cast<double>(k)))
          << isa->name;
    }
  }
}

TEST(QuantizedConv, GivesTheReferencesBitsOnRandomShapes) {
  std::mt19937_64 random(2);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  for (std::size_t i = 0; i < 150; ++i) {
    ConvParams conv;
    conv.group = pick(1, 2);
    conv.strides = {pick(1, 2), pick(1, 3)};
    conv.dilations = {pick(1, 2), pick(1, 2)};
    conv.pads = {pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2)};
    const std::int64_t channels = pick(1, 9);
    const Shape w{conv.group * pick(1, 17), channels, pick(1, 3), pick(1, 3)};
    const Shape x{pick(1, 3), conv.group * channels, pick(5, 9), pick(5, 40)};
    expect_parity(random_quantized_conv(conv, x, w, i, random), {});
  }
}

TEST(QuantizedConv, RefusesWhatDoesNotFit) {
  const Tensor x = tensor<std::uint8_t>({1, 1, 2, 2}, {1, 2, 3, 4});
  const Tensor w = tensor<std::int8_t>({1, 1, 1, 1}, {1});
  const Tensor one = tensor<float>({1}, {1});
  const Tensor two = tensor<float>({2}, {1, 1});
  const Requantization bytes{.to = DType::kUint8, .low = 0, .high = 255};
  const auto refused = [&](const Requantization& out, const std::vector<Tensor>& inputs,
                           const std::string& text) {
    expect_refused({OpKind::kQuantizedConv, QuantizedConvParams{{}, out}, inputs},
                   ErrorCode::kInvalidModel, text);
  };
  refused(bytes, {x, w, two, one}, "multipliers f32[2]; expected f32[1]");
  refused(bytes, {x, w, one, two}, "offsets f32[2]");
  refused({.to = DType::kUint8, .low = -1, .high = 255}, {x, w, one, one}, "do not fit u8");
  EXPECT_THROW(parse(OpKind::kQuantizedConv, {}, 17), Error);
  EXPECT_THROW(parse(OpKind::kQuantizedGemm, {}, 17), Error);
}

TEST(MaxPoolOfBytes, MatchesTheReferenceInPlanesOfEverySize) {
  std::mt19937_64 random(3);
  for (const DType type : {DType::kUint8, DType::kInt8}) {
    const double low = type == DType::kInt8 ? -128.0 : 0.0;
    for (std::int64_t width : {2, 4, 6, 14, 16, 24, 30, 32, 34, 66}) {
      for (std::int64_t height : {2, 3, 5, 8}) {
        expect_parity({OpKind::kMaxPool,
                       PoolParams{.kernel_shape = {2, 2}, .strides = {2, 2}},
                       {random_tensor(type, {2, 3, height, width}, random, low, low + 256)}},
                      {});
      }
    }
  }
}

}  // namespace
}  // namespace prs::test
