// Gemm, MatMul and Conv in bf16: against the reference of operands that are rounded to bf16 (what
// the kernels compute), and against the reference of the operands themselves (the documented
// bound).
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

Tensor round_to_bf16(const Tensor& tensor) {
  if (tensor.dtype() != DType::kFloat32) return tensor;
  Tensor rounded(DType::kFloat32, tensor.shape());
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    rounded.as<float>()[i] = bfloat16_to_float(float_to_bfloat16(tensor.as<float>()[i]));
  }
  return rounded;
}

/// `test` has no activation and a scale of 1; inputs 0 and 1 are the factors of sums of k products.
void expect_bf16_parity(OpCase test, std::int64_t k) {
  test.constant_inputs = {1};
  test.precision = Precision::kBf16;
  OpCase rounded = test;
  for (std::size_t i = 0; i < 2; ++i) rounded.inputs[i] = round_to_bf16(test.inputs[i]);
  const double sum_bound = product_bound(test, k);
  // Each factor is off by 2^-8 at most.
  const double magnitude = sum_bound / (static_cast<double>(k + 8) * kUlp32);
  const double rounding_bound = (0x1p-7 + 0x1p-16) * magnitude + 1.01 * sum_bound;
  const Tensor exact = run_reference(test)[0];
  const Tensor of_rounded = run_reference(rounded)[0];
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    const Tensor got = run_cpu(test, isa->name)[0];
    const std::string label = std::string(op_def(test.kind).name) + " [" + std::string(isa->name) +
                              "] " + test.inputs[0].shape().to_string() +
                              test.inputs[1].shape().to_string();
    expect_close(got, of_rounded, {.atol = 1.01 * sum_bound}, label + " rounded");
    expect_close(got, exact, {.atol = rounding_bound}, label);
  }
}

OpCase gemm(const GemmParams& params, std::int64_t m, std::int64_t n, std::int64_t k,
            std::mt19937_64& random, DType a = DType::kFloat32) {
  const double high = a == DType::kUint8 ? 256.0 : 1.0;
  return {OpKind::kGemm,
          params,
          {random_tensor(a, params.trans_a ? Shape{k, m} : Shape{m, k}, random,
                         a == DType::kUint8 ? 0.0 : -1.0, high),
           random_tensor(DType::kFloat32, params.trans_b ? Shape{n, k} : Shape{k, n}, random),
           random_tensor(DType::kFloat32, Shape{n}, random)}};
}

TEST(Bf16Gemm, MatchesTheReferenceAroundEveryTileSize) {
  int variant = 0;
  for (std::int64_t m : {0, 1, 3, 7, 8, 9, 67}) {
    for (std::int64_t n : {0, 1, 8, 15, 17, 48, 49, 64, 97}) {
      for (std::int64_t k : {0, 1, 2, 13, 383, 384, 387}) {
        std::mt19937_64 random(static_cast<std::uint64_t>(++variant));
        const GemmParams params{.trans_a = (variant & 1) != 0, .trans_b = (variant & 2) != 0};
        const DType a = (variant & 4) != 0 ? DType::kUint8 : DType::kFloat32;
        expect_bf16_parity(gemm(params, m, n, k, random, a), k);
      }
    }
  }
}

TEST(Bf16Gemm, RoundsTheScaledWeights) {
  std::mt19937_64 random(1);
  OpCase test = gemm({.alpha = 3.0F, .beta = -0.5F}, 5, 20, 30, random);
  OpCase scaled = test;
  const Tensor& b = test.inputs[1];  // Copies of a tensor share their elements.
  scaled.inputs[1] = Tensor::copy_of(DType::kFloat32, b.shape(), b.data(), b.bytes());
  for (std::int64_t i = 0; i < 600; ++i) scaled.inputs[1].as<float>()[i] *= 3.0F;
  std::get<GemmParams>(scaled.params).alpha = 1.0F;
  for (OpCase* one : {&test, &scaled}) {
    one->precision = Precision::kBf16;
    one->constant_inputs = {1};
  }
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    expect_close(run_cpu(test, isa->name)[0], run_cpu(scaled, isa->name)[0], {}, "scaled");
  }
}

TEST(Bf16Gemm, GivesARowTheSameBitsWhateverRowsAreAroundIt) {
  std::mt19937_64 random(2);
  OpCase all = gemm({}, 70, 50, 401, random);
  all.precision = Precision::kBf16;
  all.constant_inputs = {1};
  OpCase one = all;
  one.inputs[0] = Tensor::copy_of(DType::kFloat32, Shape{1, 401},
                                  all.inputs[0].as<float>() + 69 * 401, 401 * 4);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    const Tensor row = run_cpu(one, isa->name)[0];
    const Tensor rows = run_cpu(all, isa->name)[0];
    EXPECT_EQ(to_vector(row),
              std::vector<float>(rows.as<float>() + 69 * 50, rows.as<float>() + 70 * 50));
  }
}

TEST(Bf16Gemm, CarriesInfinityAndNaNIntoTheirRowsOnly) {
  std::mt19937_64 random(3);
  OpCase test = gemm({}, 20, 50, 30, random);
  test.inputs[0].as<float>()[5 * 30 + 7] = std::numeric_limits<float>::infinity();
  test.inputs[0].as<float>()[9 * 30 + 8] = std::numeric_limits<float>::quiet_NaN();
  // Mantissa bits that rounding alone would carry into the exponent or drop.
  test.inputs[0].as<float>()[11 * 30 + 8] = std::bit_cast<float>(0x7F800001U);
  test.precision = Precision::kBf16;
  test.constant_inputs = {1};
  expect_parity(test, {.rtol = 0.0, .atol = 31 * 0x1p-6});
}

TEST(Bf16Gemm, LeavesWhatHasNoConstantWeightsInF32) {
  std::mt19937_64 random(4);
  OpCase test = gemm({}, 9, 20, 30, random);
  test.precision = Precision::kBf16;
  expect_parity(test, {.atol = product_bound(test, 30)});
}

TEST(Bf16MatMul, TakesMatricesOfManyRows) {
  std::mt19937_64 random(5);
  expect_bf16_parity({OpKind::kMatMul,
                      std::monostate{},
                      {random_tensor(DType::kFloat32, {3, 5, 40}, random),
                       random_tensor(DType::kFloat32, {40, 33}, random)}},
                     40);
}

TEST(Bf16Conv, MatchesTheReferenceOnRandomShapes) {
  std::mt19937_64 random(6);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  for (int i = 0; i < 120; ++i) {
    ConvParams params;
    params.group = pick(1, 2);
    params.strides = {pick(1, 2), pick(1, 3)};
    params.dilations = {pick(1, 2), pick(1, 2)};
    params.pads = {pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2)};
    const std::int64_t channels = pick(1, 7);
    const Shape w{params.group * pick(1, 17), channels, pick(1, 3), pick(1, 3)};
    const Shape x{pick(1, 3), params.group * channels, pick(5, 9), pick(5, 40)};
    const bool pixels = i % 3 == 0;
    OpCase test{OpKind::kConv, params, {}};
    test.inputs = {random_tensor(pixels ? DType::kUint8 : DType::kFloat32, x, random,
                                 pixels ? 0.0 : -1.0, pixels ? 256.0 : 1.0),
                   random_tensor(DType::kFloat32, w, random)};
    if (i % 2 == 0) test.inputs.push_back(random_tensor(DType::kFloat32, Shape{w[0]}, random));
    const std::int64_t k = w.elements(1, 4);
    if (channels > 1) {
      expect_bf16_parity(test, k);
    } else {  // Nothing to pair: f32.
      test.constant_inputs = {1};
      test.precision = Precision::kBf16;
      expect_parity(test, {.atol = product_bound(test, k)});
    }
  }
}

TEST(Bf16Conv, MatchesTheReferenceOverManyBlocksOfDepth) {
  std::mt19937_64 random(7);
  const Shape x{1, 65, 7, 9};
  expect_bf16_parity({OpKind::kConv,
                      ConvParams{.pads = {2, 2, 2, 2}},
                      {random_tensor(DType::kFloat32, x, random),
                       random_tensor(DType::kFloat32, {11, 65, 5, 5}, random)}},
                     65 * 25);
}

TEST(Bf16Conv, AppliesTheFusedActivationToEveryOutput) {
  std::mt19937_64 random(8);
  for (const Activation& activation : activations()) {
    OpCase test{OpKind::kConv,
                ConvParams{},
                {random_tensor(DType::kFloat32, {2, 6, 5, 9}, random),
                 random_tensor(DType::kFloat32, {5, 6, 3, 3}, random)}};
    const double bound = product_bound(test, 54);
    for (std::size_t i = 0; i < 2; ++i) test.inputs[i] = round_to_bf16(test.inputs[i]);
    std::get<ConvParams>(test.params).activation = activation;
    test.precision = Precision::kBf16;
    test.constant_inputs = {1};
    expect_parity(test, {.rtol = 8 * kUlp32, .atol = bound});
  }
}

}  // namespace
}  // namespace prs::test
