// The kernels of 8-bit integers, emulated, against the references: exact, but for DequantizeLinear,
// whose one product the reference has in double.
#include <algorithm>
#include <limits>
#include <random>

#include "support/expect_error.hpp"
#include "unit/cuda/parity_support.hpp"
#include "unit/ops/linear_test.hpp"
#include "unit/ops/quantized_cases.hpp"

namespace prs::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void expect_exact(const OpCase& test) { expect_precision_parity(test, Precision::kInt8, {}); }

TEST(CudaQuantized, GemmGivesTheReferencesBitsAroundItsTiles) {
  struct Extents {
    std::int64_t m, n, k;
  };
  std::size_t variant = 0;
  for (const auto& [m, n, k] : std::vector<Extents>{{9, 1, 1},
                                                    {9, 10, 128},
                                                    {127, 16, 63},
                                                    {128, 15, 64},
                                                    {129, 16, 65},
                                                    {64, 17, 4},
                                                    {65, 64, 31},
                                                    {63, 65, 32},
                                                    {11, 131, 130},
                                                    {5, 7, 0},
                                                    {0, 4, 3},
                                                    {4, 0, 3}}) {
    // Both types of x; those of y take turns.
    for (int i = 0; i < 2; ++i) {
      std::mt19937_64 random(++variant);
      expect_exact(random_quantized_gemm(m, n, k, variant, random));
    }
  }
}

TEST(CudaQuantized, SumsTheLargestProductsExactly) {
  // Columns of the smallest weights, and behind them of the largest.
  const std::int64_t k = 65536;
  for (const std::int64_t half : {1, 10}) {
    std::vector<std::int8_t> weights(static_cast<std::size_t>(2 * half * k), -128);
    std::fill_n(weights.begin() + half * k, half * k, std::int8_t{127});
    const OpCase test{
        OpKind::kQuantizedGemm,
        QuantizedGemmParams{true, {.to = DType::kFloat32, .low = -kInfinity, .high = kInfinity}},
        {tensor<std::uint8_t>({9, k}, std::vector<std::uint8_t>(9 * k, 255)),
         tensor<std::int8_t>({2 * half, k}, weights),
         tensor<float>({2 * half}, std::vector<float>(static_cast<std::size_t>(2 * half), 1)),
         tensor<float>({2 * half}, std::vector<float>(static_cast<std::size_t>(2 * half), 0))},
        1,
        {1}};
    for (const cuda::DeviceLimits& limits : {cuda::DeviceLimits{}, hopper(1)}) {
      if (limits.sm_90a && half == 1) continue;  // Few columns take the same kernel.
      const Tensor sums = run_cuda(test, kSchedules[0], Precision::kInt8, launchable(limits))[0];
      EXPECT_EQ(sums.as<float>()[half - 1], static_cast<float>(-255.0 * 128 * 65536));
      EXPECT_EQ(sums.as<float>()[half], static_cast<float>(255.0 * 127 * 65536));
    }
  }
}

TEST(CudaQuantized, ConvGivesTheReferencesBitsWithEveryKernel) {
  const auto [same, strided, grouped, depthwise, cube] = conv_variants();
  struct Case {
    Shape x, w;
    ConvParams params;
  };
  std::mt19937_64 random(2);
  std::size_t variant = 0;
  for (const auto& [x, w, params] :
       std::vector<Case>{{{1, 1, 5, 5}, {3, 1, 3, 3}, same},       // direct
                         {{2, 5, 6, 7}, {5, 1, 3, 3}, depthwise},  // direct, a filter a group
                         {{17, 3, 3, 3}, {4, 3, 1, 1}, {}},        // narrow
                         {{1, 1, 14, 14}, {16, 1, 5, 5}, same},    // narrow, k within a stage
                         {{3, 8, 5, 7}, {17, 8, 3, 3}, same},      // wide, k beyond one
                         {{1, 3, 8, 8}, {65, 3, 3, 3}, same},      // two tiles of filters
                         {{2, 4, 9, 10}, {40, 2, 2, 3}, grouped},  // groups along z
                         {{2, 3, 11, 13}, {9, 3, 3, 2}, strided},
                         {{2, 2, 13}, {9, 2, 4}, {}},               // one spatial axis
                         {{1, 2, 4, 5, 6}, {9, 2, 2, 3, 2}, cube},  // three
                         {{0, 2, 4, 4}, {9, 2, 3, 3}, same}}) {
    for (int i = 0; i < 3; ++i)
      expect_exact(random_quantized_conv(params, x, w, ++variant, random));
  }
}

TEST(CudaQuantized, ManyColumnsAndFilters) {
  std::mt19937_64 random(6);
  std::size_t variant = 0;
  struct Extents {
    std::int64_t m, n, k;
  };
  for (const auto& [m, n, k] :
       std::vector<Extents>{{130, 129, 272}, {9, 300, 129}, {66, 70, 1100}, {9, 65, 0}}) {
    for (int i = 0; i < 3; ++i) expect_exact(random_quantized_gemm(m, n, k, variant++, random));
  }
  const auto [same, strided, grouped, depthwise, cube] = conv_variants();
  for (int i = 0; i < 3; ++i) {
    expect_exact(random_quantized_conv(same, {3, 16, 5, 7}, {130, 16, 3, 3}, variant++, random));
    expect_exact(random_quantized_conv(grouped, {2, 80, 4, 4}, {140, 40, 3, 3}, variant, random));
  }
}

TEST(CudaQuantized, QuantizesAndDequantizesAsTheCpuDoes) {
  std::mt19937_64 random(3);
  for (const DType type : {DType::kUint8, DType::kInt8}) {
    for (const std::int64_t size : {0, 1, 17, 100}) {
      const Tensor zero = random_tensor(type, {3}, random, 0, 100);
      const OpCase quantize{OpKind::kQuantizeLinear,
                            QuantizeParams{},
                            {random_tensor(DType::kFloat32, {2, 3, size}, random, -40, 40),
                             random_tensor(DType::kFloat32, {3}, random, 0.05, 0.5), zero}};
      expect_cuda_parity(quantize, {});
      const OpCase dequantize{OpKind::kDequantizeLinear,
                              QuantizeParams{},
                              {run_one(quantize), quantize.inputs[1], zero}};
      expect_cuda_parity(dequantize, {.rtol = 2 * kUlp32});
      expect_equal_bits(run_cuda(dequantize, kSchedules[0]),
                        run_cpu(dequantize, cpu::supported_isas()[0]->name), "the CPU's bits");
    }
  }
  expect_cuda_parity(
      {OpKind::kQuantizeLinear,
       QuantizeParams{.to = DType::kInt8},
       {tensor<float>({9}, {kNaN, kInf, -kInf, 1e30F, -0.0F, 0.25F, 0.75F, 1.25F, -1000.0F}),
        tensor<float>({}, {0.5F})}},
      {});
  expect_cuda_parity(
      {OpKind::kDequantizeLinear,
       QuantizeParams{},
       {tensor<std::int32_t>({3}, {-2147483647, 16777217, 7}), tensor<float>({1}, {0.3F})}},
      {.rtol = 2 * kUlp32});
}

TEST(CudaQuantized, MaxPoolOfBytes) {
  std::mt19937_64 random(4);
  PoolParams padded;
  padded.kernel_shape = {3, 2};
  padded.strides = {2, 1};
  padded.pads = {1, 1, 1, 0};
  for (const DType type : {DType::kUint8, DType::kInt8}) {
    const double low = type == DType::kInt8 ? -128.0 : 0.0;
    OpCase test{
        OpKind::kMaxPool, padded, {random_tensor(type, {2, 3, 9, 11}, random, low, low + 256)}};
    expect_cuda_parity(test, {});
    test.output_count = 2;
    expect_cuda_parity(test, {});
    // The smallest number has an index too.
    test.inputs[0] = random_tensor(type, {1, 1, 4, 4}, random, low, low + 1);
    expect_cuda_parity(test, {});
  }
}

TEST(CudaQuantized, KernelsAreChosenByColumnsAndFilters) {
  std::mt19937_64 random(5);
  const auto gemm = [&](std::int64_t n, std::int64_t m = 9) {
    return cuda_kernel(random_quantized_gemm(m, n, 8, 1, random), Precision::kInt8);
  };
  EXPECT_EQ(gemm(17, 8), "gemm_u8s8_dot_8x8");
  EXPECT_EQ(gemm(16), "gemm_u8s8_mma_128x16x64");
  EXPECT_EQ(gemm(17), "gemm_u8s8_mma_64x64x64");
  const auto conv = [&](std::int64_t filters) {
    return cuda_kernel(random_quantized_conv({}, {1, 1, 4, 4}, Shape{filters, 1, 3, 3}, 1, random),
                       Precision::kInt8);
  };
  EXPECT_EQ(conv(3), "conv_u8s8_direct_thread_per_output");
  EXPECT_EQ(conv(16), "conv_u8s8_implicit_gemm_mma_128x16x64");
  EXPECT_EQ(conv(17), "conv_u8s8_implicit_gemm_mma_64x64x64");
  EXPECT_EQ(cuda_kernel(random_quantized_gemm(9, 17, 8, 1, random), Precision::kInt8, hopper(1)),
            "gemm_u8s8_wgmma_128x64x128");
  EXPECT_EQ(cuda_kernel(random_quantized_conv({}, {1, 1, 4, 4}, {129, 1, 3, 3}, 1, random),
                        Precision::kInt8, hopper(1)),
            "conv_u8s8_implicit_gemm_wgmma_128x256x128");
  // What was not quantised stays f32.
  OpCase plain{OpKind::kGemm,
               GemmParams{},
               {random_tensor(DType::kFloat32, {9, 4}, random),
                random_tensor(DType::kFloat32, {4, 5}, random)}};
  plain.constant_inputs = {1};
  EXPECT_EQ(cuda_kernel(plain, Precision::kInt8), "gemm_f32_smem_64x64x16");
}

TEST(CudaQuantized, RefusesWhatItHasNoKernelFor) {
  std::mt19937_64 random(6);
  OpCase test = random_quantized_gemm(2, 3, 4, 1, random);
  expect_error(ErrorCode::kUnsupported, "layers of 8-bit integers in fp32",
               [&] { run_cuda(test, kSchedules[0]); });
  test.constant_inputs = {};
  expect_error(ErrorCode::kUnsupported, "constant weights only",
               [&] { run_cuda(test, kSchedules[0], Precision::kInt8); });
}

}  // namespace
}  // namespace prs::test
