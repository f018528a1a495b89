#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

struct Extents {
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
};

/// bias: a shape, or empty for none.
OpCase gemm_case(const GemmParams& params, Extents extents, std::optional<Shape> bias,
                 std::mt19937_64& random, DType a_type = DType::kFloat32,
                 DType type = DType::kFloat32, double low = -1.0, double high = 1.0) {
  const auto [m, n, k] = extents;
  OpCase test{OpKind::kGemm, params, {}};
  const bool pixels = a_type == DType::kUint8;
  test.inputs.push_back(random_tensor(a_type, params.trans_a ? Shape{k, m} : Shape{m, k}, random,
                                      pixels ? 0.0 : low, pixels ? 256.0 : high));
  test.inputs.push_back(
      random_tensor(type, params.trans_b ? Shape{n, k} : Shape{k, n}, random, low, high));
  if (bias) test.inputs.push_back(random_tensor(type, *bias, random, low, high));
  return test;
}

/// Parity within the error bound of the sums, with B known when planning and not.
void expect_product_parity(OpCase test, std::int64_t k) {
  OpCase bare = test;
  if (test.kind == OpKind::kGemm) {
    auto& params = std::get<GemmParams>(bare.params);
    params.alpha = std::abs(params.alpha);
    params.beta = std::abs(params.beta);
    params.activation = {};
  }
  const Tolerance tolerance{.rtol = 8 * kUlp32, .atol = product_bound(bare, k)};
  expect_parity(test, tolerance);
  test.constant_inputs = {1};
  expect_parity(test, tolerance);
}

OpCase matmul_case(DType type, const Shape& a, const Shape& b, std::mt19937_64& random,
                   double low = -1.0, double high = 1.0) {
  return {OpKind::kMatMul,
          std::monostate{},
          {random_tensor(type, a, random, low, high), random_tensor(type, b, random, low, high)}};
}

TEST(Gemm, ReferenceScalesTransposesAndAdds) {
  const Tensor a = tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor b = tensor<float>({3, 2}, {1, 0, 0, 1, 2, 2});
  OpCase test{OpKind::kGemm, GemmParams{}, {a, b}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{7, 8, 16, 17}));
  test.params = GemmParams{.alpha = 2, .beta = 0.5F};
  test.inputs.push_back(tensor<float>({2, 1}, {100, 200}));
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{64, 66, 132, 134}));
  test.params = GemmParams{.trans_a = true, .trans_b = true};
  test.inputs = {tensor<float>({3, 1}, {1, 2, 3}), tensor<float>({2, 3}, {1, 1, 1, 0, 0, 5}),
                 tensor<float>({2}, {10, 20})};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{16, 35}));
}

TEST(Gemm, MatchesTheReferenceAroundEveryTileSize) {
  int variant = 0;
  for (std::int64_t m : {0, 1, 3, 4, 5, 7, 8, 9, 17, 67}) {
    for (std::int64_t n : {0, 1, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 47, 48, 49, 97}) {
      for (std::int64_t k : {0, 1, 2, 13, 255, 256, 257}) {
        std::mt19937_64 random(static_cast<std::uint64_t>(++variant));
        const GemmParams params{.trans_a = (variant & 1) != 0, .trans_b = (variant & 2) != 0};
        expect_product_parity(gemm_case(params, {m, n, k}, Shape{n}, random), k);
      }
    }
  }
}

TEST(Gemm, MatchesTheReferenceOverManyBlocksOfRowsAndDepth) {
  std::mt19937_64 random(1);
  expect_product_parity(gemm_case({}, {521, 19, 31}, Shape{19}, random), 31);
  expect_product_parity(gemm_case({.trans_a = true}, {131, 53, 523}, Shape{53}, random), 523);
}

TEST(Gemm, BroadcastsTheBiasFromEveryShape) {
  std::mt19937_64 random(2);
  for (const Shape& bias :
       {Shape{}, Shape{1}, Shape{50}, Shape{1, 1}, Shape{1, 50}, Shape{11, 1}, Shape{11, 50}}) {
    expect_product_parity(gemm_case({.beta = -1.5F}, {11, 50, 20}, bias, random), 20);
  }
  expect_product_parity(gemm_case({}, {11, 50, 20}, std::nullopt, random), 20);
}

TEST(Gemm, ScalesByAlphaAndBeta) {
  std::mt19937_64 random(3);
  for (float alpha : {0.0F, -0.5F, 3.0F}) {
    for (bool trans_b : {false, true}) {
      for (std::int64_t m : {1, 9}) {
        const GemmParams params{.alpha = alpha, .beta = 0.25F, .trans_b = trans_b};
        expect_product_parity(gemm_case(params, {m, 50, 300}, Shape{m, 50}, random), 300);
      }
    }
  }
}

TEST(Gemm, TakesPixelsAsTheyAre) {
  std::mt19937_64 random(4);
  for (bool trans_a : {false, true}) {
    for (std::int64_t m : {1, 8, 65}) {
      expect_product_parity(
          gemm_case({.trans_a = trans_a}, {m, 10, 784}, Shape{10}, random, DType::kUint8), 784);
    }
  }
}

TEST(Gemm, AppliesTheFusedActivationToEveryOutput) {
  std::mt19937_64 random(5);
  for (const Activation& activation : activations()) {
    GemmParams params;
    params.activation = activation;
    expect_product_parity(gemm_case(params, {9, 50, 20}, Shape{50}, random), 20);
    // Two blocks of depth: the activation must wait for the second.
    expect_product_parity(gemm_case(params, {9, 50, 300}, Shape{50}, random), 300);
    const OpCase test =
        gemm_case(params, {3, 4, 5}, Shape{4}, random, DType::kFloat64, DType::kFloat64);
    OpCase bare = test;
    bare.params = GemmParams{};
    expect_parity(test, {.rtol = 8 * kUlp64, .atol = product_bound(bare, 5)});
  }
}

TEST(Gemm, CarriesInfinityAndNaNIntoTheirRowsOnly) {
  std::mt19937_64 random(6);
  OpCase test = gemm_case({}, {20, 50, 30}, Shape{50}, random);
  test.inputs[0].as<float>()[5 * 30 + 7] = std::numeric_limits<float>::infinity();
  test.inputs[0].as<float>()[9 * 30 + 7] = std::numeric_limits<float>::quiet_NaN();
  expect_parity(test, {.atol = 38 * 31 * kUlp32});
}

TEST(Gemm, GivesARowTheSameBitsWhateverRowsAreAroundIt) {
  std::mt19937_64 random(7);
  for (std::int64_t k : {30, 300}) {
    OpCase test = gemm_case({}, {23, 77, k}, Shape{77}, random);
    const Tensor a = test.inputs[0];
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      for (const std::vector<std::size_t>& constant :
           {std::vector<std::size_t>{}, std::vector<std::size_t>{1}}) {
        test.constant_inputs = constant;
        test.inputs[0] = a;
        const Tensor all = run_cpu(test, isa->name)[0];
        for (std::int64_t row = 0; row < 23; ++row) {
          test.inputs[0] = Tensor::from<float>(
              DType::kFloat32, {1, k}, {a.as<float>() + row * k, static_cast<std::size_t>(k)});
          const Tensor one = run_cpu(test, isa->name)[0];
          EXPECT_EQ(0, std::memcmp(one.data(), all.as<float>() + row * 77, 77 * sizeof(float)))
              << isa->name << " row " << row;
        }
      }
    }
  }
}

TEST(Gemm, WrapsIntegersAround) {
  std::mt19937_64 random(8);
  for (DType type : {DType::kInt32, DType::kInt64, DType::kUint32, DType::kUint64}) {
    const bool is_signed = type == DType::kInt32 || type == DType::kInt64;
    const bool wide = type == DType::kInt64 || type == DType::kUint64;
    const double high = wide ? 0x1p60 : 0x1p30;
    for (bool transposed : {false, true}) {
      const GemmParams params{.alpha = -3, .beta = 2, .trans_a = transposed, .trans_b = transposed};
      const OpCase test =
          gemm_case(params, {5, 6, 7}, Shape{6}, random, type, type, is_signed ? -high : 0.0, high);
      if (wide) {
        // Their elements do not fit into the doubles that expect_parity compares.
        const Tensor want = run_reference(test)[0];
        const Tensor got = run_cpu(test, "portable")[0];
        EXPECT_EQ(0, std::memcmp(got.data(), want.data(), static_cast<std::size_t>(want.bytes())));
      } else {
        expect_parity(test, {});
      }
    }
  }
}

TEST(Gemm, ComputesInDoubleForDoubles) {
  std::mt19937_64 random(9);
  const OpCase test = gemm_case({.alpha = 0.5F, .trans_b = true}, {7, 9, 40}, Shape{7, 1}, random,
                                DType::kFloat64, DType::kFloat64);
  expect_parity(test, {.atol = product_bound(test, 40)});
}

TEST(Gemm, ParsesTheAttributesOfEveryOpset) {
  for (std::int64_t opset : {1, 6, 7, 9, 11, 13, 28}) {
    Attributes attributes;
    const auto defaults = std::get<GemmParams>(parse(OpKind::kGemm, attributes, opset));
    EXPECT_EQ(defaults.alpha, 1.0F);
    EXPECT_EQ(defaults.beta, 1.0F);
    EXPECT_FALSE(defaults.trans_a || defaults.trans_b);
    attributes.set("alpha", 0.5F);
    attributes.set("beta", 2.0F);
    attributes.set("transA", std::int64_t{1});
    attributes.set("transB", std::int64_t{1});
    if (opset < 7) attributes.set("broadcast", std::int64_t{1});
    const auto params = std::get<GemmParams>(parse(OpKind::kGemm, attributes, opset));
    EXPECT_EQ(params.alpha, 0.5F);
    EXPECT_EQ(params.beta, 2.0F);
    EXPECT_TRUE(params.trans_a && params.trans_b);
  }
}

TEST(Gemm, RefusesOperandsThatDoNotFit) {
  std::mt19937_64 random(10);
  const auto refuses = [&](ErrorCode code, const std::string& text, const OpCase& test) {
    expect_error(code, text, [&] { infer_types(test); });
  };
  const auto with = [&](const Shape& a, const Shape& b) {
    return OpCase{
        OpKind::kGemm,
        GemmParams{},
        {random_tensor(DType::kFloat32, a, random), random_tensor(DType::kFloat32, b, random)}};
  };
  refuses(ErrorCode::kInvalidModel, "A of shape [2,3] and B of shape [4,5] have different inner",
          with({2, 3}, {4, 5}));
  refuses(ErrorCode::kInvalidModel, "expected matrices", with({2, 3, 4}, {4, 5}));
  refuses(ErrorCode::kInvalidModel, "C of shape [3] does not broadcast to [2,5]",
          gemm_case({}, {2, 5, 4}, Shape{3}, random));
  refuses(ErrorCode::kInvalidModel, "C of shape [1,2,5] does not broadcast",
          gemm_case({}, {2, 5, 4}, Shape{1, 2, 5}, random));
  refuses(ErrorCode::kUnsupported, "alpha = 0.5 with operands of type i32",
          gemm_case({.alpha = 0.5F}, {2, 5, 4}, {}, random, DType::kInt32, DType::kInt32));
  refuses(ErrorCode::kUnsupported, "A of type f64 with B of type f32",
          gemm_case({}, {2, 5, 4}, {}, random, DType::kFloat64));
  refuses(ErrorCode::kUnsupported, "B of type i8",
          gemm_case({}, {2, 5, 4}, {}, random, DType::kInt8, DType::kInt8));
  OpCase bias = gemm_case({}, {2, 5, 4}, {}, random);
  bias.inputs.push_back(random_tensor(DType::kFloat64, {5}, random));
  refuses(ErrorCode::kInvalidModel, "C is of type f64; expected f32", bias);
}

TEST(MatMul, ReferenceMultipliesEachMatrixOfTheBatch) {
  const OpCase test{OpKind::kMatMul,
                    std::monostate{},
                    {tensor<float>({2, 1, 2}, {1, 2, 3, 4}), tensor<float>({2, 2}, {1, 0, 1, 1})}};
  EXPECT_EQ(to_vector(run_reference(test)[0]), (std::vector<float>{3, 2, 7, 4}));
}

TEST(MatMul, FollowsNumpysShapes) {
  struct Case {
    Shape a, b, y;
  };
  const std::vector<Case> cases = {
      {{3}, {3}, {}},
      {{3}, {3, 4}, {4}},
      {{2, 3}, {3}, {2}},
      {{2, 3}, {3, 4}, {2, 4}},
      {{5, 2, 3}, {3, 4}, {5, 2, 4}},
      {{5, 2, 3}, {1, 3, 4}, {5, 2, 4}},
      {{2, 3}, {5, 3, 4}, {5, 2, 4}},
      {{3}, {5, 3, 4}, {5, 4}},
      {{5, 2, 3}, {3}, {5, 2}},
      {{5, 1, 2, 3}, {7, 3, 4}, {5, 7, 2, 4}},
      {{1, 7, 2, 3}, {5, 1, 3, 4}, {5, 7, 2, 4}},
      {{2, 3}, {1, 1, 3, 4}, {1, 1, 2, 4}},
      {{0, 3}, {3, 4}, {0, 4}},
      {{2, 0}, {0, 4}, {2, 4}},
      {{2, 3}, {3, 0}, {2, 0}},
      {{0, 2, 3}, {3, 4}, {0, 2, 4}},
      {{0, 2, 3}, {0, 3, 4}, {0, 2, 4}},
      {{5, 2, 0}, {5, 0, 4}, {5, 2, 4}},
      {{0}, {0}, {}},
      {{6, 37, 65}, {6, 65, 50}, {6, 37, 50}},
  };
  std::mt19937_64 random(11);
  for (const Case& c : cases) {
    const std::int64_t k = c.a[c.a.rank() - 1];
    const OpCase test = matmul_case(DType::kFloat32, c.a, c.b, random);
    EXPECT_EQ(infer_types(test)[0].shape, c.y) << c.a.to_string() << " x " << c.b.to_string()
                                               << " -> " << infer_types(test)[0].shape.to_string();
    expect_product_parity(test, k);
    const OpCase wide = matmul_case(DType::kFloat64, c.a, c.b, random);
    expect_parity(wide, {.atol = product_bound(wide, k)});
    expect_parity(matmul_case(DType::kInt32, c.a, c.b, random, -0x1p31, 0x1p31), {});
    expect_parity(matmul_case(DType::kUint32, c.a, c.b, random, 0.0, 0x1p32), {});
    expect_parity(matmul_case(DType::kInt64, c.a, c.b, random, -1000.0, 1000.0), {});
    expect_parity(matmul_case(DType::kUint64, c.a, c.b, random, 0.0, 1000.0), {});
  }
}

TEST(MatMul, RefusesOperandsThatDoNotFit) {
  std::mt19937_64 random(12);
  const auto refuses = [&](ErrorCode code, const std::string& text, const OpCase& test) {
    expect_error(code, text, [&] { infer_types(test); });
  };
  refuses(ErrorCode::kInvalidModel, "have different inner extents: 3 and 4",
          matmul_case(DType::kFloat32, {2, 3}, {4, 5}, random));
  refuses(ErrorCode::kInvalidModel, "expected at least one axis each",
          matmul_case(DType::kFloat32, {}, {4, 5}, random));
  refuses(ErrorCode::kInvalidModel, "shapes [2] and [3] do not broadcast",
          matmul_case(DType::kFloat32, {2, 4, 4}, {3, 4, 4}, random));
  refuses(ErrorCode::kUnsupported, "A of type u8",
          matmul_case(DType::kUint8, {2, 4}, {4, 4}, random));
  OpCase mixed = matmul_case(DType::kFloat32, {2, 4}, {4, 4}, random);
  mixed.inputs[1] = random_tensor(DType::kFloat64, {4, 4}, random);
  refuses(ErrorCode::kInvalidModel, "A is of type f32 and B of type f64", mixed);
}

}  // namespace
}  // namespace prs::test
