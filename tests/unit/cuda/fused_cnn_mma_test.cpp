// The fused convolutional network on tensor cores, emulated. Against a twin of the graph that
// rounds where the kernel does, with numbers whose sums are exact: what differs then is wrong.
#include <cmath>
#include <functional>

#include "support/interpret.hpp"
#include "unit/cuda/half_networks.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

std::string kernel_name(Precision precision) {
  return precision == Precision::kBf16 ? "fused_cnn_bf16_mma_64x32x16"
                                       : "fused_cnn_f16_mma_64x32x16";
}

struct Compiled {
  Graph graph;
  std::vector<std::string> kernels;
  std::vector<std::string> shapes;  ///< "bf16[1,2]", of each step's output.
  std::string note;
};

/// In both precisions and under every schedule, with equal bits; returns what was compiled last.
Compiled expect_parity_of(const Tensor& input, const Layers& layers,
                          Tolerance tolerance = kExactSums,
                          const cuda::DeviceLimits& limits = kLarge) {
  Compiled compiled;
  for (const Precision precision : kHalfPrecisions) {
    compiled.graph = graph_of(input.dtype(), input.shape(), layers, precision, false);
    const Graph twin = graph_of(input.dtype(), input.shape(), layers, precision, true);
    const std::vector<Tensor> want = interpret(twin, std::vector<Tensor>{input});
    const std::string label =
        std::string(precision_name(precision)) + " " + input.shape().to_string();
    std::vector<Tensor> first;
    for (const auto& schedule : kSchedules) {
      const auto backend = cuda::make_backend(make_test_runtime(schedule, launchable(limits)));
      const auto executable =
          backend->compile(compiled.graph, {.limits = {}, .precision = precision});
      compiled.note = executable->notes()[0];
      compiled.kernels.clear();
      compiled.shapes.clear();
      for (const StepInfo& step : executable->steps()) {
        compiled.kernels.push_back(step.kernel);
        compiled.shapes.push_back(step.output);
      }
      EXPECT_EQ(compiled.kernels[0], kernel_name(precision)) << compiled.note;
      const auto context = executable->new_context();
      const auto got = run_executable(*executable, *context, compiled.graph, {input});
      if (first.empty()) {
        first = got;
        expect_close(got[0], want[0], tolerance, label);
      }
      expect_equal_bits(got, first, label + " under another schedule");
    }
  }
  return compiled;
}

Compiled expect_parity_of(DType dtype, const Shape& shape, const Layers& layers,
                          Tolerance tolerance = kExactSums,
                          const cuda::DeviceLimits& limits = kLarge) {
  return expect_parity_of(input_of(dtype, shape), layers, tolerance, limits);
}

TEST(FusedCnnMma, PoolsOfEverySizeAndOddExtents) {
  for (const std::int64_t pool : {1, 2, 3}) {
    const Compiled compiled = expect_parity_of(DType::kFloat32, {3, 2, 11, 9}, [&](auto& network) {
      network.conv({5, 2, 3, 2}, padded(1));
      if (pool > 1) network.max_pool(pool, 2);
      network.conv({3, 5, 2, 2}, padded(0, Activation::Kind::kNone), false).flatten().gemm(7);
    });
    EXPECT_EQ(compiled.kernels.size(), 1U);
  }
}

TEST(FusedCnnMma, UnitsOfEveryShape) {
  struct Case {
    std::int64_t channels, filters, pool;
  };
  // Runs of 8 channels change places under a pool of 2; 40 filters leave a unit of 32 half empty.
  for (const Case& test : std::vector<Case>{
           {16, 40, 2}, {24, 12, 2}, {32, 33, 1}, {8, 20, 3}, {9, 3, 2}, {64, 5, 2}}) {
    expect_parity_of(DType::kFloat32, {2, 1, 10, 13}, [&](auto& network) {
      network.conv({test.channels, 1, 3, 3}, padded(1))
          .conv({test.filters, test.channels, 3, 3}, padded(1))
          .max_pool(test.pool, test.pool)
          .flatten()
          .gemm(5);
    });
  }
}

TEST(FusedCnnMma, StridesDilationsAndUnevenPadding) {
  ConvParams first;
  first.strides = {2, 1};
  first.dilations = {1, 2};
  first.pads = {0, 2, 1, 1};
  first.activation.kind = Activation::Kind::kRelu;
  ConvParams second;
  second.strides = {1, 2};
  second.dilations = {2, 3};
  second.pads = {3, 1, 0, 4};
  expect_parity_of(DType::kFloat32, {5, 3, 15, 11}, [&](auto& network) {
    network.conv({17, 3, 3, 3}, first)
        .conv({9, 17, 2, 3}, second)
        .max_pool(2, 1)
        .flatten()
        .gemm(33, relu())
        .gemm(2);
  });
}

TEST(FusedCnnMma, ActivationsOfEveryKind) {
  for (const Activation& activation : activations()) {
    ConvParams conv = padded(1);
    conv.activation = activation;
    GemmParams gemm{.alpha = -0.5F, .beta = 2.0F, .trans_b = true};
    gemm.activation = activation;
    // A result that lies between two numbers of the precision may be rounded to the other one.
    const bool exact = activation.kind != Activation::Kind::kSigmoid &&
                       activation.kind != Activation::Kind::kTanh &&
                       activation.kind != Activation::Kind::kLeakyRelu;
    for (const std::int64_t pool : {1, 2}) {
      expect_parity_of(
          DType::kFloat32, {2, 1, 6, 6},
          [&](auto& network) {
            network.conv({4, 1, 3, 3}, conv)
                .max_pool(pool, pool)
                .flatten()
                .gemm(9, gemm)
                .gemm(4, gemm);
          },
          exact ? kExactSums : Tolerance{.rtol = 0x1p-8, .atol = 0x1p-6});
    }
  }
}

TEST(FusedCnnMma, GroupsThatTheBatchDoesNotFill) {
  for (const std::int64_t images : {1, 17, 35}) {
    for (const bool last : {false, true}) {
      const Compiled compiled =
          expect_parity_of(DType::kUint8, {images, 1, 8, 6}, [&](auto& network) {
            network.conv({4, 1, 3, 3}, padded(1))
                .max_pool(2, 2)
                .flatten()
                .gemm(12, relu())
                .gemm(5)
                .node(OpKind::kArgMax, ArgMaxParams{.axis = 1, .select_last_index = last});
          });
      EXPECT_EQ(compiled.kernels.size(), 1U);
    }
  }
}

/// Pixels that no 16-byte copy brings, of several channels, are read one by one.
TEST(FusedCnnMma, NormalizesPixelsThatAConvolutionPads) {
  for (const std::int64_t channels : {3, 12}) {
    expect_parity_of(DType::kUint8, {3, channels, 5, 7}, [&](auto& network) {
      NormalizeParams normalize{{}, {}, 1};
      for (std::int64_t c = 0; c < channels; ++c) {
        normalize.scale.push_back(c % 2 == 0 ? 0.5F : 0.25F);
        normalize.bias.push_back(static_cast<float>(c - 2));
      }
      network.node(OpKind::kNormalize, normalize)
          .conv({2, channels, 3, 3}, padded(1))
          .flatten()
          .gemm(4);
    });
  }
}

/// Planes of several layers lie in one place by turns: what pads them is cleared each time.
TEST(FusedCnnMma, PaddedPlanesThatTakeTurns) {
  const Compiled compiled = expect_parity_of(DType::kUint8, {9, 1, 9, 9}, [](auto& network) {
    network.conv({8, 1, 3, 3}, padded(2))
        .max_pool(3, 2)
        .conv({16, 8, 2, 2}, padded(1))
        .conv({8, 16, 3, 3}, padded(1))
        .max_pool(2, 2)
        .conv({4, 8, 3, 3}, padded(1))
        .flatten()
        .gemm(3);
  });
  EXPECT_EQ(compiled.kernels.size(), 1U);
}

/// Zero weights stand beside real ones where k is filled up: they must not meet an infinity,
/// neither one that the window does not read nor, a second time, one that it does.
TEST(FusedCnnMma, AnInfinityMeetsItsOwnWeightsOnly) {
  ConvParams plain;
  // Pairs, and nine runs of 8 channels.
  for (const std::int64_t channels : {1, 8}) {
    Tensor input = input_of(DType::kFloat32, {2, channels, 7, 7});
    input.as<float>()[24] = kInf;
    expect_parity_of(input, [&](auto& network) {
      network.conv({3, channels, 3, 3}, plain, false).max_pool(2, 2);
    });
  }
  // Nine runs of features, the last one with the infinity.
  Tensor input = input_of(DType::kFloat32, {2, 1, 3, 3});
  input.as<float>()[8] = kInf;
  expect_parity_of(input, [&](auto& network) {
    network.conv({1, 1, 1, 1}, plain, false).flatten().gemm(1).gemm(6);
  });
}

void two_convolutions(NetworkBuilder& network) {
  network.conv({4, 1, 3, 3}, padded(1)).conv({12, 4, 3, 3}, padded(1)).max_pool(2, 2);
}

TEST(FusedCnnMma, ConvolutionsAloneHandRoundedPlanesToTheDenseLayers) {
  const Compiled compiled = expect_parity_of(DType::kUint8, {5, 1, 12, 12}, [](auto& network) {
    two_convolutions(network);
    network.flatten().gemm(240, relu()).gemm(3);
  });
  EXPECT_EQ(compiled.kernels,
            (std::vector<std::string>{"fused_cnn_f16_mma_64x32x16", "gemm_f16_mma_ring_64x64x32",
                                      "gemm_f16_mma_128x16x32"}));
  EXPECT_EQ(compiled.shapes[0], "f16[5,12,6,6]");
  EXPECT_EQ(compiled.note,
            "fused: 2 convolution(s) in fp16, 3 image(s) at once, 16 KiB of shared memory; no "
            "further: the dense layers have 278 KiB of weights, which every block would read; at "
            "most 256 KiB");
}

/// k of 432: the last stage of 64 has whole runs of zeros. Rows of 650 bytes are gathered.
TEST(FusedCnnMma, RoundedPlanesByWgmma) {
  if (!launchable(hopper(1)).sm_90a) return;  // A GPU that knows no wgmma.
  for (const auto& [multiprocessors, kernel] :
       std::vector<std::pair<int, std::string>>{{1, "gemm_f16_wgmma_ring_128x256x64"},
                                                {3, "gemm_f16_wgmma_ring_128x128x64"},
                                                {1000, "gemm_f16_wgmma_ring_128x64x64"}}) {
    const Compiled compiled = expect_parity_of(
        DType::kUint8, {67, 1, 12, 12},
        [](auto& network) {
          two_convolutions(network);
          network.flatten().gemm(240, relu()).gemm(3);
        },
        kExactSums, hopper(multiprocessors));
    ASSERT_EQ(compiled.kernels.size(), 3U);
    EXPECT_EQ(compiled.kernels[1], kernel);
  }
  const Compiled compiled = expect_parity_of(
      DType::kUint8, {2, 1, 10, 10},
      [](auto& network) {
        network.conv({13, 1, 3, 3}, padded(1)).max_pool(2, 2).flatten().gemm(420, relu()).gemm(3);
      },
      kExactSums, hopper(1));
  EXPECT_EQ(compiled.kernels[1], "gemm_f16_wgmma_128x256x64");
}

/// Rows of 650 bytes, which no 16-byte copies bring.
TEST(FusedCnnMma, RoundedPlanesOfAnOddCount) {
  const Compiled compiled = expect_parity_of(DType::kUint8, {2, 1, 10, 10}, [](auto& network) {
    network.conv({13, 1, 3, 3}, padded(1)).max_pool(2, 2).flatten().gemm(340, relu()).gemm(3);
  });
  EXPECT_EQ(compiled.shapes[0], "f16[2,13,5,5]");
  EXPECT_EQ(compiled.kernels[1], "gemm_f16_mma_64x64x32");
}

TEST(FusedCnnMma, ConvolutionsAloneHandFloatsToWhatIsNoProduct) {
  const Compiled compiled =
      expect_parity_of(DType::kUint8, {2, 1, 12, 9},
                       [](auto& network) {
                         two_convolutions(network);
                         network.node(OpKind::kGlobalAveragePool, {}).flatten().gemm(3);
                       },
                       {.rtol = 1e-4, .atol = 1e-3});
  EXPECT_EQ(compiled.shapes[0], "f32[2,12,6,4]");
  EXPECT_GT(compiled.kernels.size(), 2U);
}

TEST(FusedCnnMma, TheFirstConvolutionsWhereNotAllFit) {
  const Compiled compiled = expect_parity_of(
      DType::kUint8, {2, 1, 12, 12},
      [](auto& network) {
        network.conv({8, 1, 3, 3}, padded(1))
            .max_pool(2, 2)
            .conv({32, 8, 3, 3}, padded(1))
            .conv({96, 32, 3, 3}, padded(1))
            .max_pool(2, 2)
            .flatten()
            .gemm(3);
      },
      {.rtol = 1e-4, .atol = 1e-2}, limits_of(24 << 10, 1));
  EXPECT_EQ(compiled.shapes[0], "f32[2,32,6,6]");
  EXPECT_EQ(compiled.kernels.size(), 4U);
}

TEST(FusedCnnMma, TellsWhyNot) {
  const auto note = [](const Layers& layers, const cuda::DeviceLimits& limits,
                       Precision precision) {
    return note_of(graph_of(DType::kUint8, {1, 1, 20, 20}, layers, precision, false), limits,
                   precision);
  };
  EXPECT_EQ(note(two_convolutions, kLarge, Precision::kTf32),
            "not fused: fused kernels compute in fp32, bf16, fp16 and int8, not tf32");
  ConvParams falling = padded(1, Activation::Kind::kLeakyRelu);
  falling.activation.alpha = -0.5F;
  EXPECT_EQ(note(
                [&](auto& network) {
                  network.conv({4, 1, 3, 3}, falling).max_pool(2, 2);
                },
                kLarge, Precision::kBf16),
            "not fused: no dense layer follows the convolutions; the convolutions alone: a "
            "LeakyRelu with a negative slope "
            "stands in front of a MaxPool");
  EXPECT_EQ(note(two_convolutions, limits_of(4 << 10, 1), Precision::kBf16),
            "not fused: no dense layer follows the convolutions; the convolutions alone: the "
            "planes of an image or the "
            "filters take more than 4 KiB");
}

}  // namespace
}  // namespace prs::test
