// The fused convolutional network of 8-bit integers, emulated: the CPU's bits, which are the
// reference's.
#include <functional>
#include <limits>

#include "ops/quantize.hpp"
#include "support/interpret.hpp"
#include "unit/cuda/half_networks.hpp"

namespace prs::test {
namespace {

const std::string kByteKernel = "fused_cnn_u8s8_mma_64x32x32";

struct ByteNetwork {
  std::vector<Tensor> outputs;
  std::vector<std::string> kernels;
  std::vector<std::string> shapes;  ///< "u8[1,2]", of each step's output.
  std::string note;
};

ByteNetwork run_bytes(const std::shared_ptr<Backend>& backend, const Graph& graph,
                      const Tensor& input) {
  const auto executable = backend->compile(graph, {.limits = {}, .precision = Precision::kInt8});
  ByteNetwork run;
  for (const StepInfo& step : executable->steps()) {
    run.kernels.push_back(step.kernel);
    run.shapes.push_back(step.output);
  }
  if (!executable->notes().empty()) run.note = executable->notes()[0];
  const auto context = executable->new_context();
  run.outputs = run_executable(*executable, *context, graph, {input});
  return run;
}

/// Under every schedule; returns what was compiled last.
ByteNetwork expect_bytes(const Graph& graph, const Tensor& input,
                         const cuda::DeviceLimits& limits = kLarge) {
  const std::vector<Tensor> want = interpret(graph, std::vector{input});
  const std::string label = input.shape().to_string();
  expect_equal_bits(run_bytes(cpu::make_backend(), graph, input).outputs, want, label + ", CPU");
  ByteNetwork got;
  for (const auto& schedule : kSchedules) {
    got = run_bytes(cuda::make_backend(make_test_runtime(schedule, launchable(limits))), graph,
                    input);
    EXPECT_EQ(got.kernels[0], kByteKernel) << got.note;
    expect_equal_bits(got.outputs, want, label);
  }
  return got;
}

Graph byte_graph(DType dtype, const Shape& shape, const Layers& layers) {
  NetworkBuilder network(dtype, shape);
  layers(network);
  return network.graph();
}

ByteNetwork expect_bytes(DType dtype, const Shape& shape, const Layers& layers,
                         const cuda::DeviceLimits& limits = kLarge) {
  return expect_bytes(byte_graph(dtype, shape, layers), input_of(dtype, shape), limits);
}

ConvParams window(std::int64_t pad) { return padded(pad, Activation::Kind::kNone); }

TEST(FusedCnnInt8, KernelsAndPoolsOfEverySize) {
  struct Case {
    std::int64_t channels, filters, height, width, pool;
  };
  for (const Case& test : std::vector<Case>{{1, 4, 1, 1, 1},
                                            {1, 8, 5, 5, 2},
                                            {1, 17, 3, 3, 1},
                                            {1, 33, 3, 3, 2},
                                            {1, 5, 4, 4, 3},
                                            {3, 16, 5, 5, 2},
                                            {3, 9, 2, 3, 3},
                                            {3, 31, 1, 5, 1},
                                            {2, 64, 3, 2, 2}}) {
    const ByteNetwork run =
        expect_bytes(DType::kUint8, {3, test.channels, 11, 9}, [&](NetworkBuilder& network) {
          network.quantized_conv({test.filters, test.channels, test.height, test.width}, window(1),
                                 DType::kUint8);
          if (test.pool > 1) network.max_pool(test.pool, 2);
          network.quantized_conv({7, test.filters, 2, 2}, window(0), DType::kInt8)
              .flatten()
              .quantized_gemm(5, DType::kFloat32);
        });
    EXPECT_EQ(run.kernels.size(), 1U);
  }
}

/// Runs of 16 channels, one or more, which change places under a pool of 2; 40 filters leave a unit
/// of 32 half empty.
TEST(FusedCnnInt8, UnitsOfEveryShape) {
  struct Case {
    std::int64_t channels, filters, pool;
  };
  for (const Case& test : std::vector<Case>{{32, 40, 2},
                                            {48, 12, 2},
                                            {64, 33, 1},
                                            {16, 20, 3},
                                            {17, 3, 2},
                                            {33, 64, 2},
                                            {128, 5, 2}}) {
    expect_bytes(DType::kUint8, {2, 1, 10, 13}, [&](NetworkBuilder& network) {
      network.quantized_conv({test.channels, 1, 3, 3}, window(1), DType::kInt8)
          .quantized_conv({test.filters, test.channels, 3, 3}, window(1), DType::kUint8)
          .max_pool(test.pool, test.pool)
          .flatten()
          .quantized_gemm(5, DType::kFloat32);
    });
  }
}

TEST(FusedCnnInt8, StridesDilationsAndUnevenPadding) {
  ConvParams first;
  first.strides = {2, 1};
  first.dilations = {1, 2};
  first.pads = {0, 2, 1, 1};
  ConvParams second;
  second.strides = {1, 2};
  second.dilations = {2, 3};
  second.pads = {3, 1, 0, 4};
  // Three channels as words of neighbours, 20 in runs.
  for (const std::int64_t channels : {3, 20}) {
    expect_bytes(DType::kUint8, {5, channels, 15, 11}, [&](NetworkBuilder& network) {
      network.quantized_conv({17, channels, 3, 3}, first, DType::kUint8)
          .quantized_conv({9, 17, 2, 3}, second, DType::kUint8)
          .max_pool(2, 1)
          .flatten()
          .quantized_gemm(33, DType::kInt8)
          .quantized_gemm(2, DType::kFloat32, true);
    });
  }
}

TEST(FusedCnnInt8, GroupsThatTheBatchDoesNotFill) {
  for (const std::int64_t images : {1, 17, 35}) {
    const ByteNetwork run =
        expect_bytes(DType::kUint8, {images, 1, 8, 6}, [&](NetworkBuilder& network) {
          network.quantized_conv({4, 1, 3, 3}, window(1), DType::kUint8)
              .max_pool(2, 2)
              .flatten()
              .quantized_gemm(40, DType::kUint8)
              .quantized_gemm(5, DType::kFloat32);
        });
    EXPECT_EQ(run.kernels.size(), 1U);
  }
}

/// Planes of several layers lie in one place by turns: what pads them is filled in each time, with
/// the zero point of each.
TEST(FusedCnnInt8, PaddedPlanesThatTakeTurns) {
  const ByteNetwork run = expect_bytes(DType::kUint8, {9, 1, 9, 9}, [](NetworkBuilder& network) {
    network.quantized_conv({8, 1, 3, 3}, window(2), DType::kInt8)
        .max_pool(3, 2)
        .quantized_conv({16, 8, 2, 2}, window(1), DType::kUint8)
        .quantized_conv({8, 16, 3, 3}, window(1), DType::kInt8)
        .max_pool(2, 2)
        .quantized_conv({4, 8, 3, 3}, window(1), DType::kInt8)
        .flatten()
        .quantized_gemm(3, DType::kFloat32);
  });
  EXPECT_EQ(run.kernels.size(), 1U);
}

Graph small_network(DType between) {
  return byte_graph(DType::kUint8, {3, 1, 7, 7}, [&](NetworkBuilder& network) {
    network.quantized_conv({20, 1, 3, 3}, window(1), between)
        .quantized_conv({6, 20, 3, 3}, window(1), between)
        .max_pool(2, 2)
        .flatten()
        .quantized_gemm(9, between)
        .quantized_gemm(4, DType::kFloat32);
  });
}

Requantization& ends_in(Node& node) {
  auto* conv = std::get_if<QuantizedConvParams>(&node.params);
  return conv != nullptr ? conv->out : std::get<QuantizedGemmParams>(node.params).out;
}

TEST(FusedCnnInt8, ZeroPointsAtTheEndsOfTheirRange) {
  for (const DType between : {DType::kUint8, DType::kInt8}) {
    const auto [low, high] = ops::quantize::range(between);
    for (const std::int32_t zero_point : {low, high}) {
      Graph graph = small_network(between);
      std::int32_t x_zero_point = 255;
      for (Node& node : graph.nodes) {
        if (node.kind != OpKind::kQuantizedConv && node.kind != OpKind::kQuantizedGemm) continue;
        Requantization& out = ends_in(node);
        out.x_zero_point = std::exchange(x_zero_point, zero_point);
        if (out.to == DType::kFloat32) continue;
        out.y_zero_point = zero_point;
        out.low = static_cast<float>(low - zero_point);
        out.high = static_cast<float>(high - zero_point);
      }
      expect_bytes(graph, input_of(DType::kUint8, {3, 1, 7, 7}));
    }
  }
}

/// Sets every other multiplier of the nodes of that kind.
Graph with_multipliers(Graph graph, OpKind kind, const std::function<float(float)>& change) {
  for (const Node& node : graph.nodes) {
    if (node.kind != kind) continue;
    const Tensor& before = *graph.value(node.inputs[2]).constant;
    Tensor multipliers(DType::kFloat32, before.shape());
    for (std::int64_t i = 0; i < multipliers.elements(); ++i) {
      const float value = before.as<float>()[i];
      multipliers.as<float>()[i] = i % 2 == 0 ? change(value) : value;
    }
    graph.value(node.inputs[2]).constant = std::make_shared<const Tensor>(std::move(multipliers));
  }
  return graph;
}

TEST(FusedCnnInt8, MultipliersOfEveryKind) {
  const Tensor input = input_of(DType::kUint8, {3, 1, 7, 7});
  const auto negative = [](float x) { return -x; };
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const float value : {0.0F, kInfinite, 1e-38F}) {
    const auto constant = [value](float) { return value; };
    expect_bytes(with_multipliers(small_network(DType::kUint8), OpKind::kQuantizedConv, constant),
                 input);
  }
  expect_bytes(with_multipliers(small_network(DType::kInt8), OpKind::kQuantizedGemm, negative),
               input);
  expect_bytes(
      with_multipliers(byte_graph(DType::kUint8, {2, 3, 6, 5},
                                  [](NetworkBuilder& network) {
                                    network.quantized_conv({18, 3, 3, 3}, window(1), DType::kUint8)
                                        .quantized_conv({5, 18, 1, 1}, window(0), DType::kUint8)
                                        .flatten()
                                        .quantized_gemm(3, DType::kFloat32);
                                  }),
                       OpKind::kQuantizedConv, negative),
      input_of(DType::kUint8, {2, 3, 6, 5}));
}

TEST(FusedCnnInt8, QuantizesWhatItReads) {
  const auto behind = [](NetworkBuilder& network) {
    network.quantized_conv({5, 3, 3, 3}, window(1), DType::kUint8)
        .flatten()
        .quantized_gemm(4, DType::kFloat32);
  };
  for (const Tensor& zero : {tensor<std::uint8_t>({}, {0}), tensor<std::uint8_t>({}, {255})}) {
    const ByteNetwork run = expect_bytes(DType::kFloat32, {3, 3, 5, 7}, [&](auto& network) {
      behind(network.quantize(zero, 0.0117F));
    });
    EXPECT_EQ(run.kernels.size(), 1U);
  }
  // NaN and numbers out of range.
  Tensor input = input_of(DType::kFloat32, {2, 3, 4, 4});
  input.as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  input.as<float>()[6] = std::numeric_limits<float>::infinity();
  input.as<float>()[70] = -1e30F;
  expect_bytes(byte_graph(DType::kFloat32, {2, 3, 4, 4},
                          [&](NetworkBuilder& network) {
                            behind(network.quantize(tensor<std::int8_t>({}, {-7}), 0.02F));
                          }),
               input);
  const ByteNetwork run = expect_bytes(DType::kUint8, {3, 3, 5, 7}, [&](NetworkBuilder& network) {
    const NormalizeParams normalize{{0.5F, 0.25F, 0.125F}, {-3.0F, 0.0F, 1.5F}, 1};
    behind(network.node(OpKind::kNormalize, normalize)
               .quantize(tensor<std::int8_t>({}, {-128}), 0.25F));
  });
  EXPECT_EQ(run.kernels.size(), 1U);
}

TEST(FusedCnnInt8, ScoresAndClassesOfEveryKind) {
  const auto scores = [](DType to) {
    return [to](NetworkBuilder& network) -> NetworkBuilder& {
      return network.quantized_conv({6, 1, 3, 3}, window(0), DType::kUint8)
          .flatten()
          .quantized_gemm(19, to);
    };
  };
  const Shape shape = {17, 1, 5, 4};
  for (const DType to : {DType::kUint8, DType::kInt8}) {
    const auto bytes = scores(to);
    const Tensor zero =
        to == DType::kUint8 ? tensor<std::uint8_t>({}, {0}) : tensor<std::int8_t>({}, {-128});
    EXPECT_EQ(expect_bytes(DType::kUint8, shape, bytes).shapes,
              std::vector<std::string>{to == DType::kUint8 ? "u8[17,19]" : "i8[17,19]"});
    // Of few numbers several are the largest.
    for (const float scale : {0.1F, -0.3F}) {
      const auto floats = [&](NetworkBuilder& network) -> NetworkBuilder& {
        return bytes(network).dequantize(zero, scale);
      };
      EXPECT_EQ(expect_bytes(DType::kUint8, shape, floats).kernels.size(), 1U);
      for (const bool last : {false, true}) {
        const ByteNetwork run = expect_bytes(DType::kUint8, shape, [&](NetworkBuilder& network) {
          floats(network).node(OpKind::kArgMax, ArgMaxParams{.axis = 1, .select_last_index = last});
        });
        EXPECT_EQ(run.kernels.size(), 1U);
      }
    }
  }
  expect_bytes(DType::kUint8, shape, [&](NetworkBuilder& network) {
    scores(DType::kFloat32)(network).node(OpKind::kArgMax, ArgMaxParams{.axis = 1});
  });
}

TEST(FusedCnnInt8, ConvolutionsAloneHandBytesToTheDenseLayers) {
  for (const DType to : {DType::kUint8, DType::kInt8}) {
    const ByteNetwork run = expect_bytes(DType::kUint8, {9, 1, 12, 12}, [&](auto& network) {
      network.quantized_conv({4, 1, 3, 3}, window(1), DType::kUint8)
          .quantized_conv({13, 4, 3, 3}, window(1), to)
          .max_pool(2, 2)
          .flatten()
          .quantized_gemm(480, DType::kUint8)
          .quantized_gemm(3, DType::kFloat32);
    });
    EXPECT_EQ(run.kernels, (std::vector<std::string>{kByteKernel, "gemm_u8s8_mma_64x64x64",
                                                     "gemm_u8s8_mma_128x16x64"}));
    EXPECT_EQ(run.shapes[0], to == DType::kUint8 ? "u8[9,13,6,6]" : "i8[9,13,6,6]");
    EXPECT_EQ(run.note,
              "fused: 2 convolution(s) in int8, 5 image(s) at once, 25 KiB of shared memory; no "
              "further: the dense layers have 278 KiB of weights, which every block would read; at "
              "most 256 KiB");
  }
}

TEST(FusedCnnInt8, ConvolutionsAloneHandFloatsToWhatTakesThem) {
  const ByteNetwork run = expect_bytes(DType::kUint8, {2, 1, 12, 9}, [](NetworkBuilder& network) {
    network.quantized_conv({4, 1, 3, 3}, window(1), DType::kUint8)
        .quantized_conv({12, 4, 3, 3}, window(1), DType::kFloat32)
        .max_pool(2, 2)
        .node(OpKind::kRelu, UnaryParams{});
  });
  EXPECT_EQ(run.shapes[0], "f32[2,12,6,4]");
}

TEST(FusedCnnInt8, TheFirstConvolutionsWhereNotAllFit) {
  const ByteNetwork run = expect_bytes(
      DType::kUint8, {2, 1, 12, 12},
      [](NetworkBuilder& network) {
        network.quantized_conv({8, 1, 3, 3}, window(1), DType::kUint8)
            .max_pool(2, 2)
            .quantized_conv({32, 8, 3, 3}, window(1), DType::kInt8)
            .quantized_conv({96, 32, 3, 3}, window(1), DType::kUint8)
            .max_pool(2, 2)
            .flatten()
            .quantized_gemm(3, DType::kFloat32);
      },
      limits_of(24 << 10, 1));
  EXPECT_EQ(run.shapes[0], "i8[2,32,6,6]");
  EXPECT_EQ(run.kernels.size(), 4U);
}

TEST(FusedCnnInt8, TellsWhyNot) {
  const auto note = [](const Graph& graph, Precision precision, const cuda::DeviceLimits& limits) {
    return note_of(graph, limits, precision);
  };
  const Graph network = small_network(DType::kUint8);
  const std::string whole = note(network, Precision::kInt8, kLarge);
  EXPECT_EQ(whole.rfind("fused: 2 convolution(s) and 2 dense layer(s) in int8, 2 image(s)", 0), 0U)
      << whole;
  EXPECT_EQ(note(with_multipliers(network, OpKind::kQuantizedConv, [](float x) { return -x; }),
                 Precision::kInt8, kLarge),
            "not fused: a scale below zero stands in front of a MaxPool");
  EXPECT_EQ(note(network, Precision::kInt8, limits_of(1 << 10, 1)),
            "not fused: the planes of an image or the filters take more than 1 KiB");
  const Graph floats = byte_graph(DType::kUint8, {1, 1, 8, 8}, [](NetworkBuilder& builder) {
    builder.conv({4, 1, 3, 3}, padded(1)).max_pool(2, 2);
  });
  EXPECT_EQ(note(floats, Precision::kInt8, kLarge), "not fused: layers of floats in int8");
}

}  // namespace
}  // namespace prs::test
