#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/op.hpp"
#include "prs/error.hpp"
#include "support/op_test.hpp"

namespace prs::test {
namespace {

const OpKind kReductions[] = {OpKind::kReduceMean, OpKind::kReduceSum, OpKind::kReduceMax,
                              OpKind::kReduceMin};
/// Sums accumulate in double in both, but not in the same order, and are rounded once.
constexpr Tolerance kOneRounding{0x1p-23, 1e-12};

ReduceParams over(std::vector<std::int64_t> axes, bool keepdims = true) {
  ReduceParams params;
  params.legacy_axes = std::move(axes);
  params.keepdims = keepdims;
  return params;
}

void expect_reference(const OpCase& test, const Tensor& want) {
  expect_close(run_reference(test).at(0), want, {}, "reference");
  expect_parity(test, kOneRounding);
}

TEST(Reduce, ReferenceMatchesKnownValues) {
  const Tensor x = tensor<float>({2, 3}, {1, 2, 3, 4, 5, 9});
  expect_reference({OpKind::kReduceSum, over({1}), {x}}, tensor<float>({2, 1}, {6, 18}));
  expect_reference({OpKind::kReduceSum, over({0}, false), {x}}, tensor<float>({3}, {5, 7, 12}));
  expect_reference({OpKind::kReduceMean, over({-1}, false), {x}}, tensor<float>({2}, {2, 6}));
  expect_reference({OpKind::kReduceMax, over({}, false), {x}}, tensor<float>({}, {9}));
  expect_reference({OpKind::kReduceMin, over({0, 1}), {x}}, tensor<float>({1, 1}, {1}));
}

TEST(Reduce, EverySetOfAxesMatchesTheReference) {
  std::mt19937_64 random(1);
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 17, 1, 3}, Shape{3, 1, 2, 1}}) {
    const Tensor x = random_tensor(DType::kFloat32, shape, random);
    for (unsigned set = 0; set < 16; ++set) {
      std::vector<std::int64_t> axes;
      for (std::int64_t axis = 0; axis < 4; ++axis) {
        if ((set >> axis & 1u) != 0) axes.push_back(set % 3 == 0 ? axis - 4 : axis);
      }
      for (OpKind kind : kReductions) {
        expect_parity({kind, over(axes, set % 2 == 0), {x}}, kOneRounding);
      }
    }
  }
}

TEST(Reduce, EverySizeMatchesTheReference) {
  std::mt19937_64 random(2);
  for (std::int64_t n : {0, 1, 15, 16, 17, 255, 256, 257, 513, 5000}) {
    for (OpKind kind : kReductions) {
      const Tensor row = random_tensor(DType::kFloat32, {3, n}, random);
      expect_parity({kind, over({1}), {row}}, kOneRounding);
      expect_parity({kind, over({0}), {row}}, kOneRounding);
      const Tensor blocks = random_tensor(DType::kFloat32, {2, 3, 2, n}, random);
      expect_parity({kind, over({1, 3}), {blocks}}, kOneRounding);
      expect_parity({kind, over({0, 2}), {blocks}}, kOneRounding);
    }
  }
}

TEST(Reduce, EveryAllowedTypeMatchesTheReference) {
  std::mt19937_64 random(3);
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64,
                      DType::kUint32, DType::kUint64, DType::kInt8, DType::kUint8, DType::kBool}) {
    const bool small = dtype == DType::kInt8 || dtype == DType::kUint8 || dtype == DType::kBool;
    const bool is_signed = dtype_name(dtype)[0] != 'u';
    const Tensor x = random_tensor(dtype, {5, 4, 19}, random, is_signed ? -100 : 0, 100);
    for (OpKind kind : kReductions) {
      const bool sums = kind == OpKind::kReduceSum || kind == OpKind::kReduceMean;
      if (sums && small) {
        expect_refused({kind, over({}), {x}}, ErrorCode::kUnsupported,
                       std::string(dtype_name(dtype)));
        continue;
      }
      expect_parity({kind, over({0, 2}), {x}}, kOneRounding);
      expect_parity({kind, over({1}), {x}}, kOneRounding);
    }
  }
}

TEST(Reduce, IntegerSumsWrapAndMeansTruncate) {
  constexpr std::int32_t kHighest = std::numeric_limits<std::int32_t>::max();
  const Tensor x = tensor<std::int32_t>({2, 2}, {kHighest, kHighest, -3, -4});
  expect_reference({OpKind::kReduceSum, over({1}), {x}}, tensor<std::int32_t>({2, 1}, {-2, -7}));
  expect_reference({OpKind::kReduceMean, over({1}), {x}},
                   tensor<std::int32_t>({2, 1}, {kHighest, -3}));
}

TEST(Reduce, EmptySetsGiveTheIdentity) {
  const Tensor x(DType::kFloat32, {2, 0});
  expect_reference({OpKind::kReduceSum, over({1}), {x}}, tensor<float>({2, 1}, {0, 0}));
  expect_reference({OpKind::kReduceMean, over({1}), {x}}, tensor<float>({2, 1}, {kNaN, kNaN}));
  expect_reference({OpKind::kReduceMax, over({1}), {x}}, tensor<float>({2, 1}, {-kInf, -kInf}));
  expect_reference({OpKind::kReduceMin, over({1}), {x}}, tensor<float>({2, 1}, {kInf, kInf}));
  const Tensor kept(DType::kFloat32, {0, 3});
  expect_reference({OpKind::kReduceMin, over({0}), {kept}},
                   tensor<float>({1, 3}, {kInf, kInf, kInf}));
  const Tensor ints(DType::kInt32, {0});
  expect_reference({OpKind::kReduceMean, over({}), {ints}}, tensor<std::int32_t>({1}, {0}));
  expect_reference({OpKind::kReduceMax, over({}), {ints}},
                   tensor<std::int32_t>({1}, {std::numeric_limits<std::int32_t>::lowest()}));
  const Tensor flags(DType::kBool, {0});
  EXPECT_FALSE(run_reference({OpKind::kReduceMax, over({}), {flags}})[0].as<bool>()[0]);
  EXPECT_TRUE(run_reference({OpKind::kReduceMin, over({}), {flags}})[0].as<bool>()[0]);
  expect_parity({OpKind::kReduceMax, over({}), {flags}}, {});
  expect_parity({OpKind::kReduceMin, over({}), {flags}}, {});
}

TEST(Reduce, ScalarsReduceToThemselves) {
  for (OpKind kind : kReductions) {
    expect_reference({kind, over({}), {tensor<float>({}, {-3})}}, tensor<float>({}, {-3}));
  }
}

TEST(Reduce, NaNPropagatesFromEveryPosition) {
  for (std::int64_t at : {0, 7, 16, 31, 32, 36}) {
    std::vector<float> values(37, 1.0F);
    values[static_cast<std::size_t>(at)] = kNaN;
    for (OpKind kind : kReductions) {
      expect_reference({kind, over({0}), {tensor<float>({37}, values)}},
                       tensor<float>({1}, {kNaN}));
      expect_parity({kind, over({0}), {tensor<float>({37, 1}, values)}}, {});
    }
    const Tensor two_columns = tensor<float>({2, 37}, [&] {
      std::vector<float> both = values;
      both.insert(both.end(), 37, 2.0F);
      return both;
    }());
    for (OpKind kind : kReductions) expect_parity({kind, over({0}), {two_columns}}, kOneRounding);
  }
}

TEST(Reduce, SpecialValuesMatchTheReference) {
  const Tensor x =
      tensor<float>({3, 4}, {kInf, 1, -kInf, 0, -kInf, -kInf, -1, -2, 1e-41F, -0.0F, 3e38F, 3e38F});
  for (OpKind kind : kReductions) {
    expect_parity({kind, over({1}), {x}}, kOneRounding);
    expect_parity({kind, over({0}), {x}}, kOneRounding);
  }
}

TEST(Reduce, LongSumsKeepTheirPrecision) {
  const Tensor x = tensor<float>({1 << 20}, std::vector<float>(1 << 20, 0.1F));
  const OpCase test{OpKind::kReduceSum, over({0}), {x}};
  expect_close(run_reference(test)[0], tensor<float>({1}, {104857.6F}), {2e-7, 0}, "reference");
  expect_parity(test, kOneRounding);
}

TEST(Reduce, AxesMayBeAnInput) {
  std::mt19937_64 random(4);
  const Tensor x = random_tensor(DType::kFloat32, {3, 4, 5}, random);
  const Tensor axes = tensor<std::int64_t>({2}, {0, -1});
  const Tensor none(DType::kInt64, {0});
  ReduceParams params;
  for (OpKind kind : kReductions) {
    EXPECT_EQ(infer_types({kind, params, {x, axes}})[0].shape, (Shape{1, 4, 1}));
    EXPECT_EQ(infer_types({kind, params, {x, none}})[0].shape, (Shape{1, 1, 1}));
    EXPECT_EQ(infer_types({kind, params, {x}})[0].shape, (Shape{1, 1, 1}));
    expect_parity({kind, params, {x, axes}}, kOneRounding);
    expect_parity({kind, params, {x, none}}, kOneRounding);
  }
  params.noop_with_empty_axes = true;
  for (OpKind kind : kReductions) {
    expect_reference({kind, params, {x, none}}, x);
    expect_reference({kind, params, {x}}, x);
    expect_reference({kind, params, {x, Tensor()}}, x);
  }
}

TEST(Reduce, ReadsTheAttributesOfEachOpset) {
  Attributes attributes;
  attributes.set("axes", std::vector<std::int64_t>{1});
  attributes.set("keepdims", std::int64_t{0});
  attributes.set("noop_with_empty_axes", std::int64_t{1});
  const auto parsed = [&](OpKind kind, std::int64_t opset) {
    return std::get<ReduceParams>(parse(kind, opset, attributes));
  };
  const std::vector<std::int64_t> one{1};
  EXPECT_EQ(parsed(OpKind::kReduceSum, 12).legacy_axes, one);
  EXPECT_FALSE(parsed(OpKind::kReduceSum, 12).keepdims);
  EXPECT_FALSE(parsed(OpKind::kReduceSum, 12).noop_with_empty_axes);
  EXPECT_FALSE(parsed(OpKind::kReduceSum, 13).legacy_axes.has_value());
  EXPECT_TRUE(parsed(OpKind::kReduceSum, 13).noop_with_empty_axes);
  for (OpKind kind : {OpKind::kReduceMean, OpKind::kReduceMax, OpKind::kReduceMin}) {
    EXPECT_EQ(parsed(kind, 17).legacy_axes, one);
    EXPECT_FALSE(parsed(kind, 18).legacy_axes.has_value());
  }
  EXPECT_TRUE(std::get<ReduceParams>(parse(OpKind::kReduceMax, 1, {})).keepdims);
}

TEST(Reduce, RefusesWrongAxesAndTypes) {
  const Tensor x = tensor<float>({2, 2}, {1, 2, 3, 4});
  expect_refused({OpKind::kReduceSum, over({2}), {x}}, ErrorCode::kInvalidModel,
                 "axis 2 out of range for rank 2; expected -2..1");
  expect_refused({OpKind::kReduceSum, ReduceParams{}, {x, tensor<float>({1}, {0})}},
                 ErrorCode::kInvalidModel, "axes must be i64 or i32, not f32");
  expect_refused({OpKind::kReduceSum, over({}), {Tensor(DType::kBool, {1})}},
                 ErrorCode::kUnsupported, "bool");
}

TEST(ArgMax, ReferenceFindsFirstOrLastOfEquals) {
  const Tensor x = tensor<float>({2, 4}, {1, 3, 3, 2, 5, 0, 1, 5});
  expect_reference({OpKind::kArgMax, ArgMaxParams{1, true, false}, {x}},
                   tensor<std::int64_t>({2, 1}, {1, 0}));
  expect_reference({OpKind::kArgMax, ArgMaxParams{-1, false, true}, {x}},
                   tensor<std::int64_t>({2}, {2, 3}));
  expect_reference({OpKind::kArgMax, ArgMaxParams{0, false, false}, {x}},
                   tensor<std::int64_t>({4}, {1, 0, 0, 1}));
}

TEST(ArgMax, NaNIsTheLargest) {
  const Tensor x = tensor<float>({5}, {1, kNaN, kInf, kNaN, 2});
  expect_reference({OpKind::kArgMax, ArgMaxParams{0, false, false}, {x}},
                   tensor<std::int64_t>({}, {1}));
  expect_reference({OpKind::kArgMax, ArgMaxParams{0, false, true}, {x}},
                   tensor<std::int64_t>({}, {3}));
  const Tensor low = tensor<float>({3}, {-kInf, -kInf, -kInf});
  expect_reference({OpKind::kArgMax, ArgMaxParams{0, false, true}, {low}},
                   tensor<std::int64_t>({}, {2}));
}

TEST(ArgMax, EveryTypeAndAxisMatchesTheReference) {
  std::mt19937_64 random(5);
  for (DType dtype :
       {DType::kFloat32, DType::kFloat64, DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64,
        DType::kUint8, DType::kUint16, DType::kUint32, DType::kUint64}) {
    for (const Shape& shape : {Shape{1}, Shape{257}, Shape{3, 17, 5}, Shape{2, 1, 16}}) {
      // Few distinct values, so that there are equals.
      const Tensor x = random_tensor(dtype, shape, random, 0, 5);
      for (std::int64_t axis = -shape.rank(); axis < shape.rank(); ++axis) {
        expect_parity({OpKind::kArgMax, ArgMaxParams{axis, axis < 0, false}, {x}}, {});
        expect_parity({OpKind::kArgMax, ArgMaxParams{axis, axis >= 0, true}, {x}}, {});
      }
    }
  }
}

TEST(ArgMax, ScalarsAndEmptyBatches) {
  expect_reference({OpKind::kArgMax, ArgMaxParams{}, {tensor<float>({}, {5})}},
                   tensor<std::int64_t>({}, {0}));
  expect_parity({OpKind::kArgMax, ArgMaxParams{1, true, false}, {Tensor(DType::kFloat32, {0, 3})}},
                {});
}

TEST(ArgMax, ReadsItsAttributes) {
  const auto defaults = std::get<ArgMaxParams>(parse(OpKind::kArgMax, 1, {}));
  EXPECT_EQ(defaults.axis, 0);
  EXPECT_TRUE(defaults.keepdims);
  EXPECT_FALSE(defaults.select_last_index);
  Attributes attributes;
  attributes.set("axis", std::int64_t{-1});
  attributes.set("keepdims", std::int64_t{0});
  attributes.set("select_last_index", std::int64_t{1});
  const auto given = std::get<ArgMaxParams>(parse(OpKind::kArgMax, 13, attributes));
  EXPECT_EQ(given.axis, -1);
  EXPECT_FALSE(given.keepdims);
  EXPECT_TRUE(given.select_last_index);
}

TEST(ArgMax, RefusesEmptyOrWrongAxesAndTypes) {
  expect_refused({OpKind::kArgMax, ArgMaxParams{}, {Tensor(DType::kFloat32, {0, 3})}},
                 ErrorCode::kInvalidModel, "axis 0 of [0,3] has no elements");
  expect_refused({OpKind::kArgMax, ArgMaxParams{2}, {Tensor(DType::kFloat32, {1, 3})}},
                 ErrorCode::kInvalidModel, "axis 2 out of range for rank 2; expected -2..1");
  expect_refused({OpKind::kArgMax, ArgMaxParams{}, {Tensor(DType::kBool, {1})}},
                 ErrorCode::kUnsupported, "bool");
}

}  // namespace
}  // namespace prs::test
