// The tensor-core kernels of every precision, emulated. With operands that the precision holds
// exactly, products are exact and sums are f32: the bound is fp32's. With others, each operand is
// off by at most its unit.
#include "support/expect_error.hpp"
#include "unit/cuda/exact_products.hpp"

namespace prs::test {
namespace {

TEST(CudaPrecisions, GemmAroundItsTiles) {
  struct Extents {
    std::int64_t m, n, k;
  };
  int variant = 0;
  std::mt19937_64 random(1);
  for (const auto& [m, n, k] : std::vector<Extents>{
           {9, 1, 1}, {17, 10, 33}, {129, 16, 16}, {65, 17, 32}, {64, 64, 15}, {11, 131, 65}}) {
    ++variant;
    GemmParams params;
    params.trans_a = (variant & 1) != 0;
    params.trans_b = (variant & 2) != 0;
    params.activation.kind = Activation::Kind::kRelu;
    if (variant == 3) params.beta = 0.5F;
    expect_exact_products({OpKind::kGemm,
                           params,
                           {exact_tensor(params.trans_a ? Shape{k, m} : Shape{m, k}, random),
                            exact_tensor(params.trans_b ? Shape{n, k} : Shape{k, n}, random),
                            exact_tensor({n}, random)}},
                          k);
  }
  expect_exact_products(
      {OpKind::kGemm,
       GemmParams{.alpha = 2.0F},
       {random_tensor(DType::kUint8, {9, 40}, random, 0, 256), exact_tensor({40, 10}, random)}},
      40);
}

TEST(CudaPrecisions, MatMulTakesTheBatchAsRows) {
  std::mt19937_64 random(2);
  expect_exact_products({OpKind::kMatMul,
                         std::monostate{},
                         {exact_tensor({2, 3, 7, 20}, random), exact_tensor({20, 9}, random)}},
                        20);
  // A matrix for each entry goes the way of fp32.
  expect_exact_products({OpKind::kMatMul,
                         std::monostate{},
                         {exact_tensor({2, 3, 4}, random), exact_tensor({2, 4, 5}, random)}},
                        4);
}

TEST(CudaPrecisions, ConvOfEveryTile) {
  ConvParams same;
  same.pads = {1, 1, 1, 1};
  same.activation = {Activation::Kind::kLeakyRelu, 0.125F, 0};
  ConvParams grouped = same;
  grouped.group = 2;
  ConvParams strided;
  strided.strides = {2, 3};
  strided.dilations = {2, 1};
  strided.pads = {1, 0, 2, 1};
  struct Case {
    Shape x, w;
    ConvParams params;
    DType dtype = DType::kFloat32;
  };
  std::mt19937_64 random(3);
  for (const Case& test : std::vector<Case>{{{17, 3, 3, 3}, {8, 3, 1, 1}, {}},
                                            {{3, 2, 9, 7}, {17, 2, 3, 3}, same},
                                            {{1, 4, 5, 6}, {70, 2, 2, 3}, grouped},
                                            {{2, 3, 11, 13}, {9, 3, 3, 2}, strided},
                                            {{2, 1, 9, 9}, {12, 1, 3, 3}, same, DType::kUint8}}) {
    const Tensor x = test.dtype == DType::kUint8 ? random_tensor(test.dtype, test.x, random, 0, 256)
                                                 : exact_tensor(test.x, random);
    expect_exact_products({OpKind::kConv,
                           test.params,
                           {x, exact_tensor(test.w, random), exact_tensor({test.w[0]}, random)}},
                          test.w.elements(1, 4));
  }
}

TEST(CudaPrecisions, TensorCoreKernelsAreChosenForConstantMatrices) {
  std::mt19937_64 random(5);
  const auto gemm = [&](std::int64_t n, bool constant, std::int64_t m = 9) {
    OpCase test{
        OpKind::kGemm, GemmParams{}, {exact_tensor({m, 4}, random), exact_tensor({4, n}, random)}};
    if (constant) test.constant_inputs = {1};
    return test;
  };
  EXPECT_EQ(cuda_kernel(gemm(10, true), Precision::kBf16), "gemm_bf16_mma_128x16x32");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kFp16), "gemm_f16_mma_64x64x32");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kTf32), "gemm_tf32_mma_64x64x16");
  EXPECT_EQ(cuda_kernel(gemm(17, false), Precision::kTf32), "gemm_f32_smem_64x64x16");
  EXPECT_EQ(cuda_kernel(gemm(17, false, 1), Precision::kFp32), "gemm_f32_smem_64x64x16");
  EXPECT_EQ(cuda_kernel(gemm(17, true, 8), Precision::kTf32), "gemm_tf32_dot_8x8");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kFp32), "gemm_f32_smem_64x64x16");
  OpCase conv{OpKind::kConv,
              ConvParams{},
              {exact_tensor({1, 1, 4, 4}, random), exact_tensor({8, 1, 3, 3}, random)}};
  conv.constant_inputs = {1};
  EXPECT_EQ(cuda_kernel(conv, Precision::kBf16), "conv_bf16_implicit_gemm_mma_128x16x32");
}

/// |error| <= (2 u + u^2) sum |a||b|, and that of the sum in f32.
TEST(CudaPrecisions, RoundsOperandsToNearest) {
  std::mt19937_64 random(4);
  const std::int64_t k = 50;
  const OpCase test{OpKind::kGemm,
                    GemmParams{},
                    {random_tensor(DType::kFloat32, {9, k}, random),
                     random_tensor(DType::kFloat32, {k, 20}, random)}};
  const double sums = product_bound(test, k);
  const double magnitudes = sums / (static_cast<double>(k + 8) * kUlp32);
  for (const Precision precision : kTensorCorePrecisions) {
    const double unit = unit_of(precision);
    expect_precision_parity(test, precision,
                            {.rtol = 0.0, .atol = sums + (2 * unit + unit * unit) * magnitudes});
  }
}

TEST(CudaPrecisions, AnOlderDeviceHasOnlyFp32) {
  cuda::DeviceLimits limits;
  limits.compute_capability = 75;
  const auto backend = cuda::make_backend(cuda::emulated::make_runtime({}, limits));
  ASSERT_EQ(backend->precisions().size(), 1U);
  EXPECT_EQ(backend->precisions()[0], Precision::kFp32);
  expect_error(
      ErrorCode::kUnsupported,
      "cuda:emulated does not compute in int8; it has fp32: others need compute capability "
      "8.0, it has 7.5",
      [&] { require_precision(*backend, Precision::kInt8); });
}

}  // namespace
}  // namespace prs::test
