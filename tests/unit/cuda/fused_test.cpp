// The fused kernels, emulated: whole networks against the reference interpreter, with equal bits
// under every schedule, on widths and batches that leave partial tiles; and what decides whether a
// graph is fused.
#include <algorithm>
#include <random>

#include "graph/infer.hpp"
#include "graph/passes.hpp"
#include "support/interpret.hpp"
#include "unit/cuda/network_builder.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

/// Runs the graph fused, under every schedule, and compares it with the interpreter. Returns the
/// kernel.
std::string expect_fused_parity(const Graph& graph, Tolerance tolerance,
                                const cuda::DeviceLimits& limits = kLarge) {
  const Value& input = graph.value(graph.inputs[0].value);
  std::mt19937_64 random(5);
  const bool pixels = input.dtype == DType::kUint8;
  const std::vector<Tensor> inputs = {
      random_tensor(input.dtype, *input.shape, random, pixels ? 0 : -1, pixels ? 256 : 1)};
  const std::vector<Tensor> want = interpret(graph, inputs);
  std::vector<Tensor> first;
  std::string kernel;
  for (const auto& schedule : kSchedules) {
    const auto backend = cuda::make_backend(make_test_runtime(schedule, launchable(limits)));
    const auto executable = backend->compile(graph, {});
    EXPECT_EQ(executable->notes().size(), 1U);
    EXPECT_EQ(executable->notes()[0].rfind("fused: ", 0), 0U) << executable->notes()[0];
    kernel = executable->steps()[0].kernel;
    const auto context = executable->new_context();
    const auto got = run_executable(*executable, *context, graph, inputs);
    if (first.empty()) {
      first = got;
      expect_close(got[0], want[0], tolerance, kernel + " " + input.shape->to_string());
    }
    expect_equal_bits(got, first, kernel + " under another schedule");
  }
  return kernel;
}

/// Sums of |inputs| grow from layer to layer; outputs of these networks stay below about 1e3 times
/// what this allows.
constexpr Tolerance kClose{.rtol = 1e-5, .atol = 2e-4};
constexpr Tolerance kPixels{.rtol = 1e-5, .atol = 2e-2};

TEST(FusedMlp, BatchesAndWidthsAroundItsTiles) {
  struct Case {
    std::int64_t images;
    std::vector<std::int64_t> widths;
  };
  for (const Case& test : std::vector<Case>{
           {1, {5, 3, 2}}, {17, {33, 130, 10}}, {16, {16, 128, 16}}, {65, {7, 1, 129, 1}}}) {
    NetworkBuilder network(DType::kFloat32, {test.images, test.widths[0]});
    GemmParams params = relu();
    for (std::size_t i = 1; i < test.widths.size(); ++i) {
      params.trans_b = !params.trans_b;
      network.gemm(test.widths[i], i + 1 < test.widths.size() ? params : GemmParams{});
    }
    expect_fused_parity(network.graph(), kClose);
  }
}

TEST(FusedMlp, EveryTileOfImages) {
  const auto network = [](std::int64_t images) {
    return NetworkBuilder(DType::kUint8, {images, 1, 5, 4})
        .flatten()
        .gemm(30, relu())
        .gemm(11)
        .graph();
  };
  EXPECT_EQ(expect_fused_parity(network(66), kPixels), "fused_mlp_f32_smem_64x128x16");
  EXPECT_EQ(expect_fused_parity(network(35), kPixels, limits_of(99 << 10, 2)),
            "fused_mlp_f32_smem_32x128x16");
  EXPECT_EQ(expect_fused_parity(network(19), kPixels, limits_of(99 << 10, 100)),
            "fused_mlp_f32_smem_16x128x16");
}

TEST(FusedMlp, AlphaBetaAndEveryActivation) {
  for (const Activation& activation : activations()) {
    GemmParams params{.alpha = -0.5F, .beta = 2.0F};
    params.activation = activation;
    expect_fused_parity(
        NetworkBuilder(DType::kFloat32, {3, 6}).gemm(9, params).gemm(4, params).graph(), kClose);
  }
}

TEST(FusedMlp, EndsInTheBestClass) {
  for (const bool last : {false, true}) {
    ArgMaxParams best{.axis = 1, .keepdims = false, .select_last_index = last};
    const Graph graph = NetworkBuilder(DType::kUint8, {18, 20})
                            .gemm(16, relu())
                            .gemm(13)
                            .node(OpKind::kArgMax, best)
                            .graph();
    expect_fused_parity(graph, {});
  }
}

TEST(FusedMlp, LeavesWhatFollowsToOtherKernels) {
  const Graph graph = NetworkBuilder(DType::kFloat32, {5, 12})
                          .gemm(8, relu())
                          .gemm(6)
                          .node(OpKind::kSoftmax, SoftmaxParams{})
                          .graph();
  expect_fused_parity(graph, kClose);
  const auto backend = cuda::make_backend(make_test_runtime({}, kLarge));
  EXPECT_EQ(backend->compile(graph, {})->steps().size(), 2U);
}

TEST(FusedMlp, ADeviceWithLittleSharedMemoryGetsOneKernelALayer) {
  const Graph graph = NetworkBuilder(DType::kFloat32, {4, 40}).gemm(2000, relu()).gemm(10).graph();
  EXPECT_EQ(note_of(graph, kLarge),
            "not fused: 40-2000-10 needs 175 KiB of shared memory for 16 images; the device has "
            "99 KiB");
  EXPECT_EQ(note_of(graph, limits_of(227 << 10, 1)).rfind("fused: ", 0), 0U);
}

TEST(FusedCnn, PoolsOfEverySizeAndOddExtents) {
  for (const std::int64_t pool : {1, 2, 3}) {
    NetworkBuilder network(DType::kFloat32, {3, 2, 11, 9});
    network.conv({5, 2, 3, 2}, padded(1));
    if (pool > 1) network.max_pool(pool, 2);
    network.conv({3, 5, 2, 2}, padded(0, Activation::Kind::kTanh), false).flatten().gemm(7);
    EXPECT_EQ(expect_fused_parity(network.graph(), kClose), "fused_cnn_f32_block_per_images");
  }
}

TEST(FusedCnn, StridesDilationsAndUnevenPadding) {
  ConvParams params;
  params.strides = {2, 1};
  params.dilations = {1, 2};
  params.pads = {0, 2, 1, 1};
  const Graph graph = NetworkBuilder(DType::kFloat32, {2, 1, 13, 8})
                          .conv({4, 1, 3, 3}, params)
                          .conv({9, 4, 1, 1}, padded(2, Activation::Kind::kSigmoid))
                          .max_pool(3, 3)
                          .flatten()
                          .gemm(33, relu())
                          .gemm(2)
                          .graph();
  expect_fused_parity(graph, kClose);
}

TEST(FusedCnn, SeveralImagesABlock) {
  const auto network = [](std::int64_t images) {
    return NetworkBuilder(DType::kUint8, {images, 1, 6, 6})
        .conv({4, 1, 3, 3}, padded(1))
        .max_pool(2, 2)
        .flatten()
        .gemm(5)
        .node(OpKind::kArgMax, ArgMaxParams{.axis = 1})
        .graph();
  };
  for (const std::int64_t images : {1, 17, 18}) expect_fused_parity(network(images), {});
  EXPECT_NE(note_of(network(18), kLarge).find("4 image(s) a block"), std::string::npos);
  EXPECT_NE(note_of(network(18), limits_of(99 << 10, 100)).find("1 image(s) a block"),
            std::string::npos);
}

TEST(FusedCnn, NormalizesPixelsThatAConvolutionPads) {
  const Graph graph =
      NetworkBuilder(DType::kUint8, {2, 3, 5, 6})
          .node(OpKind::kNormalize, NormalizeParams{{0.5F, 0.25F, 2.0F}, {1.0F, -2.0F, 0.5F}, 1})
          .conv({2, 3, 3, 3}, padded(1))
          .flatten()
          .gemm(4)
          .graph();
  expect_fused_parity(graph, kPixels);
}

TEST(FusedCnn, TellsWhyNot) {
  const Graph wide = NetworkBuilder(DType::kFloat32, {1, 1, 64, 64})
                         .conv({16, 1, 3, 3}, padded(1))
                         .max_pool(2, 2)
                         .conv({1, 16, 3, 3}, padded(1))
                         .flatten()
                         .gemm(2)
                         .graph();
  EXPECT_EQ(note_of(wide, limits_of(48 << 10, 1)),
            "not fused: an image needs 93 KiB of shared memory; the device has 48 KiB");
  const Graph heavy = NetworkBuilder(DType::kFloat32, {1, 1, 20, 20})
                          .conv({4, 1, 3, 3}, padded(1))
                          .flatten()
                          .gemm(60)
                          .graph();
  EXPECT_EQ(note_of(heavy, kLarge),
            "not fused: the dense layers have 375 KiB of weights, which every block would read; at "
            "most 256 KiB");
  const Graph broken = NetworkBuilder(DType::kFloat32, {1, 1, 8, 8})
                           .conv({4, 1, 3, 3}, padded(1))
                           .node(OpKind::kSoftmax, SoftmaxParams{})
                           .graph();
  EXPECT_EQ(note_of(broken, kLarge),
            "not fused: fewer than two layers in a row, then node 'node1' (Softmax)");
}

}  // namespace
}  // namespace prs::test
