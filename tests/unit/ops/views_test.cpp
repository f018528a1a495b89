// Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout, Constant, ConstantOfShape, Shape.
#include <gtest/gtest.h>

#include <numeric>

#include "movement_support.hpp"

namespace prs::test {
namespace {

constexpr std::int64_t kHugeExtent = std::int64_t{1} << 62;

Shape infer_shape(const OpCase& test) { return infer_types(test).at(0).shape; }

Shape reshape(const Shape& x, const Ints& shape, bool allowzero = false) {
  return infer_shape(
      {OpKind::kReshape, ReshapeParams{allowzero, {}}, {Tensor(DType::kUint8, x), ints(shape)}});
}

TEST(Reshape, TakesTheExtentsOfItsInput) {
  EXPECT_EQ(reshape({2, 3, 4}, {4, 6}), Shape({4, 6}));
  EXPECT_EQ(reshape({2, 3, 4}, {24}), Shape({24}));
  EXPECT_EQ(reshape({1, 1}, {}), Shape());
  EXPECT_EQ(reshape({}, {1, 1, 1}), Shape({1, 1, 1}));
}

TEST(Reshape, CopiesAnExtentForZero) {
  EXPECT_EQ(reshape({2, 3, 4}, {0, 12}), Shape({2, 12}));
  EXPECT_EQ(reshape({2, 3, 4}, {2, 0, 1, 4}), Shape({2, 3, 1, 4}));
  EXPECT_EQ(reshape({0, 3}, {0, 7}), Shape({0, 7}));
}

TEST(Reshape, InfersOneExtent) {
  EXPECT_EQ(reshape({2, 3, 4}, {-1}), Shape({24}));
  EXPECT_EQ(reshape({2, 3, 4}, {0, -1, 2}), Shape({2, 6, 2}));
  EXPECT_EQ(reshape({0, 3}, {-1, 5}), Shape({0, 5}));
}

TEST(Reshape, AllowzeroMakesZeroAnExtent) {
  EXPECT_EQ(reshape({0, 3}, {3, 0}, true), Shape({3, 0}));
  expect_error(ErrorCode::kInvalidModel, "6 elements", [] { reshape({2, 3}, {0, 3}, true); });
}

TEST(Reshape, RefusesOtherElementCounts) {
  expect_error(ErrorCode::kInvalidModel,
               "the input [2,3] has 6 elements, the new shape [4,2] has 8", [] {
                 reshape({2, 3}, {4, 2});
               });
  expect_error(ErrorCode::kInvalidModel, "do not spread", [] { reshape({2, 3}, {4, -1}); });
  expect_error(ErrorCode::kInvalidModel, "do not spread", [] { reshape({0, 3}, {0, -1}); });
}

TEST(Reshape, RefusesImpossibleExtents) {
  expect_error(ErrorCode::kInvalidModel, "both -1", [] { reshape({2, 3}, {-1, -1}); });
  expect_error(ErrorCode::kInvalidModel, "is -2", [] { reshape({2, 3}, {-2, 3}); });
  expect_error(ErrorCode::kInvalidModel, "copies an extent", [] { reshape({6}, {6, 0}); });
  expect_error(ErrorCode::kInvalidArgument, "2^62", [] {
    reshape({6}, {kHugeExtent, kHugeExtent});
  });
  expect_error(ErrorCode::kUnsupported, "more than 8", [] { reshape({1}, Ints(9, 1)); });
}

TEST(Reshape, NeedsAShapeKnownWhenCompiling) {
  const InputInfo inputs[] = {{{DType::kFloat32, {6}}, nullptr}, {{DType::kInt64, {2}}, nullptr}};
  std::vector<TensorType> types(1);
  const Params params = ReshapeParams{};
  expect_error(ErrorCode::kUnsupported, "input 1", [&] {
    op_def(OpKind::kReshape).infer({OpKind::kReshape, params, inputs}, types);
  });
}

TEST(Reshape, ReadsTheShapeAttributeBelowOpset5) {
  const Params params = parse(OpKind::kReshape, 1, attributes({{"shape", Ints{3, -1}}}));
  expect_result({OpKind::kReshape, params, {iota({2, 3})}}, iota({3, 2}));
  expect_error(ErrorCode::kInvalidModel, "'shape'", [] { parse(OpKind::kReshape, 4, {}); });
}

TEST(Reshape, ReadsAllowzeroFromOpset14) {
  const Attributes allowzero = attributes({{"allowzero", std::int64_t{1}}});
  EXPECT_FALSE(std::get<ReshapeParams>(parse(OpKind::kReshape, 13, allowzero)).allowzero);
  EXPECT_TRUE(std::get<ReshapeParams>(parse(OpKind::kReshape, 14, allowzero)).allowzero);
  EXPECT_FALSE(std::get<ReshapeParams>(parse(OpKind::kReshape, 25, {})).allowzero);
}

TEST(Reshape, CopiesEveryType) {
  Random random(1);
  for (const DType dtype : kAllTypes) {
    for (std::int64_t rank = 0; rank <= 6; ++rank) {
      const Shape shape = random_shape(random, rank);
      expect_equal_bits({OpKind::kReshape,
                         ReshapeParams{},
                         {random_bits(dtype, shape, random), ints({shape.elements()})}});
    }
  }
}

Shape flatten(const Shape& x, std::int64_t axis) {
  return infer_shape({OpKind::kFlatten, FlattenParams{axis}, {Tensor(DType::kUint8, x)}});
}

TEST(Flatten, SplitsTheShapeAtItsAxis) {
  EXPECT_EQ(flatten({2, 3, 4}, 0), Shape({1, 24}));
  EXPECT_EQ(flatten({2, 3, 4}, 1), Shape({2, 12}));
  EXPECT_EQ(flatten({2, 3, 4}, 3), Shape({24, 1}));
  EXPECT_EQ(flatten({2, 3, 4}, -1), Shape({6, 4}));
  EXPECT_EQ(flatten({2, 3, 4}, -3), Shape({1, 24}));
  EXPECT_EQ(flatten({}, 0), Shape({1, 1}));
  EXPECT_EQ(flatten({0, 3}, 1), Shape({0, 3}));
}

TEST(Flatten, RefusesAnAxisOutOfRange) {
  expect_error(ErrorCode::kInvalidModel, "axis 3 out of range for rank 2; expected -2..2", [] {
    flatten({2, 3}, 3);
  });
  expect_error(ErrorCode::kInvalidModel, "expected -2..2", [] { flatten({2, 3}, -3); });
  expect_error(ErrorCode::kInvalidModel, "rank 0", [] { flatten({}, 1); });
}

TEST(Flatten, DefaultsToAxis1) {
  const Params params = parse(OpKind::kFlatten, 13, {});
  expect_result({OpKind::kFlatten, params, {iota({2, 3, 4})}}, iota({2, 12}));
  const Params last = parse(OpKind::kFlatten, 11, attributes({{"axis", std::int64_t{-1}}}));
  EXPECT_EQ(std::get<FlattenParams>(last).axis, -1);
}

Shape squeeze(const Shape& x, const Ints& axes) {
  return infer_shape({OpKind::kSqueeze, AxesParams{}, {Tensor(DType::kUint8, x), ints(axes)}});
}

TEST(Squeeze, DropsTheListedAxes) {
  EXPECT_EQ(squeeze({1, 3, 1, 5}, {0}), Shape({3, 1, 5}));
  EXPECT_EQ(squeeze({1, 3, 1, 5}, {-2, 0}), Shape({3, 5}));
  EXPECT_EQ(squeeze({1, 0}, {0}), Shape({0}));
  EXPECT_EQ(squeeze({1}, {0}), Shape());
}

TEST(Squeeze, WithoutAxesDropsAllOnes) {
  expect_result({OpKind::kSqueeze, AxesParams{}, {iota({1, 3, 1, 5, 1})}}, iota({3, 5}));
  expect_result({OpKind::kSqueeze, AxesParams{}, {iota({})}}, iota({}));
}

TEST(Squeeze, WithAnEmptyListDropsNothing) { EXPECT_EQ(squeeze({1, 3}, {}), Shape({1, 3})); }

TEST(Squeeze, RefusesWrongAxes) {
  expect_error(ErrorCode::kInvalidModel, "extent 3", [] { squeeze({1, 3}, {1}); });
  expect_error(ErrorCode::kInvalidModel, "twice", [] { squeeze({1, 3}, {0, -2}); });
  expect_error(ErrorCode::kInvalidModel, "expected -2..1", [] { squeeze({1, 3}, {2}); });
  expect_error(ErrorCode::kInvalidModel, "twice", [] { squeeze({1}, Ints(100, 0)); });
  expect_error(ErrorCode::kInvalidModel, "rank 0", [] { squeeze({}, {0}); });
}

TEST(Squeeze, ReadsTheAxesAttributeBelowOpset13) {
  const Attributes axes = attributes({{"axes", Ints{0}}});
  const Params old = parse(OpKind::kSqueeze, 11, axes);
  expect_result({OpKind::kSqueeze, old, {iota({1, 3, 1})}}, iota({3, 1}));
  const Params none = parse(OpKind::kSqueeze, 1, {});
  expect_result({OpKind::kSqueeze, none, {iota({1, 3, 1})}}, iota({3}));
  EXPECT_FALSE(std::get<AxesParams>(parse(OpKind::kSqueeze, 13, axes)).legacy_axes);
}

Shape unsqueeze(const Shape& x, const Ints& axes) {
  return infer_shape({OpKind::kUnsqueeze, AxesParams{}, {Tensor(DType::kUint8, x), ints(axes)}});
}

TEST(Unsqueeze, InsertsAxesOfTheResult) {
  EXPECT_EQ(unsqueeze({3, 4}, {0}), Shape({1, 3, 4}));
  EXPECT_EQ(unsqueeze({3, 4}, {3, 0}), Shape({1, 3, 4, 1}));
  EXPECT_EQ(unsqueeze({3, 4}, {-1}), Shape({3, 4, 1}));
  EXPECT_EQ(unsqueeze({3, 4}, {-4, 2}), Shape({1, 3, 1, 4}));
  EXPECT_EQ(unsqueeze({}, {0, 1}), Shape({1, 1}));
  EXPECT_EQ(unsqueeze({0}, {1}), Shape({0, 1}));
}

TEST(Unsqueeze, RefusesWrongAxes) {
  expect_error(ErrorCode::kInvalidModel, "expected -3..2", [] { unsqueeze({3, 4}, {3}); });
  expect_error(ErrorCode::kInvalidModel, "twice", [] { unsqueeze({3, 4}, {1, -3}); });
  expect_error(ErrorCode::kUnsupported, "9 dimensions", [] {
    unsqueeze({3, 4, 5}, {0, 1, 2, 3, 4, 5});
  });
}

TEST(Unsqueeze, ReadsTheAxesAttributeBelowOpset13) {
  const Params old = parse(OpKind::kUnsqueeze, 1, attributes({{"axes", Ints{0, 2}}}));
  expect_result({OpKind::kUnsqueeze, old, {iota({3})}}, iota({1, 3, 1}));
  expect_error(ErrorCode::kInvalidModel, "'axes'", [] { parse(OpKind::kUnsqueeze, 11, {}); });
  EXPECT_FALSE(std::get<AxesParams>(parse(OpKind::kUnsqueeze, 13, {})).legacy_axes);
}

TEST(SqueezeAndUnsqueeze, CopyEveryType) {
  Random random(2);
  for (const DType dtype : kAllTypes) {
    for (std::int64_t rank = 0; rank <= 6; ++rank) {
      const Tensor x = random_bits(dtype, random_shape(random, rank), random);
      expect_equal_bits({OpKind::kSqueeze, AxesParams{}, {x}});
      expect_equal_bits({OpKind::kUnsqueeze, AxesParams{}, {x, ints({0, -1})}});
      expect_equal_bits({OpKind::kFlatten, FlattenParams{rank}, {x}});
      expect_equal_bits({OpKind::kIdentity, {}, {x}});
    }
  }
}

Tensor bool_scalar(bool value) { return Tensor::copy_of(DType::kBool, Shape{}, &value, 1); }

TEST(Dropout, IsIdentityAtInference) {
  const Params params = parse(OpKind::kDropout, 13, {});
  const Tensor x = iota({2, 3});
  expect_result({OpKind::kDropout, params, {x}}, x);
  expect_result({OpKind::kDropout, params, {x, tensor<float>({}, {0.5F})}}, x);
  expect_result({OpKind::kDropout, params, {x, {}, bool_scalar(false)}}, x);
}

TEST(Dropout, GivesAMaskOfTrue) {
  for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0, 4}}) {
    const OpCase test{OpKind::kDropout, parse(OpKind::kDropout, 10, {}), {iota(shape)}, 2};
    const Tensor mask = run_reference(test).at(1);
    EXPECT_EQ(mask.dtype(), DType::kBool);
    EXPECT_EQ(mask.shape(), shape);
    for (std::int64_t i = 0; i < mask.elements(); ++i) EXPECT_EQ(mask.as<std::uint8_t>()[i], 1);
    expect_equal_bits(test);
  }
}

TEST(Dropout, GivesAMaskOfTheInputsTypeBelowOpset10) {
  const Params params = parse(OpKind::kDropout, 7, attributes({{"ratio", 0.1F}}));
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16}) {
    const OpCase test{OpKind::kDropout, params, {Tensor(dtype, {3})}, 2};
    const Tensor mask = run_reference(test).at(1);
    ASSERT_EQ(mask.dtype(), dtype);
    if (dtype == DType::kFloat16) {
      EXPECT_EQ(mask.as<std::uint16_t>()[2], 0x3C00);
    }
    if (dtype == DType::kFloat64) {
      EXPECT_EQ(mask.as<double>()[2], 1.0);
    }
    expect_equal_bits(test);
  }
}

TEST(Dropout, RefusesTraining) {
  const Params params = parse(OpKind::kDropout, 12, {});
  const Tensor x = iota({2});
  expect_infer_error(ErrorCode::kUnsupported, "ratio 0.5",
                     {OpKind::kDropout, params, {x, {}, bool_scalar(true)}});
  expect_infer_error(
      ErrorCode::kUnsupported, "ratio 0.25",
      {OpKind::kDropout, params, {x, tensor<float>({}, {0.25F}), bool_scalar(true)}, 1, {1}});
  expect_result({OpKind::kDropout, params, {x, tensor<float>({}, {0}), bool_scalar(true)}, 1, {1}},
                x);
}

TEST(Dropout, MeansInferenceBelowOpset7WhateverIsTestSays) {
  EXPECT_NO_THROW(parse(OpKind::kDropout, 6, attributes({{"is_test", std::int64_t{1}}})));
  EXPECT_NO_THROW(parse(OpKind::kDropout, 6, {}));
}

TEST(Constant, HoldsItsValue) {
  const auto value_of = [](const char* name, Attributes::Value value) {
    const Params params = parse(OpKind::kConstant, 13, attributes({{name, std::move(value)}}));
    const OpCase test{OpKind::kConstant, params, {}};
    expect_equal_bits(test);
    return run_reference(test).at(0);
  };
  expect_close(value_of("value", iota({2, 3})), iota({2, 3}), {}, "value");
  expect_close(value_of("value_float", 2.5F), tensor<float>({}, {2.5F}), {}, "value_float");
  expect_close(value_of("value_int", std::int64_t{7}), tensor<std::int64_t>({}, {7}), {}, "int");
  expect_close(value_of("value_floats", std::vector<float>{1, 2}), tensor<float>({2}, {1, 2}), {},
               "value_floats");
  expect_close(value_of("value_ints", Ints{4, 5, 6}), ints({4, 5, 6}), {}, "value_ints");
  expect_close(value_of("value_ints", Ints{}), ints({}), {}, "no value_ints");
}

TEST(Constant, RefusesStringsAndNothing) {
  expect_error(ErrorCode::kUnsupported, "value_string", [] {
    parse(OpKind::kConstant, 13, attributes({{"value_string", std::string("a")}}));
  });
  expect_error(ErrorCode::kUnsupported, "value_strings", [] {
    parse(OpKind::kConstant, 13, attributes({{"value_strings", std::vector<std::string>{"a"}}}));
  });
  expect_error(ErrorCode::kInvalidModel, "no value", [] { parse(OpKind::kConstant, 1, {}); });
}

TEST(ConstantOfShape, DefaultsToFloatZeros) {
  const Params params = parse(OpKind::kConstantOfShape, 9, {});
  expect_result({OpKind::kConstantOfShape, params, {ints({2, 3})}},
                tensor<float>({2, 3}, {0, 0, 0, 0, 0, 0}));
  expect_result({OpKind::kConstantOfShape, params, {ints({})}}, tensor<float>({}, {0}));
  expect_result({OpKind::kConstantOfShape, params, {ints({3, 0})}}, tensor<float>({3, 0}, {}));
}

TEST(ConstantOfShape, FillsWithItsValue) {
  const auto parse_value = [](const Tensor& value) {
    return parse(OpKind::kConstantOfShape, 20, attributes({{"value", value}}));
  };
  expect_result({OpKind::kConstantOfShape, parse_value(ints({-7})), {ints({3})}},
                ints({-7, -7, -7}));
  Random random(3);
  for (const DType dtype : kAllTypes) {
    const Params params = parse_value(random_bits(dtype, {1}, random));
    expect_equal_bits({OpKind::kConstantOfShape, params, {ints({3, 5, 7})}});
  }
  expect_error(ErrorCode::kInvalidModel, "one element", [&] { parse_value(ints({1, 2})); });
}

TEST(ConstantOfShape, RefusesImpossibleShapes) {
  const Params params = parse(OpKind::kConstantOfShape, 9, {});
  const auto expect = [&](ErrorCode code, const char* part, const Ints& shape) {
    expect_infer_error(code, part, {OpKind::kConstantOfShape, params, {ints(shape)}});
  };
  expect(ErrorCode::kInvalidModel, "extent 1 of the shape is -1", {2, -1});
  expect(ErrorCode::kInvalidArgument, "2^62", {kHugeExtent, 3});
  expect(ErrorCode::kUnsupported, "more than 8", Ints(9, 1));
  const OpCase large{OpKind::kConstantOfShape, params, {ints({kHugeExtent})}};
  expect_error(ErrorCode::kOutOfMemory, "does not fit", [&] { run_cpu(large, "portable"); });
}

TEST(Shape, GivesTheExtents) {
  const Params params = parse(OpKind::kShape, 1, {});
  expect_result({OpKind::kShape, params, {Tensor(DType::kBool, {2, 0, 5})}}, ints({2, 0, 5}));
  expect_result({OpKind::kShape, params, {iota({})}}, ints({}));
}

TEST(Shape, ClampsStartAndEnd) {
  const auto shape = [](std::int64_t start, std::optional<std::int64_t> end, const Ints& want) {
    Attributes given = attributes({{"start", start}});
    if (end) given.set("end", *end);
    expect_result({OpKind::kShape, parse(OpKind::kShape, 15, given), {iota({2, 3, 4})}},
                  ints(want));
  };
  shape(1, {}, {3, 4});
  shape(-1, {}, {4});
  shape(0, -1, {2, 3});
  shape(1, 2, {3});
  shape(-10, 10, {2, 3, 4});
  shape(2, 1, {});
  shape(10, {}, {});
  shape(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
        {2, 3, 4});
}

}  // namespace
}  // namespace prs::test
