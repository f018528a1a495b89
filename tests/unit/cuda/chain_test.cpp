// Which layers of a graph are a chain for the fused kernels: those of 8-bit integers. What the
// other fused kernels take, their own tests show.
#include "backend/fused/chain.hpp"

#include "unit/cuda/network_builder.hpp"

namespace prs::test {
namespace {

using cuda::Chain;
using cuda::find_chain;

Tensor zero(DType dtype) { return Tensor(dtype, {}); }

TEST(Chain, OfQuantizedDenseLayersBehindPixels) {
  const Graph graph = NetworkBuilder(DType::kUint8, {3, 1, 5, 4})
                          .flatten()
                          .quantized_gemm(7, DType::kUint8)
                          .quantized_gemm(6, DType::kInt8, true)
                          .quantized_gemm(5, DType::kFloat32)
                          .node(OpKind::kArgMax, ArgMaxParams{.axis = 1})
                          .graph();
  const Chain chain = find_chain(graph);
  EXPECT_EQ(chain.end, "");
  EXPECT_TRUE(chain.quantized);
  EXPECT_EQ(chain.quantize, nullptr);
  EXPECT_EQ(chain.dequantize, nullptr);
  ASSERT_EQ(chain.dense.size(), 3U);
  EXPECT_EQ(chain.dense[1].inputs, 7);
  EXPECT_EQ(chain.dense[1].outputs, 6);
  EXPECT_EQ(chain.scores, cuda::Scores::kFirstLargest);
  EXPECT_EQ(chain.nodes, 5U);
  EXPECT_EQ(chain.output, graph.outputs[0].value);
}

TEST(Chain, OfQuantizedConvolutionsBetweenQuantizeAndDequantize) {
  const Graph graph =
      NetworkBuilder(DType::kUint8, {2, 1, 8, 8})
          .node(OpKind::kNormalize, NormalizeParams{{0.5F}, {1.0F}, 1})
          .quantize(zero(DType::kInt8), 0.1F)
          .quantized_conv({4, 1, 3, 3}, padded(1, Activation::Kind::kNone), DType::kUint8)
          .max_pool(2, 2)
          .quantized_conv({6, 4, 3, 3}, padded(0, Activation::Kind::kNone), DType::kInt8)
          .flatten()
          .quantized_gemm(5, DType::kUint8)
          .dequantize(zero(DType::kUint8), 0.25F)
          .node(OpKind::kSoftmax, SoftmaxParams{})
          .graph();
  const Chain chain = find_chain(graph);
  EXPECT_EQ(chain.end, "node 'node8' (Softmax)");
  EXPECT_TRUE(chain.quantized);
  EXPECT_EQ(chain.normalize, graph.nodes.data());
  EXPECT_EQ(chain.quantize, &graph.nodes[1]);
  EXPECT_EQ(chain.dequantize, &graph.nodes[7]);
  ASSERT_EQ(chain.convolutions.size(), 2U);
  EXPECT_EQ(chain.convolutions[0].pool, &graph.nodes[3]);
  EXPECT_EQ(chain.convolutions[0].nodes, 4U);
  EXPECT_EQ(chain.convolutions[1].output, graph.nodes[4].outputs[0]);
  ASSERT_EQ(chain.dense.size(), 1U);
  EXPECT_EQ(chain.dense[0].inputs, 6 * 2 * 2);
  EXPECT_EQ(chain.nodes, 8U);
  const Chain front = cuda::front_of(chain, 1);
  EXPECT_TRUE(front.quantized);
  EXPECT_EQ(front.quantize, chain.quantize);
  EXPECT_EQ(front.nodes, 4U);
}

TEST(Chain, EndsWhereFloatsAndIntegersMeet) {
  const Graph integers_first = NetworkBuilder(DType::kUint8, {2, 6})
                                   .quantized_gemm(4, DType::kUint8)
                                   .dequantize(zero(DType::kUint8), 0.25F)
                                   .gemm(3)
                                   .graph();
  const Chain integers = find_chain(integers_first);
  EXPECT_EQ(integers.end, "node 'node2' (Gemm)");
  EXPECT_EQ(integers.nodes, 2U);
  EXPECT_EQ(integers.dense.size(), 1U);
  const Graph floats_first = NetworkBuilder(DType::kFloat32, {2, 6})
                                 .gemm(4)
                                 .quantize(zero(DType::kUint8), 0.25F)
                                 .quantized_gemm(3, DType::kFloat32)
                                 .graph();
  const Chain floats = find_chain(floats_first);
  EXPECT_EQ(floats.end, "node 'node1' (QuantizeLinear)");
  EXPECT_FALSE(floats.quantized);
  EXPECT_EQ(floats.nodes, 1U);
}

TEST(Chain, LeavesScalesOfSeveralChannelsToTheirOwnKernel) {
  NetworkBuilder network(DType::kFloat32, {2, 3});
  const Graph graph = network.quantize(zero(DType::kUint8), 0.5F).graph();
  Graph channels = graph;
  channels.value(channels.nodes[0].inputs[1]).constant =
      std::make_shared<const Tensor>(tensor<float>({3}, {0.5F, 0.25F, 1.0F}));
  EXPECT_NE(find_chain(graph).quantize, nullptr);
  EXPECT_EQ(find_chain(channels).quantize, nullptr);
}

}  // namespace
}  // namespace prs::test
