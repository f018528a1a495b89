// Cast between all element types.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "movement_support.hpp"

namespace prs::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename To, typename From>
std::vector<To> cast_values(DType to, DType from, const std::vector<From>& values) {
  const Tensor x = Tensor::from<From>(from, {static_cast<std::int64_t>(values.size())}, values);
  const OpCase test{OpKind::kCast, CastParams{to}, {x}};
  expect_parity(test, Tolerance{});
  const Tensor y = run_reference(test).at(0);
  return {y.as<To>(), y.as<To>() + y.elements()};
}

TEST(Cast, TruncatesFloatsTowardsZero) {
  EXPECT_EQ((cast_values<std::int32_t>(DType::kInt32, DType::kFloat32,
                                       std::vector<float>{1.9F, -1.9F, 0.5F, -0.5F, -7.0F})),
            (std::vector<std::int32_t>{1, -1, 0, 0, -7}));
}

TEST(Cast, SaturatesFloatsOutOfRange) {
  const std::vector<double> values{kNan,  kInfinity, -kInfinity, 1e30,  -1e30,
                                   127.9, 128.0,     -128.9,     -129.0};
  EXPECT_EQ((cast_values<std::int8_t>(DType::kInt8, DType::kFloat64, values)),
            (std::vector<std::int8_t>{0, 127, -128, 127, -128, 127, 127, -128, -128}));
  EXPECT_EQ((cast_values<std::uint8_t>(DType::kUint8, DType::kFloat64, values)),
            (std::vector<std::uint8_t>{0, 255, 0, 255, 0, 127, 128, 0, 0}));
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ((cast_values<std::int64_t>(DType::kInt64, DType::kFloat32,
                                       std::vector<float>{0x1p63F, -0x1p63F, -0x1p64F, 0x1p62F})),
            (std::vector<std::int64_t>{kMax, kMin, kMin, std::int64_t{1} << 62}));
  EXPECT_EQ((cast_values<std::uint64_t>(DType::kUint64, DType::kFloat32,
                                        std::vector<float>{0x1p64F, 0x1p63F, -1.0F})),
            (std::vector<std::uint64_t>{std::numeric_limits<std::uint64_t>::max(),
                                        std::uint64_t{1} << 63, 0}));
}

TEST(Cast, KeepsTheLowBitsOfIntegers) {
  EXPECT_EQ((cast_values<std::uint8_t>(DType::kUint8, DType::kInt32,
                                       std::vector<std::int32_t>{-1, 256, 511})),
            (std::vector<std::uint8_t>{255, 0, 255}));
  EXPECT_EQ((cast_values<std::int32_t>(DType::kInt32, DType::kUint64,
                                       std::vector<std::uint64_t>{~std::uint64_t{0}, 1ULL << 31})),
            (std::vector<std::int32_t>{-1, std::numeric_limits<std::int32_t>::min()}));
  EXPECT_EQ(
      (cast_values<std::uint64_t>(DType::kUint64, DType::kInt8, std::vector<std::int8_t>{-2})),
      (std::vector<std::uint64_t>{~std::uint64_t{1}}));
}

TEST(Cast, MakesBoolOfWhatIsNotZero) {
  EXPECT_EQ((cast_values<std::uint8_t>(DType::kBool, DType::kFloat64,
                                       std::vector<double>{0.0, -0.0, 1e-300, kNan, -2.0})),
            (std::vector<std::uint8_t>{0, 0, 1, 1, 1}));
  EXPECT_EQ((cast_values<std::uint8_t>(DType::kBool, DType::kInt64,
                                       std::vector<std::int64_t>{0, 256, std::int64_t{1} << 40})),
            (std::vector<std::uint8_t>{0, 1, 1}));
  EXPECT_EQ((cast_values<float>(DType::kFloat32, DType::kBool, std::vector<std::uint8_t>{0, 1})),
            (std::vector<float>{0.0F, 1.0F}));
}

TEST(Cast, TakesAnyByteButZeroForTrue) {
  const Tensor x = Tensor::from<std::uint8_t>(DType::kBool, {2}, std::vector<std::uint8_t>{0, 7});
  for (const DType to : {DType::kInt32, DType::kFloat16}) {
    expect_parity({OpKind::kCast, CastParams{to}, {x}}, Tolerance{});
  }
  EXPECT_EQ(
      run_reference({OpKind::kCast, CastParams{DType::kUint8}, {x}}).at(0).as<std::uint8_t>()[1],
      1);
}

TEST(Cast, RoundsToHalfOnce) {
  const std::vector<double> values{
      1.0 + 0x1p-11,            // A tie: to even.
      1.0 + 0x1p-11 + 0x1p-40,  // Just above it, lost when float comes between.
      1.0 + 3 * 0x1p-11,        // A tie: to even, upwards.
      1.0 + 3 * 0x1p-11 - 0x1p-40,
      65519.999999999,  // Below the tie to infinity.
      65520.0,
      0x1p-25,  // Half of the smallest number: to even.
      0x1p-25 + 0x1p-60,
      -0x1p-1000,
      kInfinity,
  };
  EXPECT_EQ((cast_values<std::uint16_t>(DType::kFloat16, DType::kFloat64, values)),
            (std::vector<std::uint16_t>{0x3C00, 0x3C01, 0x3C02, 0x3C01, 0x7BFF, 0x7C00, 0x0000,
                                        0x0001, 0x8000, 0x7C00}));
}

TEST(Cast, RoundsToBfloat16Once) {
  EXPECT_EQ((cast_values<std::uint16_t>(
                DType::kBFloat16, DType::kFloat64,
                std::vector<double>{1.0 + 0x1p-8, 1.0 + 0x1p-8 + 0x1p-50, 3.4e38, 1e300})),
            (std::vector<std::uint16_t>{0x3F80, 0x3F81, 0x7F80, 0x7F80}));
  const std::int64_t tie = (std::int64_t{1} << 62) + (std::int64_t{1} << 54);
  EXPECT_EQ(
      (cast_values<std::uint16_t>(DType::kBFloat16, DType::kInt64,
                                  std::vector<std::int64_t>{tie, tie + 1, -tie - 1, tie - 1})),
      (std::vector<std::uint16_t>{0x5E80, 0x5E81, 0xDE81, 0x5E80}));
}

TEST(Cast, RoundsIntegersToFloatsOnce) {
  EXPECT_EQ((cast_values<std::uint16_t>(DType::kFloat16, DType::kInt32,
                                        std::vector<std::int32_t>{2049, 2051, 65519, 65520, -1})),
            (std::vector<std::uint16_t>{0x6800, 0x6802, 0x7BFF, 0x7C00, 0xBC00}));
  const std::int64_t tie = (std::int64_t{1} << 60) + (std::int64_t{1} << 36);
  EXPECT_EQ(
      (cast_values<float>(DType::kFloat32, DType::kInt64, std::vector<std::int64_t>{tie, tie + 1})),
      (std::vector<float>{0x1p60F, 0x1.000002p60F}));
}

TEST(Cast, AgreesBetweenAllTypes) {
  Random random(21);
  for (const DType from : kAllTypes) {
    for (const DType to : kAllTypes) {
      expect_parity({OpKind::kCast, CastParams{to}, {random_bits(from, {257}, random)}}, {});
      expect_parity({OpKind::kCast, CastParams{to}, {random_bits(from, {}, random)}}, {});
      expect_parity({OpKind::kCast, CastParams{to}, {random_bits(from, {3, 0}, random)}}, {});
    }
  }
}

TEST(Cast, AgreesOnDoublesNearTies) {
  Random random(22);
  Tensor x(DType::kFloat64, {20000});
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    // A float exactly between two halves or bfloat16s, plus a little that float cannot hold.
    const auto bits = static_cast<std::uint32_t>(random() & 0xFFFFF000U) | 0x1000U;
    const double tie = std::bit_cast<float>(random() % 2 == 0 ? bits : bits << 4);
    x.as<double>()[i] = tie * (1.0 + static_cast<double>(random_int(random, -1, 1)) * 0x1p-45);
  }
  expect_parity({OpKind::kCast, CastParams{DType::kFloat16}, {x}}, {});
  expect_parity({OpKind::kCast, CastParams{DType::kBFloat16}, {x}}, {});
}

DType parsed(std::int64_t opset, Attributes::Value to) {
  return std::get<CastParams>(parse(OpKind::kCast, opset, attributes({{"to", std::move(to)}}))).to;
}

TEST(Cast, ReadsANumber) {
  for (const DType dtype : kAllTypes) {
    EXPECT_EQ(parsed(13, static_cast<std::int64_t>(dtype)), dtype);
  }
}

TEST(Cast, ReadsANameBelowOpset6) {
  EXPECT_EQ(parsed(1, std::string("FLOAT")), DType::kFloat32);
  EXPECT_EQ(parsed(5, std::string("FLOAT16")), DType::kFloat16);
  EXPECT_EQ(parsed(5, std::string("INT64")), DType::kInt64);
  EXPECT_EQ(parsed(5, std::string("BOOL")), DType::kBool);
}

TEST(Cast, RefusesOtherTypes) {
  expect_error(ErrorCode::kUnsupported, "STRING", [] { parsed(5, std::string("STRING")); });
  for (const std::int64_t number : {0, 8, 14, 17, 99}) {
    expect_error(ErrorCode::kUnsupported, "number " + std::to_string(number),
                 [&] { parsed(25, number); });
  }
  expect_error(ErrorCode::kInvalidModel, "'to' is missing", [] { parse(OpKind::kCast, 9, {}); });
  expect_error(ErrorCode::kInvalidModel, "'to' is not of type",
               [] { parsed(6, std::string("FLOAT")); });
}

}  // namespace
}  // namespace prs::test
