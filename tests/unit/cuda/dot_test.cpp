// Products of few rows (kernels/dot.hpp), emulated: every precision against the reference, spread
// over devices of one and of many multiprocessors; sums of several blocks, whose bits hang neither
// on the blocks' order nor on the run before.
#include "backend/dot.hpp"

#include <thread>

#include "unit/cuda/exact_products.hpp"
#include "unit/cuda/network_builder.hpp"
#include "unit/ops/quantized_cases.hpp"

namespace prs::test {
namespace {

constexpr Precision kFloats[] = {Precision::kFp32, Precision::kTf32, Precision::kBf16,
                                 Precision::kFp16};

cuda::DeviceLimits with_multiprocessors(int multiprocessors) {
  cuda::DeviceLimits limits;
  limits.multiprocessors = multiprocessors;
  return limits;
}
/// On one, blocks take 8 columns; here, 1 of 10 and less, 2 of 33, 4 of 65.
const cuda::DeviceLimits kManyMultiprocessors = with_multiprocessors(12);

/// Long enough that a few columns of elements of `bytes` are cut over blocks; odd. (Sums of bytes
/// never are: of them k is at most 65,536.)
std::int64_t split_k(std::int64_t bytes) { return 131072 / bytes + 17; }

OpCase product(std::int64_t m, std::int64_t n, std::int64_t k, GemmParams params,
               std::mt19937_64& random) {
  return {OpKind::kGemm,
          params,
          {exact_tensor(params.trans_a ? Shape{k, m} : Shape{m, k}, random),
           exact_tensor(params.trans_b ? Shape{n, k} : Shape{k, n}, random),
           exact_tensor({n}, random)}};
}

TEST(CudaDot, EveryPrecisionAndOddExtents) {
  struct Extents {
    std::int64_t m, n, k;
  };
  unsigned variant = 0;
  std::mt19937_64 random(1);
  for (const auto& [m, n, k] : std::vector<Extents>{{1, 1, 1},
                                                    {1, 10, 784},
                                                    {1, 33, 1153},
                                                    {2, 7, 3},
                                                    {3, 65, 17},
                                                    {4, 10, 64},
                                                    {5, 1, 1153},
                                                    {6, 128, 33},
                                                    {7, 7, 784},
                                                    {8, 9, 1153}}) {
    GemmParams params;
    params.trans_a = (variant & 1) != 0;
    params.trans_b = (variant & 2) != 0;
    params.activation.kind = Activation::Kind::kRelu;
    ++variant;
    expect_exact_products(product(m, n, k, params, random), k, kFloats);
    expect_exact_products(product(m, n, k, params, random), k, kFloats, kManyMultiprocessors);
  }
}

TEST(CudaDot, MoreRowsWhereOtherTilesLeaveTheDeviceIdle) {
  std::mt19937_64 random(2);
  for (const auto& [m, k] : {std::pair{9, 48}, {17, 35}, {64, 16}}) {
    OpCase test = product(m, 20, k, {}, random);
    test.constant_inputs = {1};
    EXPECT_EQ(cuda_kernel(test, Precision::kFp32, with_multiprocessors(7)),
              "gemm_f32_smem_64x64x16");
    EXPECT_EQ(cuda_kernel(test, Precision::kFp32, with_multiprocessors(8)), "gemm_f32_dot_8x8");
    expect_exact_products(test, k, kFloats, with_multiprocessors(8));
  }
}

TEST(CudaDot, BiasesOfEveryShapeAlphaBetaAndActivations) {
  std::mt19937_64 random(3);
  for (const Shape& bias : {Shape{}, Shape{11}, Shape{1, 11}, Shape{5, 1}, Shape{5, 11}}) {
    OpCase test = product(5, 11, 40, {.alpha = -0.5F, .beta = 2.0F}, random);
    test.inputs[2] = exact_tensor(bias, random);
    expect_exact_products(test, 40, kFloats);
  }
  OpCase bare = product(5, 11, 40, {}, random);
  bare.inputs.pop_back();
  expect_exact_products(bare, 40, kFloats);
  for (const Activation& activation : activations()) {
    GemmParams params;
    params.activation = activation;
    expect_exact_products(product(3, 9, 30, params, random), 30, kFloats);
  }
}

TEST(CudaDot, Pixels) {
  std::mt19937_64 random(4);
  for (const std::int64_t k : {16, 784, 19}) {
    OpCase test = product(3, 10, k, {}, random);
    test.inputs[0] = random_tensor(DType::kUint8, {3, k}, random, 0, 256);
    expect_exact_products(test, k, kFloats);
    expect_exact_products(test, k, kFloats, kManyMultiprocessors);
  }
}

TEST(CudaDot, MatMulTakesTheBatchAsRows) {
  std::mt19937_64 random(5);
  OpCase test{OpKind::kMatMul,
              std::monostate{},
              {exact_tensor({2, 1, 3, 20}, random), exact_tensor({20, 9}, random)}};
  expect_exact_products(test, 20, kFloats);
  test.constant_inputs = {1};
  EXPECT_EQ(cuda_kernel(test, Precision::kBf16), "gemm_bf16_dot_8x8");
}

/// Infinite weights must not meet what fills up the last stage.
TEST(CudaDot, WhatIsNotFiniteStaysInItsColumn) {
  OpCase test{OpKind::kGemm,
              GemmParams{},
              {tensor<float>({1, 3}, {1, 2, 3}),
               tensor<float>({3, 3}, {kInf, 1, 0, -1, kNaN, 1, 1, 1, 2})}};
  for (const Precision precision : kFloats) {
    expect_device_parity(test, precision, {}, {});
  }
}

/// |error| <= (2 u + u^2) sum |a||b|, and that of the sum in f32.
TEST(CudaDot, RoundsOperandsToNearest) {
  std::mt19937_64 random(6);
  const std::int64_t k = 50;
  const OpCase test{OpKind::kGemm,
                    GemmParams{},
                    {random_tensor(DType::kFloat32, {4, k}, random),
                     random_tensor(DType::kFloat32, {k, 20}, random)}};
  const double sums = product_bound(test, k);
  const double magnitudes = sums / (static_cast<double>(k + 8) * kUlp32);
  for (const Precision precision : kTensorCorePrecisions) {
    const double unit = unit_of(precision);
    expect_device_parity(test, precision, {},
                         {.rtol = 0.0, .atol = sums + (2 * unit + unit * unit) * magnitudes});
  }
}

TEST(CudaDot, BytesGiveTheReferencesBits) {
  struct Extents {
    std::int64_t m, n, k;
  };
  std::size_t variant = 0;
  for (const auto& [m, n, k] : std::vector<Extents>{
           {1, 1, 1}, {2, 7, 3}, {3, 10, 17}, {7, 33, 784}, {8, 7, 1153}, {9, 10, 64}}) {
    for (int i = 0; i < 3; ++i) {
      std::mt19937_64 random(++variant);
      OpCase test = random_quantized_gemm(m, n, k, variant, random);
      // Both ends of the zero points' range, and scales below zero.
      auto& out = std::get<QuantizedGemmParams>(test.params).out;
      const std::int32_t lowest = test.inputs[0].dtype() == DType::kInt8 ? -128 : 0;
      if (i < 2) out.x_zero_point = lowest + 255 * i;
      test.inputs[2].as<float>()[0] *= -1.0F;
      expect_device_parity(test, Precision::kInt8, {}, {});
      expect_device_parity(test, Precision::kInt8, kManyMultiprocessors, {});
    }
  }
}

TEST(CudaDot, SumsOfSeveralBlocksHaveTheSameBitsEveryTime) {
  std::mt19937_64 random(7);
  const cuda::DeviceLimits many = with_multiprocessors(132);
  EXPECT_EQ(cuda::dot_extents(2, 3, 4 * split_k(4), kManyMultiprocessors).splits, 4);
  EXPECT_EQ(cuda::dot_extents(9, 3, 4 * split_k(4), many).splits, 8);
  for (const std::int64_t m : {1, 2, 9}) {
    for (const Precision precision : kFloats) {
      if (m == 9 && precision != Precision::kFp32) continue;  // Two tiles of rows.
      const std::int64_t k =
          split_k(precision == Precision::kFp32 || precision == Precision::kTf32 ? 4 : 2);
      GemmParams params;
      params.trans_b = m == 2;
      // Not exact, so that another order of adding shows.
      OpCase test = product(m, 3, k, params, random);
      for (std::size_t i = 0; i < 2; ++i) {
        test.inputs[i] = random_tensor(DType::kFloat32, test.inputs[i].shape(), random);
      }
      const double sums = product_bound(test, k);
      const double unit = precision == Precision::kFp32 ? 0.0 : unit_of(precision);
      const double magnitudes = sums / (static_cast<double>(k + 8) * kUlp32);
      expect_device_parity(test, precision, m == 9 ? many : kManyMultiprocessors,
                           {.rtol = 0.0, .atol = sums + (2 * unit + unit * unit) * magnitudes});
    }
  }
}

TEST(CudaDot, ContextsSideBySideHaveScratchOfTheirOwn) {
  Graph graph = NetworkBuilder(DType::kFloat32, {1, split_k(4)})
                    .gemm(3)
                    .node(OpKind::kSoftmax, SoftmaxParams{.axis = 1})
                    .graph();
  const auto backend = cuda::make_backend(
      make_test_runtime({cuda::emulated::Order::kShuffled, 3}, kManyMultiprocessors));
  const auto executable = backend->compile(graph, {});
  EXPECT_EQ(executable->steps()[0].kernel, "gemm_f32_dot_8x8");
  constexpr int kContexts = 4;
  std::vector<Tensor> inputs;
  std::vector<std::vector<Tensor>> alone;
  std::mt19937_64 random(8);
  for (int i = 0; i < kContexts; ++i) {
    inputs.push_back(random_tensor(DType::kFloat32, {1, split_k(4)}, random));
    alone.push_back(
        run_executable(*executable, *executable->new_context(), graph, {inputs.back()}));
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kContexts; ++i) {
    threads.emplace_back([&, i] {
      const auto context = executable->new_context();
      for (int run = 0; run < 4; ++run) {
        expect_equal_bits(run_executable(*executable, *context, graph, {inputs[i]}), alone[i],
                          "beside others");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CudaDot, SpreadsColumnsAndThenStagesOverTheDevice) {
  const auto extents = [](std::int64_t m, std::int64_t n, std::int64_t bytes, int multiprocessors) {
    const auto [columns, splits] =
        cuda::dot_extents(m, n, bytes, with_multiprocessors(multiprocessors));
    return std::pair(columns, splits);
  };
  using Pair = std::pair<int, int>;
  // mlp's layers and cnn's first dense one, of f32.
  EXPECT_EQ(extents(1, 256, 784 * 4, 132), Pair(1, 1));
  EXPECT_EQ(extents(8, 128, 256 * 4, 132), Pair(1, 1));
  EXPECT_EQ(extents(64, 256, 784 * 4, 132), Pair(8, 1));
  EXPECT_EQ(extents(1, 128, 9216 * 4, 132), Pair(1, 1));
  // One multiprocessor gains nothing from either.
  EXPECT_EQ(extents(1, 10, 1 << 20, 1), Pair(8, 1));
  EXPECT_EQ(extents(1, 10, 64 << 10, 132), Pair(1, 1));
  EXPECT_EQ(extents(1, 10, 128 << 10, 132), Pair(1, 8));
  EXPECT_EQ(extents(1, 10, 1 << 20, 132), Pair(1, 13));
}

}  // namespace
}  // namespace prs::test
