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

constexpr float kDenormal = 1e-41F;
/// Four units in the last place, of denormals too.
constexpr Tolerance kFewUlp{8 * kUnit, 6e-45};

const OpKind kBinaryKinds[] = {OpKind::kAdd, OpKind::kSub, OpKind::kMul, OpKind::kDiv};
const DType kAllNumbers[] = {DType::kFloat32, DType::kFloat64, DType::kInt8,  DType::kInt16,
                             DType::kInt32,   DType::kInt64,   DType::kUint8, DType::kUint16,
                             DType::kUint32,  DType::kUint64};

const std::vector<float>& special_values() {
  static const std::vector<float> values{
      0.0F,   -0.0F, 1.0F,  -1.0F,  kDenormal, -kDenormal, 3e38F,  -3e38F, kInf,    -kInf, kNaN,
      0.625F, -0.6F, 88.8F, -88.8F, 104.0F,    -104.0F,    1e-20F, -9.01F, 0.0001F, 200.0F};
  return values;
}

/// All pairs of special values, as two vectors.
std::pair<Tensor, Tensor> special_pairs() {
  std::vector<float> a;
  std::vector<float> b;
  for (float x : special_values()) {
    for (float y : special_values()) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  const Shape shape{static_cast<std::int64_t>(a.size())};
  return {tensor<float>(shape, a), tensor<float>(shape, b)};
}

Tensor special_vector() {
  return tensor<float>({static_cast<std::int64_t>(special_values().size())}, special_values());
}

TEST(Binary, ReferenceComputesTheFourOperations) {
  const Tensor a = tensor<float>({2, 2}, {1, 2, 3, 4});
  const Tensor b = tensor<float>({2}, {10, 20});
  const auto expect = [&](OpKind kind, const std::vector<float>& want) {
    expect_close(run_one({kind, BinaryParams{}, {a, b}}), tensor<float>({2, 2}, want), {}, "ref");
  };
  expect(OpKind::kAdd, {11, 22, 13, 24});
  expect(OpKind::kSub, {-9, -18, -7, -16});
  expect(OpKind::kMul, {10, 40, 30, 80});
  expect(OpKind::kDiv, {0.1F, 0.1F, 0.3F, 0.2F});
}

TEST(Binary, IntegersWrapAndDivideTowardsZeroWithoutTrapping) {
  constexpr std::int32_t kLowest = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t kHighest = std::numeric_limits<std::int32_t>::max();
  const Tensor a = tensor<std::int32_t>({5}, {7, -7, 5, kLowest, kHighest});
  const Tensor b = tensor<std::int32_t>({5}, {2, 2, 0, -1, 1});
  const auto expect = [&](OpKind kind, const std::vector<std::int32_t>& want) {
    expect_close(run_one({kind, BinaryParams{}, {a, b}}), tensor<std::int32_t>({5}, want), {},
                 "ref");
    expect_parity({kind, BinaryParams{}, {a, b}}, {});
  };
  expect(OpKind::kDiv, {3, -3, 0, kLowest, kHighest});
  expect(OpKind::kAdd, {9, -5, 5, kHighest, kLowest});
  expect(OpKind::kMul, {14, -14, 0, kLowest, kHighest});
  const Tensor small = tensor<std::int8_t>({2}, {-128, 100});
  const Tensor other = tensor<std::int8_t>({2}, {-1, 2});
  expect_close(run_one({OpKind::kDiv, BinaryParams{}, {small, other}}),
               tensor<std::int8_t>({2}, {-128, 50}), {}, "i8");
  expect_close(run_one({OpKind::kMul, BinaryParams{}, {small, other}}),
               tensor<std::int8_t>({2}, {-128, -56}), {}, "i8");
}

TEST(Binary, EveryNumberTypeMatchesTheReference) {
  std::mt19937_64 random(1);
  for (DType dtype : kAllNumbers) {
    const bool is_signed = dtype_name(dtype)[0] != 'u';
    const Tensor a = random_tensor(dtype, {3, 17}, random, is_signed ? -100 : 0, 100);
    const Tensor b = random_tensor(dtype, {17}, random, is_signed ? -3 : 0, 4);
    for (OpKind kind : kBinaryKinds) expect_parity({kind, BinaryParams{}, {a, b}}, {});
  }
}

TEST(Binary, BroadcastsInEveryPosition) {
  std::mt19937_64 random(2);
  const std::pair<Shape, Shape> shapes[] = {{{}, {}},
                                            {{}, {5}},
                                            {{1}, {1}},
                                            {{257}, {257}},
                                            {{2049}, {2049}},
                                            {{2048}, {1}},
                                            {{1}, {4097}},
                                            {{3, 17}, {17}},
                                            {{3, 17}, {3, 1}},
                                            {{17, 1}, {1, 15}},
                                            {{2, 3, 1, 5}, {3, 4, 1}},
                                            {{1, 16, 1}, {31, 1, 7}},
                                            {{2, 5, 3, 3}, {5, 1, 1}},
                                            {{900, 3}, {3}},
                                            {{2, 3000}, {2, 1}},
                                            {{2, 1, 3, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 3, 1, 2}},
                                            {{0}, {1}},
                                            {{3, 0}, {1}},
                                            {{0, 3}, {3}},
                                            {{1}, {2, 0, 5}}};
  for (const auto& [a, b] : shapes) {
    const Tensor left = random_tensor(DType::kFloat32, a, random);
    const Tensor right = random_tensor(DType::kFloat32, b, random);
    for (OpKind kind : kBinaryKinds) {
      expect_parity({kind, BinaryParams{}, {left, right}}, {});
      expect_parity({kind, BinaryParams{}, {right, left}}, {});
    }
    const Tensor left_ints = random_tensor(DType::kInt64, a, random, -9, 9);
    const Tensor right_ints = random_tensor(DType::kInt64, b, random, -9, 9);
    expect_parity({OpKind::kSub, BinaryParams{}, {left_ints, right_ints}}, {});
  }
}

TEST(Binary, SpecialValuesFollowIeee) {
  const auto [a, b] = special_pairs();
  for (OpKind kind : kBinaryKinds) expect_parity({kind, BinaryParams{}, {a, b}}, {});
}

TEST(Binary, FusedActivationsFollowTheRoundedResult) {
  std::mt19937_64 random(3);
  const Activation activations[] = {{Activation::Kind::kRelu},
                                    {Activation::Kind::kLeakyRelu, 0.25F},
                                    {Activation::Kind::kClip, -0.5F, 0.5F},
                                    {Activation::Kind::kSigmoid},
                                    {Activation::Kind::kTanh}};
  for (const Activation& activation : activations) {
    BinaryParams params;
    params.activation = activation;
    for (const Shape& shape : {Shape{5000}, Shape{700, 3}, Shape{3, 2500}, Shape{}}) {
      const Tensor a = random_tensor(DType::kFloat32, shape, random, -3, 3);
      const Tensor b = random_tensor(DType::kFloat32, shape.rank() == 2 ? Shape{shape[1]} : shape,
                                     random, -3, 3);
      expect_parity({OpKind::kAdd, params, {a, b}}, kFewUlp);
    }
    const auto [a, b] = special_pairs();
    expect_parity({OpKind::kAdd, params, {a, b}}, kFewUlp);
  }
  BinaryParams relu;
  relu.activation.kind = Activation::Kind::kRelu;
  expect_close(run_one({OpKind::kAdd, relu, {tensor<float>({2}, {1, -3}), tensor<float>({}, {1})}}),
               tensor<float>({2}, {2, 0}), {}, "ref");
}

TEST(Binary, MayWriteOverItsFirstOperand) {
  std::mt19937_64 random(4);
  const Tensor a = random_tensor(DType::kFloat32, {33, 65}, random);
  const Tensor b = random_tensor(DType::kFloat32, {65}, random);
  BinaryParams params;
  params.activation.kind = Activation::Kind::kTanh;
  expect_in_place_parity({OpKind::kMul, params, {a, b}}, kFewUlp, &cpu::plan_binary);
  expect_in_place_parity({OpKind::kMul, params, {a, a}}, kFewUlp, &cpu::plan_binary);
  const Tensor ints = random_tensor(DType::kInt32, {257}, random, -50, 50);
  expect_in_place_parity({OpKind::kAdd, BinaryParams{}, {ints, ints}}, {}, &cpu::plan_binary);
}

TEST(Binary, OldOpsetsBroadcastOnlyBFromTheGivenAxis) {
  Attributes attributes;
  attributes.set("broadcast", std::int64_t{1});
  attributes.set("axis", std::int64_t{1});
  attributes.set("consumed_inputs", std::vector<std::int64_t>{0, 0});
  const Params params = parse(OpKind::kAdd, 6, attributes);
  ASSERT_TRUE(std::get<BinaryParams>(params).legacy_broadcast);
  const Tensor a = tensor<float>({1, 2, 2}, {1, 2, 3, 4});
  const Tensor b = tensor<float>({2}, {10, 20});
  expect_close(run_one({OpKind::kAdd, params, {a, b}}), tensor<float>({1, 2, 2}, {11, 12, 23, 24}),
               {}, "axis 1");
  expect_parity({OpKind::kAdd, params, {a, b}}, {});
  BinaryParams suffix;
  suffix.legacy_broadcast = true;
  expect_close(run_one({OpKind::kAdd, suffix, {a, b}}), tensor<float>({1, 2, 2}, {11, 22, 13, 24}),
               {}, "suffix");
  suffix.legacy_axis = -2;
  expect_parity({OpKind::kSub, suffix, {a, b}}, {});
  expect_refused({OpKind::kAdd, BinaryParams{true, 2, {}}, {b, a}}, ErrorCode::kInvalidModel,
                 "axis 2 does not place B [1,2,2] inside A [2]");
  expect_refused({OpKind::kAdd, BinaryParams{true, {}, {}}, {b, a}}, ErrorCode::kInvalidModel,
                 "only B is stretched");
}

TEST(Binary, NewOpsetsIgnoreTheBroadcastAttribute) {
  Attributes attributes;
  attributes.set("broadcast", std::int64_t{1});
  EXPECT_FALSE(std::get<BinaryParams>(parse(OpKind::kMul, 7, attributes)).legacy_broadcast);
  EXPECT_FALSE(std::get<BinaryParams>(parse(OpKind::kMul, 6, {})).legacy_broadcast);
}

TEST(Binary, RefusesWhatDoesNotFit) {
  const Tensor floats = tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor ints = tensor<std::int32_t>({3}, {1, 2, 3});
  const Tensor pair = tensor<float>({2}, {1, 2});
  expect_refused({OpKind::kAdd, BinaryParams{}, {floats, ints}}, ErrorCode::kInvalidModel,
                 "inputs 0 and 1 differ in type: f32 and i32");
  expect_refused({OpKind::kAdd, BinaryParams{}, {floats, pair}}, ErrorCode::kInvalidModel,
                 "[2,3] and [2] do not broadcast");
  const Tensor flags(DType::kBool, {2});
  expect_refused({OpKind::kAdd, BinaryParams{}, {flags, flags}}, ErrorCode::kUnsupported, "bool");
  expect_refused({OpKind::kAdd, BinaryParams{}, {floats}}, ErrorCode::kInvalidModel,
                 "input 1 is missing");
}

TEST(Variadic, ReferenceFoldsAllOperands) {
  const Tensor a = tensor<float>({3}, {1, 5, kNaN});
  const Tensor b = tensor<float>({}, {2});
  const Tensor c = tensor<float>({1, 1}, {3});
  const auto expect = [&](OpKind kind, const std::vector<float>& want) {
    expect_close(run_one({kind, {}, {a, b, c}}), tensor<float>({1, 3}, want), {}, "ref");
  };
  expect(OpKind::kSum, {6, 10, kNaN});
  expect(OpKind::kMax, {3, 5, kNaN});
  expect(OpKind::kMin, {1, 2, kNaN});
}

TEST(Variadic, BroadcastsAnyNumberOfOperands) {
  std::mt19937_64 random(5);
  const std::vector<std::vector<Shape>> lists = {{{}},
                                                 {{17}},
                                                 {{0}},
                                                 {{2, 3}, {3}},
                                                 {{3}, {2, 1}},
                                                 {{}, {}, {4, 5}},
                                                 {{1}, {1, 1}, {257}, {2, 257}},
                                                 {{5, 1}, {1, 7}, {5, 7}, {}},
                                                 {{0, 2}, {2}, {1}}};
  for (const std::vector<Shape>& shapes : lists) {
    for (OpKind kind : {OpKind::kMax, OpKind::kMin, OpKind::kSum}) {
      OpCase test{kind, {}, {}};
      for (const Shape& shape : shapes) {
        test.inputs.push_back(random_tensor(DType::kFloat32, shape, random));
      }
      expect_parity(test, {0, 4 * 4 * kUnit});
    }
  }
}

TEST(Variadic, MaxAndMinTakeEveryNumberType) {
  std::mt19937_64 random(6);
  for (DType dtype : kAllNumbers) {
    const double low = dtype_name(dtype)[0] == 'u' ? 0 : -100;
    const Tensor a = random_tensor(dtype, {3, 17}, random, low, 100);
    const Tensor b = random_tensor(dtype, {17}, random, low, 100);
    const Tensor c = random_tensor(dtype, {3, 1}, random, low, 100);
    expect_parity({OpKind::kMax, {}, {a, b, c}}, {});
    expect_parity({OpKind::kMin, {}, {a, b, c}}, {});
  }
  const Tensor ints = tensor<std::int32_t>({1}, {1});
  expect_refused({OpKind::kSum, {}, {ints, ints}}, ErrorCode::kUnsupported, "i32");
  expect_refused({OpKind::kMax, {}, {ints, tensor<float>({1}, {1})}}, ErrorCode::kInvalidModel,
                 "inputs 0 and 1 differ in type: i32 and f32");
  expect_refused({OpKind::kMax, {}, {ints, Tensor(), ints}}, ErrorCode::kInvalidModel,
                 "input 1 is missing");
}

TEST(Variadic, NaNOnEitherSidePropagates) {
  const auto [a, b] = special_pairs();
  for (OpKind kind : {OpKind::kMax, OpKind::kMin, OpKind::kSum}) {
    expect_parity({kind, {}, {a, b}}, {});
  }
}

TEST(Variadic, MayWriteOverItsFirstOfTwoOperands) {
  std::mt19937_64 random(7);
  const Tensor a = random_tensor(DType::kFloat32, {130}, random);
  expect_in_place_parity({OpKind::kSum, {}, {a, a}}, {}, &cpu::plan_variadic);
  expect_in_place_parity({OpKind::kMax, {}, {a}}, {}, &cpu::plan_variadic);
}

TEST(Unary, ReferenceComputesEachFunction) {
  const Tensor x = tensor<float>({4}, {-2, 0, 1, kNaN});
  const auto expect = [&](OpKind kind, const std::vector<float>& want) {
    expect_close(run_one({kind, UnaryParams{0.5F}, {x}}), tensor<float>({4}, want), {1e-6, 0},
                 "ref");
  };
  expect(OpKind::kNeg, {2, 0, -1, kNaN});
  expect(OpKind::kRelu, {0, 0, 1, kNaN});
  expect(OpKind::kLeakyRelu, {-1, 0, 1, kNaN});
  expect(OpKind::kSigmoid, {0.119202922F, 0.5F, 0.731058579F, kNaN});
  expect(OpKind::kTanh, {-0.964027580F, 0, 0.761594156F, kNaN});
}

TEST(Unary, AllSizesAndSpecialValuesMatchTheReference) {
  std::mt19937_64 random(8);
  for (OpKind kind :
       {OpKind::kNeg, OpKind::kRelu, OpKind::kLeakyRelu, OpKind::kSigmoid, OpKind::kTanh}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{15}, Shape{16}, Shape{17},
                               Shape{257}, Shape{3, 0, 2}, Shape{7, 11, 13}}) {
      const Tensor x = random_tensor(DType::kFloat32, shape, random, -12, 12);
      expect_parity({kind, UnaryParams{0.01F}, {x}}, kFewUlp);
      const Tensor doubles = random_tensor(DType::kFloat64, shape, random, -12, 12);
      expect_parity({kind, UnaryParams{0.01F}, {doubles}}, {1e-15, 0});
    }
    expect_parity({kind, UnaryParams{-0.5F}, {special_vector()}}, kFewUlp);
  }
}

TEST(Unary, SigmoidAndTanhStayWithinFourUlpOverTheirWholeRange) {
  std::vector<float> values;
  for (double magnitude = 1e-45; magnitude < 1e3; magnitude *= 1.0017) {
    values.push_back(static_cast<float>(magnitude));
    values.push_back(static_cast<float>(-magnitude));
  }
  const Tensor x = tensor<float>({static_cast<std::int64_t>(values.size())}, values);
  for (OpKind kind : {OpKind::kSigmoid, OpKind::kTanh}) {
    expect_parity({kind, UnaryParams{}, {x}}, kFewUlp);
  }
}

TEST(Unary, TanhKeepsTheSignOfZero) {
  const OpCase test{OpKind::kTanh, UnaryParams{}, {tensor<float>({2}, {-0.0F, 0.0F})}};
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    const Tensor y = run_cpu(test, isa->name).at(0);
    EXPECT_TRUE(std::signbit(y.as<float>()[0]));
    EXPECT_FALSE(std::signbit(y.as<float>()[1]));
  }
}

TEST(Unary, NegAndReluTakeSignedIntegers) {
  const Tensor x = tensor<std::int8_t>({3}, {-128, -1, 5});
  expect_close(run_one({OpKind::kNeg, UnaryParams{}, {x}}), tensor<std::int8_t>({3}, {-128, 1, -5}),
               {}, "ref");
  expect_close(run_one({OpKind::kRelu, UnaryParams{}, {x}}), tensor<std::int8_t>({3}, {0, 0, 5}),
               {}, "ref");
  std::mt19937_64 random(9);
  for (DType dtype : {DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64}) {
    const Tensor values = random_tensor(dtype, {67}, random, -128, 128);
    expect_parity({OpKind::kNeg, UnaryParams{}, {values}}, {});
    expect_parity({OpKind::kRelu, UnaryParams{}, {values}}, {});
  }
  expect_refused({OpKind::kRelu, UnaryParams{}, {Tensor(DType::kUint8, {1})}},
                 ErrorCode::kUnsupported, "u8");
  expect_refused({OpKind::kTanh, UnaryParams{}, {x}}, ErrorCode::kUnsupported, "i8");
}

TEST(Unary, MayWriteOverItsInput) {
  std::mt19937_64 random(10);
  const Tensor x = random_tensor(DType::kFloat32, {1001}, random, -5, 5);
  for (OpKind kind :
       {OpKind::kNeg, OpKind::kRelu, OpKind::kLeakyRelu, OpKind::kSigmoid, OpKind::kTanh}) {
    expect_in_place_parity({kind, UnaryParams{}, {x}}, kFewUlp, &cpu::plan_unary);
  }
}

TEST(Unary, LeakyReluReadsAlpha) {
  Attributes attributes;
  attributes.set("consumed_inputs", std::vector<std::int64_t>{0});
  EXPECT_EQ(std::get<UnaryParams>(parse(OpKind::kLeakyRelu, 1, attributes)).alpha, 0.01F);
  attributes.set("alpha", 0.25F);
  EXPECT_EQ(std::get<UnaryParams>(parse(OpKind::kLeakyRelu, 16, attributes)).alpha, 0.25F);
}

TEST(Clip, ReferenceBoundsBothSidesAndKeepsNaN) {
  const Tensor x = tensor<float>({4}, {-5, 0.5F, 5, kNaN});
  const Tensor low = tensor<float>({}, {-1});
  const Tensor high = tensor<float>({1}, {2});
  const auto expect = [&](const std::vector<Tensor>& inputs, const std::vector<float>& want) {
    expect_close(run_one({OpKind::kClip, ClipParams{}, inputs}), tensor<float>({4}, want), {},
                 "ref");
    expect_parity({OpKind::kClip, ClipParams{}, inputs}, {});
  };
  expect({x, low, high}, {-1, 0.5F, 2, kNaN});
  expect({x, low}, {-1, 0.5F, 5, kNaN});
  expect({x, Tensor(), high}, {-5, 0.5F, 2, kNaN});
  expect({x}, {-5, 0.5F, 5, kNaN});
  expect({x, high, low}, {-1, -1, -1, kNaN});
}

TEST(Clip, AbsentBoundsAreTheFiniteLimits) {
  constexpr float kMax = std::numeric_limits<float>::max();
  const Tensor x = tensor<float>({2}, {-kInf, kInf});
  expect_close(run_one({OpKind::kClip, ClipParams{}, {x}}), tensor<float>({2}, {-kMax, kMax}), {},
               "ref");
  expect_parity({OpKind::kClip, ClipParams{}, {special_vector()}}, {});
}

TEST(Clip, TakesEveryNumberTypeAndSize) {
  std::mt19937_64 random(11);
  for (DType dtype : kAllNumbers) {
    for (const Shape& shape : {Shape{}, Shape{0, 3}, Shape{17}, Shape{257}}) {
      const Tensor x = random_tensor(dtype, shape, random, 0, 100);
      const Tensor low = random_tensor(dtype, {}, random, 20, 30);
      const Tensor high = random_tensor(dtype, {}, random, 70, 80);
      expect_parity({OpKind::kClip, ClipParams{}, {x, low, high}}, {});
      expect_parity({OpKind::kClip, ClipParams{}, {x, Tensor(), high}, 1, {2}}, {});
    }
  }
}

TEST(Clip, OldOpsetsReadBoundsFromAttributes) {
  Attributes attributes;
  attributes.set("max", 6.0F);
  const Params params = parse(OpKind::kClip, 6, attributes);
  EXPECT_EQ(std::get<ClipParams>(params).legacy_min, std::numeric_limits<float>::lowest());
  EXPECT_EQ(std::get<ClipParams>(params).legacy_max, 6.0F);
  EXPECT_FALSE(std::get<ClipParams>(parse(OpKind::kClip, 11, attributes)).legacy_max.has_value());
  const Tensor x = tensor<float>({3}, {-1, 3, 9});
  expect_close(run_one({OpKind::kClip, params, {x}}), tensor<float>({3}, {-1, 3, 6}), {}, "ref");
  expect_parity({OpKind::kClip, params, {x}}, {});
  expect_parity({OpKind::kClip, params, {tensor<double>({2}, {1, 7})}}, {});
  expect_refused({OpKind::kClip, params, {tensor<std::int32_t>({1}, {1})}}, ErrorCode::kUnsupported,
                 "i32");
}

TEST(Clip, MayWriteOverItsInput) {
  const Tensor x = tensor<float>({3}, {-1, 3, 9});
  expect_in_place_parity({OpKind::kClip, ClipParams{0.0F, 6.0F}, {x}}, {}, &cpu::plan_clip);
}

TEST(Clip, RefusesBoundsThatDoNotFit) {
  const Tensor x = tensor<float>({2}, {1, 2});
  expect_refused({OpKind::kClip, ClipParams{}, {x, x}}, ErrorCode::kInvalidModel,
                 "min has shape [2]; expected a scalar");
  expect_refused({OpKind::kClip, ClipParams{}, {x, Tensor(), tensor<double>({}, {1})}},
                 ErrorCode::kInvalidModel, "max has type f64, the input f32");
}

}  // namespace
}  // namespace prs::test
