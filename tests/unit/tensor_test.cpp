#include "prs/tensor.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "prs/error.hpp"

namespace prs {
namespace {

template <typename Body>
ErrorCode code_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

constexpr std::int64_t kHuge = std::int64_t{1} << 62;

TEST(DType, KnowsItsSizeAndName) {
  EXPECT_EQ(dtype_size(DType::kBool), 1);
  EXPECT_EQ(dtype_size(DType::kBFloat16), 2);
  EXPECT_EQ(dtype_size(DType::kUint32), 4);
  EXPECT_EQ(dtype_size(DType::kFloat64), 8);
  EXPECT_EQ(dtype_size(DType::kUndefined), 0);
  EXPECT_EQ(dtype_name(DType::kBFloat16), "bf16");
  EXPECT_EQ(dtype_name(DType::kInt64), "i64");
}

TEST(Shape, CountsItsElements) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape({2, 3, 4}).elements(1, 3), 12);
  EXPECT_EQ(Shape({2, 3, 4}).elements(2, 2), 1);
  EXPECT_EQ(Shape({2, 0, 4}).elements(), 0);
  EXPECT_EQ(Shape({kHuge}).elements(), kHuge);
}

TEST(Shape, RefusesTooManyElements) {
  EXPECT_EQ(code_of([] { Shape({kHuge, 2}).elements(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([] { Shape({kHuge + 1}).elements(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Shape({kHuge, kHuge, 0}).elements(), 0);
}

TEST(Shape, RefusesNegativeExtentsAndMoreThan8Axes) {
  EXPECT_EQ(code_of([] { Shape({2, -1}); }), ErrorCode::kInvalidArgument);
  EXPECT_NO_THROW(Shape({1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(code_of([] { Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}); }), ErrorCode::kUnsupported);
}

TEST(Shape, ComparesRankAndExtents) {
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_NE(Shape({2, 3}), Shape({3, 2}));
  EXPECT_NE(Shape({2}), Shape({2, 1}));
  EXPECT_NE(Shape(), Shape({1}));
  Shape changed{2, 3};
  changed.set(1, 5);
  EXPECT_EQ(changed, Shape({2, 5}));
}

TEST(Shape, PrintsItsExtents) {
  EXPECT_EQ(Shape().to_string(), "[]");
  EXPECT_EQ(Shape({2, 0, 4}).to_string(), "[2,0,4]");
}

TEST(Tensor, AlignsItsBufferTo64Bytes) {
  for (const std::int64_t count : {0, 1, 63, 64, 65}) {
    const Tensor tensor(DType::kUint8, {count});
    ASSERT_NE(tensor.data(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0U);
    EXPECT_EQ(tensor.bytes(), count);
  }
}

TEST(Tensor, CopiesValuesAndSharesThemBetweenCopies) {
  const std::vector<float> values{1, 2, 3, 4};
  Tensor tensor = Tensor::from<float>(DType::kFloat32, {2, 2}, values);
  const Tensor copy = tensor;
  tensor.as<float>()[3] = 9;
  EXPECT_EQ(copy.as<float>()[3], 9);
  EXPECT_EQ(values[3], 4);
}

TEST(Tensor, RefusesDataOfAnotherSize) {
  const std::vector<float> values{1, 2, 3};
  EXPECT_EQ(code_of([&] {
              Tensor::from<float>(DType::kFloat32, {2, 2}, values);
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { Tensor::from<float>(DType::kFloat64, {3}, values); }),
            ErrorCode::kInvalidArgument);
}

TEST(Tensor, RefusesWhatDoesNotFitIntoMemory) {
  EXPECT_EQ(code_of([] { Tensor(DType::kUndefined, {1}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([] { Tensor(DType::kFloat64, {kHuge}); }), ErrorCode::kOutOfMemory);
}

TEST(Tensor, ReshapesWithoutCopying) {
  const Tensor tensor(DType::kInt32, {2, 3});
  const Tensor reshaped = tensor.reshaped({3, 2, 1});
  EXPECT_EQ(reshaped.data(), tensor.data());
  EXPECT_EQ(reshaped.shape(), Shape({3, 2, 1}));
  EXPECT_EQ(code_of([&] { tensor.reshaped({4}); }), ErrorCode::kInvalidArgument);
}

TEST(Tensor, IsEmptyByDefault) {
  EXPECT_TRUE(Tensor().empty());
  EXPECT_FALSE(Tensor(DType::kFloat32, {0}).empty());
}

/// The value of a 16-bit float by definition: sign, exponent and mantissa taken apart.
double decode(std::uint16_t bits, int mantissa_bits, int bias) {
  const int exponent_bits = 15 - mantissa_bits;
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Format {
  int mantissa_bits;
  int bias;
  std::uint16_t infinity;
  float (*to_float)(std::uint16_t) noexcept;
  std::uint16_t (*from_float)(float) noexcept;
};
constexpr Format kHalf{10, 15, 0x7C00, &half_to_float, &float_to_half};
constexpr Format kBfloat16{7, 127, 0x7F80, &bfloat16_to_float, &float_to_bfloat16};

class SixteenBitFloat : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, SixteenBitFloat, testing::Values(kHalf, kBfloat16),
                         [](const auto& format) {
                           return format.param.mantissa_bits == 10 ? "Half" : "Bfloat16";
                         });

TEST_P(SixteenBitFloat, ReadsEveryValue) {
  const Format& format = GetParam();
  for (int i = 0; i <= 0xFFFF; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const double want = decode(bits, format.mantissa_bits, format.bias);
    const float got = format.to_float(bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << i;
    } else {
      ASSERT_EQ(got, want) << i;
      ASSERT_EQ(std::signbit(got), std::signbit(want)) << i;
    }
  }
}

TEST_P(SixteenBitFloat, WritesBackEveryValue) {
  const Format& format = GetParam();
  for (int i = 0; i <= 0xFFFF; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const std::uint16_t back = format.from_float(format.to_float(bits));
    if ((bits & 0x7FFF) > format.infinity) {
      ASSERT_GT(back & 0x7FFF, format.infinity) << "NaN " << i;
      ASSERT_EQ(back & 0x8000, bits & 0x8000) << "NaN " << i;
    } else {
      ASSERT_EQ(back, bits) << i;
    }
  }
}

TEST_P(SixteenBitFloat, RoundsToNearestAndTiesToEven) {
  const Format& format = GetParam();
  const float infinity = std::numeric_limits<float>::infinity();
  for (int i = 0; i < format.infinity; ++i) {
    const auto low = static_cast<std::uint16_t>(i);
    const auto high = static_cast<std::uint16_t>(i + 1);
    const double a = decode(low, format.mantissa_bits, format.bias);
    // Beyond the largest value comes infinity, which rounding takes for the next power of two.
    const double b = high == format.infinity ? std::ldexp(1.0, format.bias + 1)
                                             : decode(high, format.mantissa_bits, format.bias);
    const auto middle = static_cast<float>((a + b) / 2);
    ASSERT_EQ(static_cast<double>(middle), (a + b) / 2) << i;
    for (const std::uint16_t sign : {0, 0x8000}) {
      const float factor = sign != 0 ? -1.0F : 1.0F;
      ASSERT_EQ(format.from_float(factor * middle), sign | (i % 2 == 0 ? low : high)) << i;
      ASSERT_EQ(format.from_float(factor * std::nextafter(middle, 0.0F)), sign | low) << i;
      ASSERT_EQ(format.from_float(factor * std::nextafter(middle, infinity)), sign | high) << i;
    }
  }
}

TEST_P(SixteenBitFloat, OverflowsToInfinity) {
  const Format& format = GetParam();
  EXPECT_EQ(format.from_float(std::numeric_limits<float>::max()), format.infinity);
  EXPECT_EQ(format.from_float(-std::numeric_limits<float>::infinity()), 0x8000 | format.infinity);
}

TEST_P(SixteenBitFloat, KeepsEveryKindOfNan) {
  const Format& format = GetParam();
  for (const std::uint32_t bits : {0x7F800001U, 0x7FC00000U, 0x7FFFFFFFU, 0xFF800001U}) {
    EXPECT_GT(format.from_float(std::bit_cast<float>(bits)) & 0x7FFF, format.infinity) << bits;
  }
}

}  // namespace
}  // namespace prs
