// The tensor-core kernels of every precision, emulated. With operands that the precision holds
// exactly, products are exact and sums are f32: the bound is fp32's. With others, each operand is
// off by at most its unit.
#include <cmath>
#include <random>

#include "support/expect_error.hpp"
#include "unit/cuda/parity_support.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

constexpr Precision kTensorCorePrecisions[] = {Precision::kTf32, Precision::kBf16,
                                               Precision::kFp16};

/// Half a unit in the last place of a number in [1, 2).
double unit_of(Precision precision) { return precision == Precision::kBf16 ? 0x1p-8 : 0x1p-11; }

/// Multiples of 1/64 in [-1, 1): exact in every precision, and of one sign too in products' sums.
Tensor exact_tensor(const Shape& shape, std::mt19937_64& random) {
  Tensor tensor = random_tensor(DType::kFloat32, shape, random);
  float* values = tensor.as<float>();
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    values[i] = std::floor(values[i] * 64.0F) / 64.0F;
  }
  return tensor;
}

void expect_exact_products(const OpCase& test, std::int64_t k) {
  OpCase bare = test;
  if (auto* gemm = std::get_if<GemmParams>(&bare.params)) gemm->activation = {};
  if (auto* conv = std::get_if<ConvParams>(&bare.params)) conv->activation = {};
  const Tolerance tolerance{.rtol = 8 * kUlp32, .atol = product_bound(bare, k)};
  for (const Precision precision : kTensorCorePrecisions) {
    expect_precision_parity(test, precision, tolerance);
  }
}

TEST(CudaPrecisions, GemmAroundItsTiles) {
  struct Extents {
    std::int64_t m, n, k;
  };
  int variant = 0;
  std::mt19937_64 random(1);
  for (const auto& [m, n, k] : std::vector<Extents>{
           {1, 1, 1}, {17, 10, 33}, {129, 16, 16}, {65, 17, 32}, {64, 64, 15}, {3, 131, 65}}) {
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
       {random_tensor(DType::kUint8, {5, 40}, random, 0, 256), exact_tensor({40, 10}, random)}},
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
  const auto gemm = [&](std::int64_t n, bool constant) {
    OpCase test{
        OpKind::kGemm, GemmParams{}, {exact_tensor({3, 4}, random), exact_tensor({4, n}, random)}};
    if (constant) test.constant_inputs = {1};
    return test;
  };
  EXPECT_EQ(cuda_kernel(gemm(10, true), Precision::kBf16), "gemm_bf16_mma_128x16x32");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kFp16), "gemm_f16_mma_64x64x32");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kTf32), "gemm_tf32_mma_64x64x16");
  EXPECT_EQ(cuda_kernel(gemm(17, false), Precision::kTf32), "gemm_f32_smem_64x64x16");
  EXPECT_EQ(cuda_kernel(gemm(17, true), Precision::kFp32), "gemm_f32_smem_64x64x16");
  OpCase conv{OpKind::kConv,
              ConvParams{},
              {exact_tensor({1, 1, 4, 4}, random), exact_tensor({8, 1, 3, 3}, random)}};
  conv.constant_inputs = {1};
  EXPECT_EQ(cuda_kernel(conv, Precision::kBf16), "conv_bf16_implicit_gemm_mma_128x16x32");
}

/// Around the tiles of wgmma's kernels: a column tile of every width, the last one cut, rows of A
/// that are read by runs and others, and rings that go around more than once.
TEST(CudaPrecisions, GemmOfManyColumns) {
  struct Extents {
    std::int64_t m, n, k;
    DType dtype;
  };
  std::mt19937_64 random(6);
  int variant = 0;
  for (const auto& [m, n, k, dtype] : std::vector<Extents>{{1, 17, 8, DType::kFloat32},
                                                           {129, 256, 72, DType::kUint8},
                                                           {67, 300, 65, DType::kFloat32},
                                                           {3, 70, 600, DType::kFloat32},
                                                           {130, 65, 257, DType::kUint8}}) {
    const Tensor a = dtype == DType::kUint8 ? random_tensor(dtype, {m, k}, random, 0, 256)
                                            : exact_tensor({m, k}, random);
    // A bias of every shape.
    const Shape biases[] = {{n}, {m, 1}, {1}, {m, n}};
    GemmParams params{.alpha = 0.5F, .beta = -2.0F};
    params.trans_b = variant % 2 != 0;
    expect_exact_products({OpKind::kGemm,
                           params,
                           {a, exact_tensor(params.trans_b ? Shape{n, k} : Shape{k, n}, random),
                            exact_tensor(biases[variant++ % 4], random)}},
                          k);
  }
}

TEST(CudaPrecisions, ConvOfManyFilters) {
  struct Case {
    Shape x, w;
    DType dtype;
  };
  std::mt19937_64 random(7);
  ConvParams same;
  same.pads = {1, 1, 1, 1};
  for (const Case& test : std::vector<Case>{{{1, 33, 5, 5}, {65, 33, 3, 3}, DType::kFloat32},
                                            {{3, 7, 9, 5}, {130, 7, 3, 3}, DType::kUint8},
                                            {{17, 1, 3, 3}, {257, 1, 3, 3}, DType::kFloat32}}) {
    const Tensor x = test.dtype == DType::kUint8 ? random_tensor(test.dtype, test.x, random, 0, 256)
                                                 : exact_tensor(test.x, random);
    expect_exact_products(
        {OpKind::kConv, same, {x, exact_tensor(test.w, random), exact_tensor({test.w[0]}, random)}},
        test.w.elements(1, 4));
  }
}

/// A grid takes a limited number of groups: blocks go on with the next ones, in rings that stand
/// where the last group left them. Of three stages, the last lies where the next group's first
/// goes.
TEST(CudaPrecisions, BlocksTakeGroupAfterGroup) {
  std::mt19937_64 random(8);
  ConvParams grouped;
  grouped.group = 5;
  const OpCase test{OpKind::kConv,
                    grouped,
                    {exact_tensor({2, 100, 4, 5}, random), exact_tensor({85, 20, 3, 3}, random)}};
  for (cuda::DeviceLimits limits : {cuda::DeviceLimits{}, hopper(1)}) {
    limits.grid.z = 2;
    const std::string kernel =
        expect_device_parity(test, Precision::kBf16, limits, {.atol = product_bound(test, 180)});
    EXPECT_EQ(kernel, limits.sm_90a ? "conv_bf16_implicit_gemm_wgmma_128x64x64"
                                    : "conv_bf16_implicit_gemm_mma_64x64x32");
  }
}

/// Those of the wgmma kernels' sigmoid and tanh are good to 2^-20 of 1.
TEST(CudaPrecisions, EveryActivation) {
  std::mt19937_64 random(9);
  for (const Activation& activation : activations()) {
    GemmParams gemm;
    gemm.activation = activation;
    ConvParams conv;
    conv.activation = activation;
    const Tolerance tolerance{.rtol = 8 * kUlp32, .atol = 0x1p-19};
    for (const Precision precision : kTensorCorePrecisions) {
      expect_precision_parity(
          {OpKind::kGemm, gemm, {exact_tensor({4, 12}, random), exact_tensor({12, 70}, random)}},
          precision, tolerance);
      expect_precision_parity(
          {OpKind::kConv,
           conv,
           {exact_tensor({2, 3, 3, 3}, random), exact_tensor({20, 3, 2, 2}, random)}},
          precision, tolerance);
    }
  }
}

TEST(CudaPrecisions, TilesAreChosenByColumnsAndByWhatTheyLeaveIdle) {
  std::mt19937_64 random(10);
  const auto kernel = [&](std::int64_t m, std::int64_t n, const cuda::DeviceLimits& limits,
                          Precision precision = Precision::kBf16) {
    OpCase test{
        OpKind::kGemm, GemmParams{}, {exact_tensor({m, 4}, random), exact_tensor({4, n}, random)}};
    test.constant_inputs = {1};
    return cuda_kernel(test, precision, limits);
  };
  EXPECT_EQ(kernel(3, 16, hopper(1)), "gemm_bf16_mma_128x16x32");
  EXPECT_EQ(kernel(3, 17, hopper(1)), "gemm_bf16_wgmma_128x64x64");
  EXPECT_EQ(kernel(3, 65, hopper(1), Precision::kFp16), "gemm_f16_wgmma_128x128x64");
  EXPECT_EQ(kernel(3, 129, hopper(1)), "gemm_bf16_wgmma_128x256x64");
  EXPECT_EQ(kernel(3, 129, hopper(1), Precision::kTf32), "gemm_tf32_wgmma_128x256x32");
  // 16 tiles of 128 x 256, 32 of 64 x 256, 64 of 64 x 128.
  EXPECT_EQ(kernel(2048, 256, hopper(16)), "gemm_bf16_wgmma_128x256x64");
  EXPECT_EQ(kernel(2048, 256, hopper(32)), "gemm_bf16_wgmma_128x256x64");
  EXPECT_EQ(kernel(2048, 256, hopper(64)), "gemm_bf16_wgmma_128x128x64");
  EXPECT_EQ(kernel(2048, 256, hopper(132)), "gemm_bf16_wgmma_128x64x64");
  // 256 columns take 160 KiB, 64 with 128 rows 64 KiB.
  cuda::DeviceLimits small = hopper(1);
  small.shared_bytes = 99 << 10;
  EXPECT_EQ(kernel(2048, 256, small), "gemm_bf16_wgmma_128x128x64");
  small.shared_bytes = 48 << 10;
  EXPECT_EQ(kernel(2048, 256, small), "gemm_bf16_mma_64x64x32");
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
