// The fused multi-layer perceptrons of 8-bit integers, emulated, by mma.sync and by wgmma: the
// CPU's bits, which are the reference's.
#include <functional>
#include <limits>

#include "ops/quantize.hpp"
#include "support/interpret.hpp"
#include "unit/cuda/network_builder.hpp"

namespace prs::test {
namespace {

const cuda::DeviceLimits kCopying = limits_of(99 << 10, 1);

std::vector<Tensor> run_on(const std::shared_ptr<Backend>& backend, const Graph& graph,
                           const Tensor& input, const std::string& kernel = "",
                           std::size_t steps = 1) {
  const auto executable = backend->compile(graph, {.limits = {}, .precision = Precision::kInt8});
  if (!kernel.empty()) {
    EXPECT_EQ(executable->steps().back().kernel, kernel) << executable->notes()[0];
    EXPECT_EQ(executable->steps().size(), steps);
  }
  const auto context = executable->new_context();
  return run_executable(*executable, *context, graph, {input});
}

/// Under every schedule. The kernel is fused_mlp_u8s8_`kernel`.
void expect_bits_on(const cuda::DeviceLimits& limits, const Graph& graph, const Tensor& input,
                    const std::vector<Tensor>& want, const std::string& kernel, std::size_t steps) {
  if (limits.sm_90a && !launchable(limits).sm_90a) return;  // A GPU that knows no wgmma.
  for (const auto& schedule : kSchedules) {
    const std::shared_ptr<Backend> backend =
        cuda::make_backend(make_test_runtime(schedule, launchable(limits)));
    expect_equal_bits(run_on(backend, graph, input, "fused_mlp_u8s8_" + kernel, steps), want,
                      kernel + " " + input.shape().to_string());
  }
}

/// By both instructions; `columns` is the widest layer that the kernel takes. `steps`: with those
/// in front of the fused layers.
void expect_the_cpus_bits(const Graph& graph, int columns, int multiprocessors = 1,
                          std::size_t steps = 1) {
  const Value& value = graph.value(graph.inputs[0].value);
  std::mt19937_64 random(5);
  const bool floats = value.dtype == DType::kFloat32;
  const Tensor input =
      random_tensor(value.dtype, *value.shape, random, floats ? -40 : 0, floats ? 40 : 256);
  const std::vector<Tensor> want = interpret(graph, std::vector{input});
  expect_equal_bits(run_on(cpu::make_backend(), graph, input), want, "the CPU");
  const std::string tile = "_128x" + std::to_string(columns);
  expect_bits_on(limits_of(99 << 10, multiprocessors), graph, input, want, "mma" + tile, steps);
  expect_bits_on(hopper(multiprocessors), graph, input, want, "wgmma" + tile, steps);
}

/// Layers of these widths, u8 and i8 between them by turns, B transposed every other time; f32 at
/// the end.
NetworkBuilder& add_layers(NetworkBuilder& network, const std::vector<std::int64_t>& widths,
                           DType last = DType::kFloat32) {
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const DType between = i % 2 == 0 ? DType::kUint8 : DType::kInt8;
    network.quantized_gemm(widths[i], i + 1 == widths.size() ? last : between, i % 2 == 1);
  }
  return network;
}

Graph layers(const Shape& input, const std::vector<std::int64_t>& widths) {
  NetworkBuilder network(DType::kUint8, input);
  return add_layers(network, widths).graph();
}

TEST(FusedMlpInt8, BatchesAndWidthsAroundItsTiles) {
  struct Case {
    Shape input;
    std::vector<std::int64_t> widths;
    int columns;
  };
  for (const Case& test : std::vector<Case>{
           {{1, 5}, {3, 2}, 128},                           // bytes one by one
           {{17, 33}, {130, 10}, 256},                      // a step and a byte
           {{63, 48}, {40, 16}, 128},                       // half of a step, aligned
           {{129, 784}, {256, 128, 10}, 256},               // half of a step behind whole stages
           {{2, 97}, {17, 1, 33}, 128},                     // layers of one, and of few, outputs
           {{3, 64}, {256, 200, 256, 7}, 256},              // as wide as may be
           {{1, 112}, {128, 65}, 128},                      // four steps, the last one half
           {{16, 128}, {31, 32, 129, 64, 5}, 256},          // a whole stage
           {{2, 4}, {16, 15, 14, 13, 12, 11, 10, 9}, 128},  // as many as may be
       }) {
    SCOPED_TRACE(test.input.to_string());
    expect_the_cpus_bits(layers(test.input, test.widths), test.columns);
  }
}

TEST(FusedMlpInt8, BlocksTakeTileAfterTile) {
  // One multiprocessor: three tiles, the last with one image; stages go around the ring many times.
  expect_the_cpus_bits(layers({257, 160}, {24, 9}), 128);
  // Many: tiles of 64, a block each.
  expect_the_cpus_bits(layers({130, 160}, {24, 9}), 128, 100);
}

/// Zero points at the ends of their ranges, by the bits of `which`; multipliers of both signs.
Graph with_extremes(Graph graph, unsigned which) {
  for (Node& node : graph.nodes) {
    auto* params = std::get_if<QuantizedGemmParams>(&node.params);
    if (params == nullptr) continue;
    const ops::quantize::Range x = ops::quantize::range(graph.value(node.inputs[0]).dtype);
    params->out.x_zero_point = (which & 1U) != 0 ? x.low : x.high;
    Tensor multipliers = *graph.value(node.inputs[2]).constant;
    for (std::int64_t i = 1; i < multipliers.elements(); i += 2) {
      multipliers.as<float>()[i] = -multipliers.as<float>()[i];
    }
    graph.value(node.inputs[2]).constant = std::make_shared<const Tensor>(std::move(multipliers));
    if (params->out.to == DType::kFloat32) continue;
    const ops::quantize::Range y = ops::quantize::range(params->out.to);
    params->out.y_zero_point = (which & 2U) != 0 ? y.low : y.high;
    params->out.low = static_cast<float>(y.low - params->out.y_zero_point);
    params->out.high = static_cast<float>(y.high - params->out.y_zero_point);
  }
  return graph;
}

TEST(FusedMlpInt8, ZeroPointsAtTheEndsOfTheirRangesAndNegativeScales) {
  const Graph graph = layers({18, 100}, {70, 50, 11});
  for (unsigned which = 0; which < 4; ++which) {
    expect_the_cpus_bits(with_extremes(graph, which), 128);
  }
}

TEST(FusedMlpInt8, TiesRoundToEvenAndSumsBeyond24BitsAsTheCpusDo) {
  // Halves everywhere: weights of one, multipliers of 1/2.
  Graph ties = layers({9, 16}, {40, 10});
  // The largest sums: their floats are rounded.
  Graph large = layers({9, 2048}, {40, 10});
  const auto fill = [](Graph& graph, std::size_t layer, std::int8_t weight, float multiplier) {
    const Node& node = graph.nodes[layer];
    Tensor weights = *graph.value(node.inputs[1]).constant;
    Tensor multipliers = *graph.value(node.inputs[2]).constant;
    Tensor offsets = *graph.value(node.inputs[3]).constant;
    for (std::int64_t i = 0; i < weights.elements(); ++i) weights.as<std::int8_t>()[i] = weight;
    for (std::int64_t i = 0; i < offsets.elements(); ++i) {
      multipliers.as<float>()[i] = multiplier;
      offsets.as<float>()[i] = static_cast<float>(i) * 0.5F - 900.0F;
    }
    graph.value(node.inputs[1]).constant = std::make_shared<const Tensor>(std::move(weights));
    graph.value(node.inputs[2]).constant = std::make_shared<const Tensor>(std::move(multipliers));
    graph.value(node.inputs[3]).constant = std::make_shared<const Tensor>(std::move(offsets));
  };
  fill(ties, 0, 1, 0.5F);
  fill(large, 0, -128, -0x1p-15F);
  expect_the_cpus_bits(ties, 128);
  expect_the_cpus_bits(large, 128);
}

TEST(FusedMlpInt8, EndsInTheBestClassAlsoOfEqualScores) {
  for (const bool last : {false, true}) {
    const ArgMaxParams best{.axis = 1, .keepdims = false, .select_last_index = last};
    NetworkBuilder scores(DType::kUint8, {18, 20});
    expect_the_cpus_bits(add_layers(scores, {16, 37}).node(OpKind::kArgMax, best).graph(), 128);
    // One layer and what picks its best class.
    NetworkBuilder one(DType::kUint8, {5, 64});
    expect_the_cpus_bits(add_layers(one, {10}).node(OpKind::kArgMax, best).graph(), 128);
  }
}

TEST(FusedMlpInt8, DequantizesScores) {
  for (const int zero_point : {0, 3, 127}) {
    for (const DType type : {DType::kUint8, DType::kInt8}) {
      const Tensor zero =
          type == DType::kInt8
              ? tensor<std::int8_t>({}, {static_cast<std::int8_t>(~zero_point)})
              : tensor<std::uint8_t>({}, {static_cast<std::uint8_t>(zero_point * 2)});
      NetworkBuilder network(DType::kUint8, {5, 20});
      add_layers(network, {16, 200}, type).dequantize(zero, 0.3F);
      expect_the_cpus_bits(network.graph(), 256);
      // Of 200 scores in 256 steps many are the same.
      network.node(OpKind::kArgMax, ArgMaxParams{.axis = 1, .select_last_index = true});
      expect_the_cpus_bits(network.graph(), 256);
    }
  }
}

TEST(FusedMlpInt8, LeavesQuantizingInFrontToItsOwnKernel) {
  const std::vector<Tensor> zeros = {tensor<std::uint8_t>({}, {131}),
                                     tensor<std::int8_t>({}, {-128}), tensor<std::int8_t>({}, {5})};
  for (const std::int64_t inputs : {7, 48, 272}) {
    for (const Tensor& zero : zeros) {
      NetworkBuilder floats(DType::kFloat32, {17, inputs});
      floats.quantize(zero, 0.25F);
      expect_the_cpus_bits(add_layers(floats, {20, 10}).graph(), 128, 1, 2);
    }
  }
  NetworkBuilder pixels(DType::kUint8, {3, 1, 6, 7});
  pixels.node(OpKind::kNormalize, NormalizeParams{{0.01F}, {-0.4F}, 1})
      .quantize(zeros[1], 0.011F)
      .flatten();
  add_layers(pixels, {20, 10}).node(OpKind::kArgMax, ArgMaxParams{.axis = 1});
  expect_the_cpus_bits(pixels.graph(), 128, 1, 3);
}

TEST(FusedMlpInt8, TellsWhyNot) {
  const auto note = [](const Graph& graph, const cuda::DeviceLimits& limits = kCopying) {
    return note_of(graph, limits, Precision::kInt8);
  };
  EXPECT_EQ(note(layers({4, 40}, {20, 10})),
            "fused: 2 dense layer(s), 40-20-10, by mma.sync, 128 images a block, 12 KiB of shared "
            "memory");
  if (launchable(hopper(1)).sm_90a) {
    EXPECT_EQ(note(layers({4, 40}, {20, 10}), hopper(100)),
              "fused: 2 dense layer(s), 40-20-10, by wgmma, 64 images a block, 17 KiB of shared "
              "memory");
  }
  EXPECT_EQ(note(layers({4, 40}, {257, 10})),
            "not fused: a layer of 257 outputs; fused kernels in int8 keep a layer in registers, "
            "at most 256");
  EXPECT_EQ(note(layers({4, 40}, {256, 10}), limits_of(48 << 10, 1)),
            "not fused: 40-256-10 needs 96 KiB of shared memory; the device has 48 KiB");
  EXPECT_EQ(note(layers({4, 40}, {10})), "not fused: fewer than two layers in a row");
  NetworkBuilder bytes(DType::kUint8, {4, 40});
  EXPECT_EQ(note(add_layers(bytes, {20, 10}, DType::kInt8).graph()), "not fused: scores of 8 bits");
  EXPECT_EQ(note(NetworkBuilder(DType::kUint8, {4, 40}).gemm(20).gemm(10).graph()),
            "not fused: layers of floats in int8");
  NetworkBuilder floats(DType::kFloat32, {4, 40});
  floats.quantize(Tensor(DType::kUint8, {}), 0.5F);
  EXPECT_EQ(note(add_layers(floats, {20, 10}).graph()),
            "fused: 2 dense layer(s) behind QuantizeLinear, 40-20-10, by mma.sync, 128 images a "
            "block, 12 KiB of shared memory");
}

}  // namespace
}  // namespace prs::test
