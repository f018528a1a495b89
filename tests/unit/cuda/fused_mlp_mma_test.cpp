// The fused multi-layer perceptrons on tensor cores, emulated, by mma.sync and by wgmma. Against a
// twin of the graph that rounds where the kernels do, with numbers whose sums are exact: what
// differs then is wrong.
#include <cmath>
#include <functional>

#include "support/interpret.hpp"
#include "unit/cuda/half_networks.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

/// On a device with those limits, in both precisions and under every schedule, with equal bits. The
/// kernel is fused_mlp_{bf16,f16}_`kernel`.
void expect_parity_on(const cuda::DeviceLimits& limits, const Tensor& input, const Layers& layers,
                      const std::string& kernel, Tolerance tolerance) {
  if (limits.sm_90a && !launchable(limits).sm_90a) return;  // A GPU that knows no wgmma.
  for (const Precision precision : kHalfPrecisions) {
    const Graph graph = graph_of(input.dtype(), input.shape(), layers, precision, false);
    const std::vector<Tensor> want = interpret(
        graph_of(input.dtype(), input.shape(), layers, precision, true), std::vector{input});
    const std::string name =
        (precision == Precision::kBf16 ? "fused_mlp_bf16_" : "fused_mlp_f16_") + kernel;
    std::vector<Tensor> first;
    for (const auto& schedule : kSchedules) {
      const auto backend = cuda::make_backend(make_test_runtime(schedule, launchable(limits)));
      const auto executable = backend->compile(graph, {.limits = {}, .precision = precision});
      ASSERT_EQ(executable->steps()[0].kernel, name) << executable->notes()[0];
      const auto context = executable->new_context();
      const auto got = run_executable(*executable, *context, graph, {input});
      if (first.empty()) {
        first = got;
        expect_close(got[0], want[0], tolerance, name + " " + input.shape().to_string());
      }
      expect_equal_bits(got, first, name + " under another schedule");
    }
  }
}

/// By both instructions; `columns` is the widest layer that the kernel takes.
void expect_parity_of(const Tensor& input, const Layers& layers, int columns,
                      Tolerance tolerance = kExactSums, int multiprocessors = 1) {
  const std::string tile = "_128x" + std::to_string(columns);
  expect_parity_on(limits_of(99 << 10, multiprocessors), input, layers, "mma" + tile, tolerance);
  expect_parity_on(hopper(multiprocessors), input, layers, "wgmma" + tile, tolerance);
}

/// Gemms of these widths with ReLU between, B transposed every other time.
Layers dense(const std::vector<std::int64_t>& widths) {
  return [widths](NetworkBuilder& network) {
    GemmParams params = relu();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      params.trans_b = !params.trans_b;
      if (i + 1 == widths.size()) params.activation = {};
      network.gemm(widths[i], params);
    }
  };
}

TEST(FusedMlpMma, BatchesAndWidthsAroundItsTiles) {
  struct Case {
    DType dtype;
    Shape input;
    std::vector<std::int64_t> widths;
    int columns;
  };
  for (const Case& test : std::vector<Case>{
           {DType::kFloat32, {1, 5}, {3, 2}, 128},
           {DType::kUint8, {17, 33}, {130, 10}, 256},
           {DType::kFloat32, {63, 48}, {40, 16}, 128},
           {DType::kUint8, {65, 784}, {256, 128, 10}, 256},
           {DType::kUint8, {2, 97}, {17, 1, 33}, 128},
           {DType::kFloat32, {3, 64}, {256, 200, 256, 7}, 256},
           {DType::kUint8, {1, 112}, {128, 65}, 128},
       }) {
    expect_parity_of(input_of(test.dtype, test.input), dense(test.widths), test.columns);
  }
}

TEST(FusedMlpMma, BlocksTakeTileAfterTile) {
  // One multiprocessor: three tiles, the last with one image; stages go around the ring many times.
  expect_parity_of(input_of(DType::kUint8, {257, 80}), dense({24, 9}), 128);
  // Many: tiles of 64, a block each.
  expect_parity_of(input_of(DType::kUint8, {130, 80}), dense({24, 9}), 128, kExactSums, 100);
}

TEST(FusedMlpMma, AlphaBetaAndEveryActivation) {
  for (const Activation& activation : activations()) {
    GemmParams params{.alpha = -0.5F, .beta = 2.0F};
    params.activation = activation;
    // Sigmoid and tanh are close; where one rounds to the other side, by a unit of bf16 of a
    // weight.
    const bool close =
        activation.kind == Activation::Kind::kSigmoid || activation.kind == Activation::Kind::kTanh;
    const Tolerance tolerance = close ? Tolerance{.rtol = 0.0, .atol = 0x1p-7} : kExactSums;
    expect_parity_of(
        input_of(DType::kFloat32, {3, 6}),
        [&](NetworkBuilder& network) { network.gemm(9, params).gemm(4, params); }, 128, tolerance);
  }
}

TEST(FusedMlpMma, EndsInTheBestClassAlsoOfEqualScores) {
  GemmParams clipped;
  clipped.activation = {Activation::Kind::kClip, 0.0F, 1.0F};
  for (const bool last : {false, true}) {
    const ArgMaxParams best{.axis = 1, .keepdims = false, .select_last_index = last};
    expect_parity_of(
        input_of(DType::kUint8, {18, 20}),
        [&](NetworkBuilder& network) {
          network.gemm(16, relu()).gemm(37, clipped).node(OpKind::kArgMax, best);
        },
        128);
    // One layer and what picks its best class.
    expect_parity_of(
        input_of(DType::kUint8, {5, 64}),
        [&](NetworkBuilder& network) { network.gemm(10).node(OpKind::kArgMax, best); }, 128);
  }
}

TEST(FusedMlpMma, WeightsFarFromOneKeepTheirDigitsAsHalves) {
  // Denormal as halves, but for the scale: 2^-20 of multiples of 1/8.
  GemmParams small{.alpha = 0x1p-20F, .beta = 0x1p-20F};
  GemmParams large{.alpha = 0x1p20F};
  expect_parity_of(
      input_of(DType::kUint8, {4, 16}),
      [&](NetworkBuilder& network) { network.gemm(8, large).gemm(6, small).gemm(5, small); }, 128,
      {.rtol = 1e-6, .atol = 0x1p-40});
}

TEST(FusedMlpMma, TellsWhyNot) {
  const auto note = [](const Layers& layers, Precision precision,
                       const cuda::DeviceLimits& limits) {
    return note_of(graph_of(DType::kUint8, {4, 40}, layers, precision, false), limits, precision);
  };
  EXPECT_EQ(
      note(dense({257, 10}), Precision::kBf16, kLarge),
      "not fused: a layer of 257 outputs; fused kernels in bf16 keep a layer in registers, at "
      "most 256");
  EXPECT_EQ(note(dense({256, 10}), Precision::kFp16, limits_of(48 << 10, 1)),
            "not fused: 40-256-10 needs 98 KiB of shared memory; the device has 48 KiB");
  EXPECT_EQ(note(dense({20, 10}), Precision::kTf32, kLarge),
            "not fused: fused kernels compute in fp32, bf16, fp16 and int8, not tf32");
  EXPECT_EQ(note(dense({20, 10}), Precision::kBf16, kLarge),
            "fused: 2 dense layer(s), 40-20-10, by mma.sync, 128 images a block, 13 KiB of shared "
            "memory");
  if (!launchable(hopper(1)).sm_90a) return;
  EXPECT_EQ(note(dense({20, 10}), Precision::kBf16, hopper(100)),
            "fused: 2 dense layer(s), 40-20-10, by wgmma, 64 images a block, 17 KiB of shared "
            "memory");
}

}  // namespace
}  // namespace prs::test
