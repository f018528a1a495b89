// The pass fuse_quantized: which layers become layers of 8-bit integers, with which numbers, and
// what stays as it is.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "graph/infer.hpp"
#include "graph/passes.hpp"
#include "onnx/importer.hpp"
#include "support/interpret.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"

namespace prs {
namespace {

using test::int_attr;
using test::ints_attr;
using test::kinds;
using test::random_tensor;
using test::tensor;

/// A model of one input x and one output y in the making, with QuantizeLinear and DequantizeLinear.
class QuantizedModel : public test::ModelBuilder {
 public:
  explicit QuantizedModel(const Shape& x) : ModelBuilder(8, 13), x_(x) {
    std::vector<test::Dim> dims;
    for (const std::int64_t extent : x) dims.emplace_back(extent);
    input("x", DType::kFloat32, dims);
  }

  /// `name` -> name + "_q" (u8) -> name + "_dq".
  void steps(const std::string& name, float scale, std::uint8_t zero_point) {
    initializer(name + "_scale", tensor<float>({}, {scale}));
    initializer(name + "_zero", tensor<std::uint8_t>({}, {zero_point}));
    node("QuantizeLinear", {name, name + "_scale", name + "_zero"}, {name + "_q"});
    node("DequantizeLinear", {name + "_q", name + "_scale", name + "_zero"}, {name + "_dq"});
  }
  /// Random i8 weights `name`, dequantised as name + "_dq", with a scale for each entry of `axis`.
  void weights(const std::string& name, const Shape& shape, std::int64_t axis,
               std::int8_t zero_point = 0) {
    const std::int64_t channels = shape[axis];
    initializer(name, random_tensor(DType::kInt8, shape, random_, -128, 128));
    initializer(name + "_scale", random_tensor(DType::kFloat32, {channels}, random_, 0.005, 0.01));
    const auto size = static_cast<std::size_t>(channels);
    initializer(name + "_zero",
                tensor<std::int8_t>({channels}, std::vector<std::int8_t>(size, zero_point)));
    node("DequantizeLinear", {name, name + "_scale", name + "_zero"}, {name + "_dq"},
         {int_attr("axis", axis)});
  }
  void constant(const std::string& name, const Shape& shape) {
    initializer(name, random_tensor(DType::kFloat32, shape, random_));
  }

  /// The graph before the pass, with shapes. Its outputs keep the types that inference finds.
  Graph before() const {
    Graph graph = onnx::import_bytes(serialize(), "m.onnx", {}).graph;
    graph.keeps_dequantization = true;
    infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, x_, nullptr}}, 1 << 20);
    return graph;
  }

  /// What the model gives before and after the pass differs by at most `steps` of `scale`.
  void expect_close(const Graph& after, double scale, double steps = 1.0) {
    const std::vector<Tensor> inputs{random_tensor(DType::kFloat32, x_, random_)};
    const Tensor want =
        test::interpret(onnx::import_bytes(serialize(), "m.onnx", {}).graph, inputs)[0];
    const Tensor got = test::interpret(after, inputs)[0];
    test::expect_close(got, want, {.atol = steps * scale * 1.001}, "after the pass");
  }

 private:
  Shape x_;
  std::mt19937_64 random_{29};
};

TEST(FuseQuantized, MakesOneLayerOfConvReluAndItsStepsAndPoolsIntegers) {
  QuantizedModel model({2, 3, 8, 8});
  model.steps("x", 1.0F / 127, 128);
  model.weights("w", {5, 3, 3, 3}, 0);
  model.constant("b", {5});
  model.node("Conv", {"x_dq", "w_dq", "b"}, {"c"}, {ints_attr("pads", {1, 1, 1, 1})});
  model.node("Relu", {"c"}, {"r"});
  model.node("MaxPool", {"r"}, {"p"},
             {ints_attr("kernel_shape", {2, 2}), ints_attr("strides", {2, 2})});
  model.steps("p", 0.02F, 10);
  model.output("p_dq", DType::kFloat32, {2, 5, 4, 4});
  Graph graph = model.before();
  EXPECT_EQ(fuse_quantized(graph).layers, 1);
  EXPECT_FALSE(graph.keeps_dequantization);
  ASSERT_EQ(kinds(graph), (std::vector<OpKind>{OpKind::kQuantizeLinear, OpKind::kQuantizedConv,
                                               OpKind::kMaxPool, OpKind::kDequantizeLinear}));
  const Node& layer = graph.nodes[1];
  const Requantization& out = std::get<QuantizedConvParams>(layer.params).out;
  EXPECT_EQ(out.to, DType::kUint8);
  EXPECT_EQ(out.x_zero_point, 128);
  EXPECT_EQ(out.y_zero_point, 10);
  EXPECT_EQ(out.low, 0.0F);  // Relu's, above the type's.
  EXPECT_EQ(out.high, 245.0F);
  const auto value = [&](ValueId id) { return graph.value(id).constant->as<float>(); };
  const Graph given = onnx::import_bytes(model.serialize(), "m.onnx", {}).graph;
  const auto given_value = [&](const std::string& name) -> const float* {
    for (const Value& v : given.values) {
      if (v.name == name) return v.constant->as<float>();
    }
    return nullptr;
  };
  for (int c = 0; c < 5; ++c) {
    EXPECT_FLOAT_EQ(value(layer.inputs[2])[c], 1.0F / 127 * given_value("w_scale")[c] / 0.02F);
    EXPECT_FLOAT_EQ(value(layer.inputs[3])[c], given_value("b")[c] / 0.02F);
  }
  model.expect_close(graph, 0.02);
}

TEST(FuseQuantized, TakesGemmAndMatMulOfEitherOrientation) {
  for (const bool transposed : {false, true}) {
    QuantizedModel model({4, 6});
    model.steps("x", 1.0F / 127, 128);
    model.weights("w", transposed ? Shape{7, 6} : Shape{6, 7}, transposed ? 0 : 1);
    model.constant("b", {7});
    model.node("Gemm", {"x_dq", "w_dq", "b"}, {"g"},
               {int_attr("transB", transposed), test::float_attr("alpha", 0.5F),
                test::float_attr("beta", 2.0F)});
    model.steps("g", 0.05F, 100);
    model.weights("v", {7, 3}, 1);
    model.node("MatMul", {"g_dq", "v_dq"}, {"y"});
    model.output("y", DType::kFloat32, {4, 3});
    Graph graph = model.before();
    EXPECT_EQ(fuse_quantized(graph).layers, 2);
    ASSERT_EQ(kinds(graph), (std::vector<OpKind>{OpKind::kQuantizeLinear, OpKind::kQuantizedGemm,
                                                 OpKind::kQuantizedGemm}));
    EXPECT_EQ(std::get<QuantizedGemmParams>(graph.nodes[1].params).trans_b, transposed);
    const Requantization& last = std::get<QuantizedGemmParams>(graph.nodes[2].params).out;
    EXPECT_EQ(last.to, DType::kFloat32);
    EXPECT_EQ(last.low, -std::numeric_limits<float>::infinity());
    // A step of g passes through weights of at most 1.28.
    model.expect_close(graph, 0.05 * 1.28, 2.0);
  }
}

TEST(FuseQuantized, LeavesTheLayerItsFloatsWhenSomebodyElseReadsThem) {
  QuantizedModel model({2, 3, 6, 6});
  model.steps("x", 1.0F / 127, 128);
  model.weights("w", {4, 3, 3, 3}, 0);
  model.node("Conv", {"x_dq", "w_dq"}, {"c"});
  model.steps("c", 0.05F, 128);
  model.node("Add", {"c", "c_dq"}, {"y"});
  model.output("y", DType::kFloat32, {2, 4, 4, 4});
  Graph graph = model.before();
  EXPECT_EQ(fuse_quantized(graph).layers, 1);
  ASSERT_EQ(graph.nodes[1].kind, OpKind::kQuantizedConv);
  EXPECT_EQ(std::get<QuantizedConvParams>(graph.nodes[1].params).out.to, DType::kFloat32);
  model.expect_close(graph, 0.05);
}

TEST(FuseQuantized, LeavesWhatItsLayersCannotCompute) {
  struct Case {
    const char* what;
    std::int64_t scale_axis;
    std::int8_t zero_point;
    bool quantized_input;
  };
  const std::vector<Case> cases = {{"scales along the inputs", 1, 0, true},
                                   {"weights with a zero point", 0, 3, true},
                                   {"an input of floats", 0, 0, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    QuantizedModel model({2, 3, 6, 6});
    if (c.quantized_input) model.steps("x", 1.0F / 127, 128);
    model.weights("w", {4, 3, 3, 3}, c.scale_axis, c.zero_point);
    model.node("Conv", {c.quantized_input ? "x_dq" : "x", "w_dq"}, {"y"});
    model.output("y", DType::kFloat32, {2, 4, 4, 4});
    Graph graph = model.before();
    EXPECT_EQ(fuse_quantized(graph).layers, 0);
    EXPECT_EQ(graph.nodes.back().kind, OpKind::kConv);
    model.expect_close(graph, 0.0);
  }
}

TEST(FuseQuantized, PassesPixelsOnWhereTheirNormalisationIsTheGrid) {
  for (const bool same : {true, false}) {
    QuantizedModel model({2, 1, 6, 6});
    model.steps("x", same ? 1.0F / 255 : 1.0F / 200, 0);
    model.weights("w", {4, 1, 3, 3}, 0);
    model.node("Conv", {"x_dq", "w_dq"}, {"y"});
    model.output("y", DType::kFloat32, {2, 4, 4, 4});
    Graph graph = model.before();
    NormalizeParams params;
    params.scale = {1.0F / 255.0F};
    params.bias = {0.0F};
    Value pixels;
    pixels.name = "pixels";
    pixels.dtype = DType::kUint8;
    pixels.shape = Shape{2, 1, 6, 6};
    GraphPort& port = graph.inputs[0];
    Node node{OpKind::kNormalize, "normalize", std::move(params), {}, {port.value}};
    node.inputs = {graph.add_value(std::move(pixels))};
    port = {node.inputs[0], DType::kUint8, std::nullopt};
    graph.nodes.insert(graph.nodes.begin(), std::move(node));
    const QuantizedLayers fused = fuse_quantized(graph);
    EXPECT_EQ(fused.layers, 1);
    EXPECT_EQ(fused.normalizations, same ? 1 : 0);
    EXPECT_EQ(kinds(graph), same ? (std::vector<OpKind>{OpKind::kQuantizedConv})
                                 : (std::vector<OpKind>{OpKind::kNormalize, OpKind::kQuantizeLinear,
                                                        OpKind::kQuantizedConv}));
  }
}

}  // namespace
}  // namespace prs
