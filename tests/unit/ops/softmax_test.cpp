#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "ops/op.hpp"
#include "prs/error.hpp"
#include "support/op_test.hpp"

namespace prs::test {
namespace {

/// The bound of the operator's doc block for A elements in a range of R; denormals have an ulp of
/// their own.
Tolerance bound(OpKind kind, double extent, double range) {
  const double error = (2 * range + extent + 8) * 0x1p-24;
  return kind == OpKind::kSoftmax ? Tolerance{error, 6e-45} : Tolerance{error, error};
}

TEST(Softmax, ReferenceMatchesKnownValues) {
  const Tensor x = tensor<float>({1, 3}, {-1, 0, 1});
  expect_close(run_reference({OpKind::kSoftmax, SoftmaxParams{}, {x}})[0],
               tensor<float>({1, 3}, {0.09003057F, 0.24472848F, 0.66524094F}), {1e-6, 0}, "ref");
  expect_close(run_reference({OpKind::kLogSoftmax, SoftmaxParams{}, {x}})[0],
               tensor<float>({1, 3}, {-2.4076059F, -1.4076059F, -0.4076059F}), {1e-6, 0}, "ref");
  const Tensor columns = tensor<float>({2, 2}, {0, 5, 0, 5});
  expect_close(run_reference({OpKind::kSoftmax, SoftmaxParams{0, false}, {columns}})[0],
               tensor<float>({2, 2}, {0.5F, 0.5F, 0.5F, 0.5F}), {}, "axis 0");
}

TEST(Softmax, EveryAxisAndSizeMatchesTheReference) {
  std::mt19937_64 random(1);
  for (const Shape& shape :
       {Shape{1}, Shape{15}, Shape{16}, Shape{17}, Shape{257}, Shape{3, 1000}, Shape{2, 3, 5},
        Shape{17, 257}, Shape{1000, 3}, Shape{2, 21, 255}, Shape{2, 3, 256}, Shape{1, 5, 513},
        Shape{0}, Shape{0, 3}, Shape{3, 0}, Shape{2, 0, 3}}) {
    for (std::int64_t axis = -shape.rank(); axis < shape.rank(); ++axis) {
      for (OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
        const std::int64_t extent = shape[axis < 0 ? axis + shape.rank() : axis];
        const Tensor x = random_tensor(DType::kFloat32, shape, random, -8, 8);
        expect_parity({kind, SoftmaxParams{axis, false}, {x}},
                      bound(kind, static_cast<double>(extent), 16));
        const Tensor doubles = random_tensor(DType::kFloat64, shape, random, -8, 8);
        expect_parity({kind, SoftmaxParams{axis, false}, {doubles}}, {1e-13, 1e-13});
      }
    }
  }
}

TEST(Softmax, AScalarIsOneRow) {
  for (OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
    expect_parity({kind, SoftmaxParams{}, {tensor<float>({}, {7})}}, {});
  }
  expect_close(run_reference({OpKind::kSoftmax, SoftmaxParams{}, {tensor<float>({}, {7})}})[0],
               tensor<float>({}, {1}), {}, "ref");
}

TEST(Softmax, LargeRangesNeitherOverflowNorVanish) {
  std::mt19937_64 random(2);
  for (OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
    const Tensor x = random_tensor(DType::kFloat32, {5, 67}, random, -1e4, 1e4);
    expect_parity({kind, SoftmaxParams{}, {x}}, bound(kind, 67, 2e4));
    // Reaches down to denormal results.
    const Tensor near = random_tensor(DType::kFloat32, {5, 67}, random, -52, 52);
    expect_parity({kind, SoftmaxParams{}, {near}}, bound(kind, 67, 104));
    expect_parity({kind, SoftmaxParams{0, false}, {near}}, bound(kind, 5, 104));
  }
}

TEST(Softmax, RowsWithNaNOrPositiveInfinityAreNaN) {
  const std::vector<float> rows{1,     2,     kNaN,   4,                   //
                                1,     2,     kInf,   4,                   //
                                1,     -kInf, 3,      4,                   //
                                -kInf, -kInf, -kInf,  -kInf,  3, 3, 3, 3,  //
                                -0.0F, 0,     1e-41F, -1e-41F};
  for (OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
    const OpCase test{kind, SoftmaxParams{}, {tensor<float>({6, 4}, rows)}};
    const Tensor y = run_reference(test)[0];
    for (std::int64_t i = 0; i < 8; ++i) EXPECT_TRUE(std::isnan(y.as<float>()[i])) << i;
    for (std::int64_t i = 12; i < 16; ++i) EXPECT_TRUE(std::isnan(y.as<float>()[i])) << i;
    EXPECT_EQ(y.as<float>()[9], kind == OpKind::kSoftmax ? 0.0F : -kInf);
    expect_parity(test, bound(kind, 4, 4));
    expect_parity({kind, SoftmaxParams{0, false}, {tensor<float>({4, 6}, rows)}},
                  bound(kind, 4, 4));
    std::vector<float> long_row(40, 1.0F);
    long_row[20] = kNaN;
    expect_parity({kind, SoftmaxParams{}, {tensor<float>({40}, long_row)}}, bound(kind, 40, 0));
  }
}

TEST(Softmax, MayWriteOverItsInput) {
  std::mt19937_64 random(3);
  for (OpKind kind : {OpKind::kSoftmax, OpKind::kLogSoftmax}) {
    for (std::int64_t axis : {0, 1}) {
      OpCase test{kind, SoftmaxParams{axis, false}, {}};
      test.inputs.push_back(random_tensor(DType::kFloat32, {19, 37}, random));
      expect_in_place_parity(test, bound(kind, 37, 2), cpu::plan_softmax);
    }
  }
}

TEST(Softmax, OldOpsetsFlattenToTwoDimensions) {
  const Params params = parse(OpKind::kSoftmax, 12, {});
  EXPECT_EQ(std::get<SoftmaxParams>(params).axis, 1);
  EXPECT_TRUE(std::get<SoftmaxParams>(params).coerce_2d);
  const Tensor x = tensor<float>({1, 2, 2}, {0, 0, 0, 0});
  expect_close(run_reference({OpKind::kSoftmax, params, {x}})[0],
               tensor<float>({1, 2, 2}, {0.25F, 0.25F, 0.25F, 0.25F}), {}, "ref");
  std::mt19937_64 random(4);
  for (std::int64_t axis : {-3, -1, 0, 1, 2}) {
    const Tensor values = random_tensor(DType::kFloat32, {3, 5, 7}, random);
    expect_parity({OpKind::kSoftmax, SoftmaxParams{axis, true}, {values}},
                  bound(OpKind::kSoftmax, 105, 2));
  }
}

TEST(Softmax, NewOpsetsDefaultToTheLastAxis) {
  const Params params = parse(OpKind::kLogSoftmax, 13, {});
  EXPECT_EQ(std::get<SoftmaxParams>(params).axis, -1);
  EXPECT_FALSE(std::get<SoftmaxParams>(params).coerce_2d);
  Attributes attributes;
  attributes.set("axis", std::int64_t{2});
  EXPECT_EQ(std::get<SoftmaxParams>(parse(OpKind::kSoftmax, 1, attributes)).axis, 2);
}

TEST(Softmax, RefusesWrongAxesAndTypes) {
  const Tensor x = tensor<float>({2, 2}, {1, 2, 3, 4});
  try {
    infer_types({OpKind::kSoftmax, SoftmaxParams{2, false}, {x}});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    EXPECT_EQ(error.message(), "axis 2 out of range for rank 2; expected -2..1");
  }
  try {
    infer_types({OpKind::kSoftmax, SoftmaxParams{}, {tensor<std::int32_t>({1}, {1})}});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace prs::test
