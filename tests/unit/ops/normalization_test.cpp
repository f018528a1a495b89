#include <gtest/gtest.h>

#include <random>

#include "ops/op.hpp"
#include "prs/error.hpp"
#include "support/op_test.hpp"

namespace prs::test {
namespace {

OpCase batch_norm_case(DType dtype, const Shape& shape, const BatchNormParams& params,
                       std::mt19937_64& random) {
  const Shape vector{params.spatial ? shape[1] : shape.elements(1, shape.rank())};
  return {OpKind::kBatchNormalization,
          params,
          {random_tensor(dtype, shape, random, -2, 2), random_tensor(dtype, vector, random, -2, 2),
           random_tensor(dtype, vector, random), random_tensor(dtype, vector, random),
           random_tensor(dtype, vector, random, 0.5, 2)}};
}

TEST(BatchNormalization, ReferenceUsesTheGivenStatistics) {
  BatchNormParams params;
  params.epsilon = 0.0F;
  const Tensor x = tensor<float>({1, 2, 2}, {1, 2, 3, 4});
  const std::vector<Tensor> inputs{x, tensor<float>({2}, {2, 3}), tensor<float>({2}, {10, 20}),
                                   tensor<float>({2}, {1, 2}), tensor<float>({2}, {4, 0.25F})};
  expect_close(run_one({OpKind::kBatchNormalization, params, inputs}),
               tensor<float>({1, 2, 2}, {10, 11, 26, 32}), {}, "ref");
}

TEST(BatchNormalization, EveryRankAndSizeMatchesTheReference) {
  std::mt19937_64 random(12);
  // With |x - mean| <= 3, |factor| <= 2 sqrt 2 and |bias| <= 1.
  const Tolerance tolerance{0, 6 * kUnit * (3 * 2.83 + 1)};
  for (const Shape& shape :
       {Shape{3, 5}, Shape{2, 3, 17}, Shape{1, 1, 1}, Shape{2, 16, 1, 1}, Shape{2, 5, 7, 11},
        Shape{1, 3, 2, 3, 5}, Shape{0, 3, 2}, Shape{2, 0, 2}, Shape{2, 3, 0}, Shape{4, 257}}) {
    BatchNormParams params;
    params.epsilon = 1e-3F;
    expect_parity(batch_norm_case(DType::kFloat32, shape, params, random), tolerance);
    expect_parity(batch_norm_case(DType::kFloat64, shape, params, random), {1e-14, 1e-14});
    params.spatial = false;
    expect_parity(batch_norm_case(DType::kFloat32, shape, params, random), tolerance);
  }
  expect_in_place_parity(batch_norm_case(DType::kFloat32, {2, 3, 65}, {}, random), tolerance,
                         &cpu::plan_batch_norm);
}

TEST(BatchNormalization, LargeMeansDoNotCancel) {
  const Tensor one = tensor<float>({1}, {1});
  const OpCase test{OpKind::kBatchNormalization,
                    BatchNormParams{},
                    {tensor<float>({1, 1, 3}, {10000, 10000.5F, 10001}), one,
                     tensor<float>({1}, {0}), tensor<float>({1}, {10000.5F}), one}};
  expect_parity(test, {4 * kUnit, 0});
}

TEST(BatchNormalization, TrainingUsesAndUpdatesTheBatchStatistics) {
  BatchNormParams params;
  params.training_mode = true;
  params.momentum = 0.75F;
  params.epsilon = 0.0F;
  const Tensor one = tensor<float>({1}, {1});
  const Tensor zero = tensor<float>({1}, {0});
  const OpCase test{OpKind::kBatchNormalization,
                    params,
                    {tensor<float>({2, 1, 2}, {1, 3, 1, 3}), one, zero, tensor<float>({1}, {4}),
                     tensor<float>({1}, {8})},
                    3};
  const std::vector<Tensor> outputs = run_reference(test);
  expect_close(outputs[0], tensor<float>({2, 1, 2}, {-1, 1, -1, 1}), {}, "y");
  expect_close(outputs[1], tensor<float>({1}, {3.5F}), {}, "mean");
  expect_close(outputs[2], tensor<float>({1}, {6.25F}), {}, "variance");
  std::mt19937_64 random(13);
  for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
    OpCase random_case = batch_norm_case(dtype, {3, 5, 7}, params, random);
    random_case.output_count = 3;
    expect_parity(random_case, {1e-6, 1e-6});
    random_case.output_count = 1;
    expect_parity(random_case, {1e-6, 1e-6});
    OpCase empty = batch_norm_case(dtype, {0, 5, 7}, params, random);
    empty.output_count = 3;
    expect_parity(empty, {});
  }
}

TEST(BatchNormalization, ReadsTheAttributesOfEachOpset) {
  Attributes attributes;
  attributes.set("spatial", std::int64_t{0});
  attributes.set("is_test", std::int64_t{1});
  attributes.set("consumed_inputs", std::vector<std::int64_t>{0, 0, 0, 1, 1});
  attributes.set("training_mode", std::int64_t{1});
  attributes.set("epsilon", 0.5F);
  const auto parsed = [&](std::int64_t opset) {
    return std::get<BatchNormParams>(parse(OpKind::kBatchNormalization, opset, attributes));
  };
  EXPECT_FALSE(parsed(1).spatial);
  EXPECT_FALSE(parsed(8).spatial);
  EXPECT_TRUE(parsed(9).spatial);
  EXPECT_FALSE(parsed(9).training_mode);
  EXPECT_TRUE(parsed(14).training_mode);
  EXPECT_EQ(parsed(7).epsilon, 0.5F);
  EXPECT_EQ(parsed(7).momentum, 0.9F);
}

TEST(BatchNormalization, ExtraOutputsNobodyWantsAreAllowedOutsideOfTraining) {
  std::mt19937_64 random(14);
  const OpCase test = batch_norm_case(DType::kFloat32, {1, 2, 3}, {}, random);
  std::vector<InputInfo> infos;
  for (const Tensor& input : test.inputs)
    infos.push_back({{input.dtype(), input.shape()}, nullptr});
  std::vector<TensorType> outputs(5);
  op_def(test.kind).infer({test.kind, test.params, infos}, outputs);
  EXPECT_EQ(outputs[4].shape, Shape{2});
  const cpu::Isa& isa = *cpu::supported_isas()[0];
  EXPECT_THROW(cpu::plan_batch_norm({test.kind, test.params, infos, outputs}, isa), Error);
  OpCase wanted = test;
  wanted.output_count = 5;
  EXPECT_THROW(run_reference(wanted), Error);
  for (std::size_t i = 1; i < outputs.size(); ++i) outputs[i] = {};
  EXPECT_NO_THROW(cpu::plan_batch_norm({test.kind, test.params, infos, outputs}, isa));
}

TEST(BatchNormalization, RefusesWhatDoesNotFit) {
  std::mt19937_64 random(15);
  OpCase test = batch_norm_case(DType::kFloat32, {1, 2, 3}, {}, random);
  test.inputs[2] = tensor<float>({3}, {1, 2, 3});
  expect_refused(test, ErrorCode::kInvalidModel, "bias has shape [3]; expected [2] for x [1,2,3]");
  test.inputs[2] = tensor<double>({2}, {1, 2});
  expect_refused(test, ErrorCode::kUnsupported, "bias of type f64 beside x of type f32");
  test.inputs[0] = tensor<float>({2}, {1, 2});
  expect_refused(test, ErrorCode::kInvalidModel, "expected rank 2 or more");
  test.inputs[0] = tensor<std::int32_t>({1, 1}, {1});
  expect_refused(test, ErrorCode::kUnsupported, "i32");
}

TEST(Normalize, ReferenceScalesEachChannel) {
  const NormalizeParams params{{2, 3}, {10}, 1};
  expect_close(
      run_one({OpKind::kNormalize, params, {tensor<std::uint8_t>({1, 2, 2}, {0, 1, 2, 255})}}),
      tensor<float>({1, 2, 2}, {10, 12, 16, 775}), {}, "ref");
}

TEST(Normalize, EveryLayoutMatchesTheReference) {
  std::mt19937_64 random(16);
  const NormalizeParams list[] = {{{0.5F}, {-1.5F}, 1},
                                  {{0.1F, 0.2F, 0.3F}, {1, 2, 3}, 1},
                                  {{0.1F, 0.2F, 0.3F}, {0.5F}, -3},
                                  {{0.1F}, {1, 2, 3}, -1}};
  const Shape shapes[] = {{2, 3, 5, 3}, {1, 3, 17, 3}, {2, 3, 0, 3},
                          {1, 3, 1, 3}, {0, 3, 1, 3},  {1, 3, 300, 3}};
  for (const NormalizeParams& params : list) {
    for (const Shape& shape : shapes) {
      const Tensor bytes = random_tensor(DType::kUint8, shape, random, 0, 256);
      const Tensor floats = random_tensor(DType::kFloat32, shape, random, 0, 256);
      expect_parity({OpKind::kNormalize, params, {bytes}}, {0, 2 * kUnit * (0.5 * 256 + 3)});
      expect_parity({OpKind::kNormalize, params, {floats}}, {0, 2 * kUnit * (0.5 * 256 + 3)});
    }
  }
  const Tensor scalar = tensor<float>({}, {4});
  expect_parity({OpKind::kNormalize, list[0], {scalar}}, {});
  std::vector<float> many(300, 0.5F);
  const Tensor wide = random_tensor(DType::kUint8, {7, 300}, random, 0, 256);
  expect_parity({OpKind::kNormalize, NormalizeParams{many, many, 1}, {wide}}, {1e-6, 1e-6});
}

TEST(Normalize, RefusesWhatDoesNotFit) {
  const Tensor x = tensor<std::uint8_t>({1, 2}, {1, 2});
  expect_refused({OpKind::kNormalize, NormalizeParams{{1, 2, 3}, {1}, 1}, {x}},
                 ErrorCode::kInvalidModel, "scale has 3 values; expected 1 or 2");
  expect_refused({OpKind::kNormalize, NormalizeParams{{1, 2}, {1}, 2}, {x}},
                 ErrorCode::kInvalidModel, "axis 2 out of range for rank 2; expected -2..1");
  expect_refused({OpKind::kNormalize, NormalizeParams{{1}, {1}, 1}, {tensor<double>({1}, {1})}},
                 ErrorCode::kUnsupported, "f64");
  EXPECT_THROW(parse(OpKind::kNormalize, 17, {}), Error);
}

}  // namespace
}  // namespace prs::test
