#include "graph/passes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <random>

#include "backend.hpp"
#include "graph/infer.hpp"
#include "onnx/importer.hpp"
#include "prs/model.hpp"
#include "support/expect_error.hpp"
#include "support/interpret.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

using test::ints_attr;
using test::kinds;
using test::ModelBuilder;
using test::random_tensor;
using test::tensor;

Graph import(const ModelBuilder& model) {
  return onnx::import_bytes(model.serialize(), "m.onnx", {}).graph;
}

/// The graph with shapes for one f32 input of that shape, then optimised.
Graph optimized(Graph graph, const Shape& input, DType dtype = DType::kFloat32) {
  infer_and_fold(graph, std::vector<InputBinding>{{dtype, input, nullptr}}, 1 << 20);
  std::vector<std::string> notes;
  optimize(graph, notes);
  return graph;
}

/// The optimised graph gives what the imported one gives.
void expect_same_results(const Graph& before, const Graph& after, const Shape& shape,
                         double tolerance = 1e-5) {
  std::mt19937_64 random(5);
  const Tensor input = random_tensor(DType::kFloat32, shape, random);
  const std::vector<Tensor> inputs{input};
  const auto want = test::interpret(before, inputs);
  const auto got = test::interpret(after, inputs);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    test::expect_close(got[i], want[i], {tolerance, tolerance}, "output " + std::to_string(i));
  }
}

class Builder : public ModelBuilder {
 public:
  explicit Builder(std::int64_t opset = 13) : ModelBuilder(8, opset) {}
  void constant(const std::string& name, const Shape& shape, double low = -1.0, double high = 1.0) {
    initializer(name, random_tensor(DType::kFloat32, shape, random_, low, high));
  }

 private:
  std::mt19937_64 random_{17};
};

TEST(Passes, FoldBatchNormIntoConv) {
  Builder model;
  model.input("x", DType::kFloat32, {2, 3, 6, 6});
  model.constant("w", {4, 3, 3, 3});
  model.constant("b", {4});
  model.constant("scale", {4}, 0.5, 2.0);
  model.constant("shift", {4});
  model.constant("mean", {4});
  model.constant("var", {4}, 0.1, 3.0);
  model.node("Conv", {"x", "w", "b"}, {"c"});
  model.node("BatchNormalization", {"c", "scale", "shift", "mean", "var"}, {"n"});
  model.node("Relu", {"n"}, {"y"});
  model.output("y", DType::kFloat32, {2, 4, 4, 4});
  const Graph graph = import(model);
  const Graph after = optimized(graph, {2, 3, 6, 6});
  EXPECT_EQ(kinds(after), std::vector<OpKind>{OpKind::kConv});
  EXPECT_EQ(std::get<ConvParams>(after.nodes[0].params).activation.kind, Activation::Kind::kRelu);
  expect_same_results(graph, after, {2, 3, 6, 6});
}

TEST(Passes, FoldBatchNormIntoGemmOfEitherOrientation) {
  for (const bool transposed : {false, true}) {
    Builder model;
    model.input("x", DType::kFloat32, {5, 3});
    model.constant("w", transposed ? Shape{4, 3} : Shape{3, 4});
    model.constant("b", {4});
    model.constant("scale", {4});
    model.constant("shift", {4});
    model.constant("mean", {4});
    model.constant("var", {4}, 0.1, 3.0);
    model.node("Gemm", {"x", "w", "b"}, {"g"},
               {test::int_attr("transB", transposed), test::float_attr("beta", 0.5F),
                test::float_attr("alpha", 2.0F)});
    model.node("BatchNormalization", {"g", "scale", "shift", "mean", "var"}, {"y"});
    model.output("y", DType::kFloat32, {5, 4});
    const Graph graph = import(model);
    const Graph after = optimized(graph, {5, 3});
    EXPECT_EQ(kinds(after), std::vector<OpKind>{OpKind::kGemm});
    expect_same_results(graph, after, {5, 3});
  }
}

TEST(Passes, DoNotFoldBatchNormOfAConvThatIsReadElsewhere) {
  Builder model;
  model.input("x", DType::kFloat32, {1, 1, 4, 4});
  model.constant("w", {2, 1, 3, 3});
  for (const char* name : {"scale", "shift", "mean"}) model.constant(name, {2});
  model.constant("var", {2}, 0.1, 1.0);
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("BatchNormalization", {"c", "scale", "shift", "mean", "var"}, {"n"});
  model.node("Add", {"n", "c"}, {"y"});
  model.output("y", DType::kFloat32, {1, 2, 2, 2});
  const Graph graph = import(model);
  const Graph after = optimized(graph, {1, 1, 4, 4});
  EXPECT_EQ(after.nodes.size(), 3U);
  expect_same_results(graph, after, {1, 1, 4, 4});
}

TEST(Passes, FoldChannelConstantsIntoConvAndMatMul) {
  Builder model;
  model.input("x", DType::kFloat32, {2, 1, 5, 5});
  model.constant("w", {3, 1, 2, 2});
  model.constant("scale", {1, 3, 1, 1});
  model.constant("shift", {3, 1, 1});
  model.initializer("target", tensor<std::int64_t>({2}, {2, 48}));
  model.constant("m", {48, 6});
  model.constant("bias", {1, 6});
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("Mul", {"scale", "c"}, {"d"});
  model.node("Add", {"d", "shift"}, {"e"});
  model.node("Reshape", {"e", "target"}, {"f"});
  model.node("MatMul", {"f", "m"}, {"g"});
  model.node("Add", {"bias", "g"}, {"h"});
  model.node("Tanh", {"h"}, {"y"});
  model.output("y", DType::kFloat32, {2, 6});
  const Graph graph = import(model);
  const Graph after = optimized(graph, {2, 1, 5, 5});
  EXPECT_EQ(kinds(after), (std::vector<OpKind>{OpKind::kConv, OpKind::kReshape, OpKind::kGemm}));
  expect_same_results(graph, after, {2, 1, 5, 5});
}

TEST(Passes, DoNotFoldAConstantThatVariesOverPixelsOrRows) {
  Builder model;
  model.input("x", DType::kFloat32, {3, 1, 4, 4});
  model.constant("w", {3, 1, 1, 1});
  model.constant("rows", {4, 1});
  model.constant("columns", {3});
  model.initializer("target", tensor<std::int64_t>({2}, {3, 48}));
  model.constant("m", {48, 3});
  model.constant("images", {3, 1});
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("Add", {"c", "rows"}, {"d"});
  model.node("Reshape", {"d", "target"}, {"f"});
  model.node("MatMul", {"f", "m"}, {"g"});
  model.node("Add", {"g", "images"}, {"y"});
  model.output("y", DType::kFloat32, {3, 3});
  const Graph graph = import(model);
  const Graph after = optimized(graph, {3, 1, 4, 4});
  const auto left = kinds(after);
  EXPECT_EQ(std::count(left.begin(), left.end(), OpKind::kAdd), 2);
  expect_same_results(graph, after, {3, 1, 4, 4});
}

TEST(Passes, FuseEveryActivationWithItsParameters) {
  for (const char* op : {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip"}) {
    Builder model;
    model.input("x", DType::kFloat32, {2, 3});
    model.constant("a", {3});
    model.constant("w", {3, 3});
    model.initializer("high", tensor<float>({}, {0.25F}));
    model.node("Sub", {"x", "a"}, {"s"});
    const std::vector<std::string> bounds = {"s", "", "high"};
    auto attributes = std::string(op) == "LeakyRelu" ? std::vector{test::float_attr("alpha", 0.3F)}
                                                     : std::vector<::onnx::AttributeProto>{};
    model.node(op, std::string(op) == "Clip" ? bounds : std::vector<std::string>{"s"}, {"y"},
               attributes);
    model.output("y", DType::kFloat32, {2, 3});
    const Graph graph = import(model);
    const Graph after = optimized(graph, {2, 3});
    EXPECT_EQ(kinds(after), std::vector<OpKind>{OpKind::kSub}) << op;
    expect_same_results(graph, after, {2, 3});
  }
}

TEST(Passes, BypassIdentitiesUpToTheOutputs) {
  Builder model;
  model.input("x", DType::kFloat32, {2, 3});
  model.node("Identity", {"x"}, {"a"});
  model.node("Dropout", {"a"}, {"b"});
  model.node("Cast", {"b"}, {"c"}, {test::int_attr("to", 1)});
  model.node("Transpose", {"c"}, {"d"}, {ints_attr("perm", {0, 1})});
  model.node("Flatten", {"d"}, {"y"});
  model.node("Neg", {"d"}, {"unused"});
  model.output("y", DType::kFloat32, {2, 3});
  const Graph after = optimized(import(model), {2, 3});
  EXPECT_TRUE(after.nodes.empty());
  EXPECT_EQ(after.outputs[0].value, after.inputs[0].value);
}

/// x, then `count` times `op`; opset 13.
Builder chain(const std::string& op, int count) {
  Builder model;
  model.input("x", DType::kFloat32, {2, 3});
  std::string last = "x";
  for (int i = 0; i < count; ++i) {
    const std::string next = "v" + std::to_string(i);
    model.node(op, {last}, {next});
    last = next;
  }
  model.output(last, DType::kFloat32, {2, 3});
  return model;
}

/// This process's own, whatever else the machine does.
double processor_seconds() {
  timespec time{};
  EXPECT_EQ(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// The seconds of a processor that it takes to make a model of the chain ready.
double seconds_to_compile(const std::string& op, int count) {
  const Graph graph = import(chain(op, count));
  const double begin = processor_seconds();
  const Graph after = optimized(graph, {2, 3});
  const auto executable = make_backend("cpu")->compile(after, {});
  EXPECT_EQ(executable->steps().size(), op == "Identity" ? 0U : static_cast<std::size_t>(count));
  return processor_seconds() - begin;
}

TEST(Passes, TakeTimeInProportionToTheNodes) {
  for (const std::string op : {"Identity", "Relu", "Softmax"}) {
    const double few = seconds_to_compile(op, 5'000);
    const double many = seconds_to_compile(op, 80'000);
    // Sixteen times the nodes; what is quadratic takes 256 times as long.
    EXPECT_LT(many, 80.0 * few + 0.5) << op;
  }
}

TEST(Passes, DoNotMultiplyWeightsThatSeveralLayersRead) {
  std::mt19937_64 random(29);
  Builder model;
  model.input("x", DType::kFloat32, {1, 2, 4, 4});
  model.initializer("w", random_tensor(DType::kFloat32, {2, 2, 1, 1}, random));
  model.initializer("s", random_tensor(DType::kFloat32, {2, 1, 1}, random));
  model.node("Conv", {"x", "w"}, {"a"});
  model.node("Mul", {"a", "s"}, {"b"});
  model.node("Conv", {"b", "w"}, {"c"});
  model.node("Mul", {"c", "s"}, {"y"});
  model.output("y", DType::kFloat32, {1, 2, 4, 4});
  const Graph before = import(model);
  const Graph after = optimized(before, {1, 2, 4, 4});
  EXPECT_EQ(after.nodes.size(), 4U);
  expect_same_results(before, after, {1, 2, 4, 4});
}

TEST(Passes, LetGoOfWeightsThatWereReplaced) {
  std::mt19937_64 random(31);
  Builder model;
  model.input("x", DType::kFloat32, {1, 2, 4, 4});
  model.initializer("w", random_tensor(DType::kFloat32, {2, 2, 1, 1}, random));
  model.initializer("s", random_tensor(DType::kFloat32, {2, 1, 1}, random, 0.9, 1.1));
  model.node("Conv", {"x", "w"}, {"v0"});
  const int count = 200;
  for (int i = 0; i < count; ++i) {
    model.node("Mul", {"v" + std::to_string(i), "s"}, {"v" + std::to_string(i + 1)});
  }
  model.output("v" + std::to_string(count), DType::kFloat32, {1, 2, 4, 4});
  const Graph before = import(model);
  const Graph after = optimized(before, {1, 2, 4, 4});
  const auto constants =
      std::count_if(after.values.begin(), after.values.end(),
                    [](const Value& value) { return value.constant != nullptr; });
  EXPECT_LE(constants, 3);  // weights, bias, and the factor of the Muls that are left
  EXPECT_LT(after.nodes.size(), before.nodes.size());
  expect_same_results(before, after, {1, 2, 4, 4});
}

/// x -> Normalize -> (view) -> layer, as the engine builds it for u8 pixels.
Graph normalized(const ModelBuilder& model, NormalizeParams params, const Shape& shape) {
  Graph graph = import(model);
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, shape, nullptr}}, 1 << 20);
  Value pixels;
  pixels.name = "pixels";
  pixels.dtype = DType::kUint8;
  pixels.shape = shape;
  Node node{OpKind::kNormalize, "normalize", std::move(params), {}, {graph.inputs[0].value}};
  node.inputs = {graph.add_value(std::move(pixels))};
  graph.inputs[0].value = node.inputs[0];
  graph.inputs[0].dtype = DType::kUint8;
  graph.nodes.insert(graph.nodes.begin(), std::move(node));
  return graph;
}

void expect_same_pixels(const Graph& before, const Graph& after, const Shape& shape) {
  std::mt19937_64 random(9);
  const std::vector<Tensor> inputs{random_tensor(DType::kUint8, shape, random, 0, 256)};
  test::expect_close(test::interpret(after, inputs)[0], test::interpret(before, inputs)[0],
                     {1e-4, 1e-4}, "pixels");
}

TEST(Passes, FoldNormalizationIntoConvPerChannelAndGroup) {
  for (const std::int64_t group : {std::int64_t{1}, std::int64_t{3}}) {
    Builder model;
    const Shape shape{2, 3, 5, 5};
    model.input("x", DType::kFloat32, {2, 3, 5, 5});
    model.constant("w", {6, 3 / group, 2, 2});
    model.node("Conv", {"x", "w"}, {"y"}, {test::int_attr("group", group)});
    model.output("y", DType::kFloat32, {2, 6, 4, 4});
    const Graph before = normalized(model, {{0.01F, 0.02F, 0.03F}, {-1, 0.5F, 2}, 1}, shape);
    Graph after = before;
    EXPECT_EQ(fold_normalizations(after), 1);
    EXPECT_EQ(kinds(after), std::vector<OpKind>{OpKind::kConv});
    expect_same_pixels(before, after, shape);
  }
}

TEST(Passes, KeepNormalizationBeforeAConvWhoseZerosAreNotPixels) {
  Builder model;
  const Shape shape{1, 1, 4, 4};
  model.input("x", DType::kFloat32, {1, 1, 4, 4});
  model.constant("w", {2, 1, 3, 3});
  model.node("Conv", {"x", "w"}, {"y"}, {ints_attr("pads", {1, 1, 1, 1})});
  model.output("y", DType::kFloat32, {1, 2, 4, 4});
  Graph shifting = normalized(model, {{0.01F}, {-1}, 1}, shape);
  EXPECT_EQ(fold_normalizations(shifting), 0);
  // Without a shift the padding's zeros stay zeros.
  const Graph before = normalized(model, {{0.01F}, {0}, 1}, shape);
  Graph after = before;
  EXPECT_EQ(fold_normalizations(after), 1);
  expect_same_pixels(before, after, shape);
}

TEST(Passes, FoldNormalizationThroughViewsIntoGemm) {
  for (const bool transposed : {false, true}) {
    Builder model;
    const Shape shape{3, 1, 2, 2};
    model.input("x", DType::kFloat32, {3, 1, 2, 2});
    model.constant("w", transposed ? Shape{5, 4} : Shape{4, 5});
    model.constant("b", {5});
    model.node("Flatten", {"x"}, {"f"});
    model.node("Gemm", {"f", "w", "b"}, {"y"}, {test::int_attr("transB", transposed)});
    model.output("y", DType::kFloat32, {3, 5});
    const Graph before = normalized(model, {{0.5F}, {-3}, 1}, shape);
    Graph after = before;
    EXPECT_EQ(fold_normalizations(after), 1);
    EXPECT_EQ(kinds(after), (std::vector<OpKind>{OpKind::kFlatten, OpKind::kGemm}));
    expect_same_pixels(before, after, shape);
  }
}

Graph annotated_for(const ModelBuilder& model, const Shape& shape) {
  Graph graph = import(model);
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, shape, nullptr}}, 1 << 20);
  return graph;
}

TEST(OpenBatch, RewritesReshapesOfAFixedBatch) {
  Builder model;
  model.input("x", DType::kFloat32, {1, 1, 4, 4});
  model.constant("w", {2, 1, 3, 3});
  model.initializer("target", tensor<std::int64_t>({2}, {1, 8}));
  model.constant("m", {8, 3});
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("Reshape", {"c", "target"}, {"r"});
  model.node("MatMul", {"r", "m"}, {"y"});
  model.output("y", DType::kFloat32, {1, 3});
  Graph graph = annotated_for(model, {1, 1, 4, 4});
  ASSERT_TRUE(open_batch(graph).separable);
  // Seven images at once give what each gives alone.
  std::mt19937_64 random(1);
  const Tensor images = random_tensor(DType::kFloat32, {7, 1, 4, 4}, random);
  const Tensor together = test::interpret(graph, std::vector{images})[0];
  ASSERT_EQ(together.shape(), (Shape{7, 3}));
  for (std::int64_t i = 0; i < 7; ++i) {
    const Tensor one =
        Tensor::copy_of(DType::kFloat32, {1, 1, 4, 4}, images.as<float>() + i * 16, 16 * 4);
    const Tensor alone = test::interpret(import(model), std::vector{one})[0];
    const Tensor part = Tensor::copy_of(DType::kFloat32, {1, 3}, together.as<float>() + i * 3, 12);
    test::expect_close(part, alone, {1e-6, 1e-6}, "image " + std::to_string(i));
  }
}

TEST(OpenBatch, RefusesWhatMixesImages) {
  struct Case {
    const char* name;
    std::function<void(Builder&)> add;
  };
  const Case cases[] = {
      {"softmax over the batch",
       [](Builder& m) { m.node("Softmax", {"x"}, {"y"}, {test::int_attr("axis", 0)}); }},
      {"mean over all", [](Builder& m) { m.node("ReduceMean", {"x"}, {"y"}); }},
      {"reshape that merges images",
       [](Builder& m) {
         m.initializer("t", tensor<std::int64_t>({2}, {1, 12}));
         m.node("Reshape", {"x", "t"}, {"y"});
       }},
      {"transpose", [](Builder& m) { m.node("Transpose", {"x"}, {"y"}); }},
      {"a constant for each image",
       [](Builder& m) {
         m.constant("c", {3, 4});
         m.node("Add", {"x", "c"}, {"y"});
       }},
      {"concatenation along the batch",
       [](Builder& m) {
         m.node("Concat", {"x", "x"}, {"y"}, {test::int_attr("axis", 0)});
       }},
      {"reversed batch",
       [](Builder& m) {
         m.initializer("s", tensor<std::int64_t>({1}, {-1}));
         m.initializer("e", tensor<std::int64_t>({1}, {-9}));
         m.initializer("a", tensor<std::int64_t>({1}, {0}));
         m.node("Slice", {"x", "s", "e", "a", "s"}, {"y"});
       }},
      {"squares of the batch",
       [](Builder& m) {
         m.node("Transpose", {"x"}, {"t"});
         m.node("MatMul", {"x", "t"}, {"y"});
       }},
  };
  for (const Case& test : cases) {
    Builder model;
    model.input("x", DType::kFloat32, {3, 4});
    test.add(model);
    auto* output = model.proto().mutable_graph()->add_output();
    output->set_name("y");
    Graph graph = annotated_for(model, {3, 4});
    EXPECT_FALSE(open_batch(graph).separable) << test.name;
  }
}

TEST(Infer, FoldsShapeArithmeticToConstants) {
  Builder model;
  model.input("x", DType::kFloat32, {"N", 2, 3});
  model.initializer("zero", tensor<std::int64_t>({}, {0}));
  model.initializer("axes", tensor<std::int64_t>({1}, {0}));
  model.initializer("rest", tensor<std::int64_t>({1}, {-1}));
  model.node("Shape", {"x"}, {"s"});
  model.node("Gather", {"s", "zero"}, {"n"});
  model.node("Unsqueeze", {"n", "axes"}, {"n1"});
  model.node("Concat", {"n1", "rest"}, {"t"}, {test::int_attr("axis", 0)});
  model.node("Reshape", {"x", "t"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 6});
  Graph graph = import(model);
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, {5, 2, 3}, nullptr}}, 1 << 20);
  EXPECT_EQ(kinds(graph), std::vector<OpKind>{OpKind::kReshape});
  EXPECT_EQ(*graph.value(graph.outputs[0].value).shape, (Shape{5, 6}));
}

TEST(Infer, ChecksDeclaredInputsAndOutputs) {
  Builder model;
  model.input("x", DType::kFloat32, {"N", 3});
  model.node("Relu", {"x"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 4});
  const Graph graph = import(model);
  const auto infer = [&](DType dtype, const Shape& shape) {
    Graph copy = graph;
    infer_and_fold(copy, std::vector<InputBinding>{{dtype, shape, nullptr}}, 1 << 20);
  };
  test::expect_error(ErrorCode::kInvalidModel, "output 'y' is declared [N,4], but is [2,3]", [&] {
    infer(DType::kFloat32, {2, 3});
  });
  test::expect_error(ErrorCode::kInvalidArgument, "input 'x' is declared [N,3], but is [2,5]", [&] {
    infer(DType::kFloat32, {2, 5});
  });
  test::expect_error(ErrorCode::kInvalidArgument, "input 'x' is declared f32, but is f64", [&] {
    infer(DType::kFloat64, {2, 3});
  });
}

TEST(Infer, ChecksDeclaredTypesBetweenNodes) {
  Builder model;
  model.input("x", DType::kFloat32, {3});
  model.node("Relu", {"x"}, {"r"}).set_name("relu");
  model.node("Neg", {"r"}, {"y"});
  model.output("y", DType::kFloat32, {3});
  auto* info = model.proto().mutable_graph()->add_value_info();
  info->set_name("r");
  const auto infer = [&](DType dtype) {
    info->mutable_type()->mutable_tensor_type()->set_elem_type(static_cast<std::int32_t>(dtype));
    Graph graph = import(model);
    infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, {3}, nullptr}}, 1 << 20);
  };
  infer(DType::kFloat32);
  test::expect_error(ErrorCode::kInvalidModel,
                     "m.onnx: node 'relu' (Relu): output 'r' is declared i64, but is f32",
                     [&] { infer(DType::kInt64); });
}

TEST(Infer, LimitsWhatFoldingMayMake) {
  Builder model;
  model.input("x", DType::kFloat32, {1});
  model.initializer("size", tensor<std::int64_t>({2}, {1 << 20, 1 << 20}));
  model.node("ConstantOfShape", {"size"}, {"c"});
  model.node("ReduceSum", {"c"}, {"s"});
  model.node("Add", {"x", "s"}, {"y"});
  model.output("y", DType::kFloat32, {1, 1});
  Graph graph = import(model);
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, {1}, nullptr}}, 1 << 20);
  EXPECT_EQ(graph.nodes.size(), 3U);
  // And what is left is refused by the memory limit instead of being allocated.
  const test::TempDir dir;
  const Model loaded = Model::load(model.write(dir.path() / "m.onnx"));
  test::expect_error(ErrorCode::kOutOfMemory, "exceed the limit",
                     [&] { loaded.run(std::vector{tensor<float>({1}, {1})}); });
}

TEST(Infer, LimitsWhatFoldingMayComputeInAll) {
  Builder model;
  model.input("x", DType::kFloat32, {1});
  model.initializer("size", tensor<std::int64_t>({1}, {100'000}));
  model.node("ConstantOfShape", {"size"}, {"c"});
  const int count = 1000;
  std::vector<std::string> terms = {"x"};
  for (int i = 0; i < count; ++i) {
    terms.push_back("r" + std::to_string(i));
    model.node("ReduceMax", {"c"}, {terms.back()});
  }
  model.node("Sum", terms, {"y"});
  model.output("y", DType::kFloat32, {1});
  Graph graph = import(model);
  infer_and_fold(graph, std::vector<InputBinding>{{DType::kFloat32, {1}, nullptr}}, 1 << 20);
  // Two operations a byte: twenty of the thousand reductions.
  EXPECT_EQ(graph.nodes.size(), 1U + count - 20U);
}

TEST(ShapeInputs, FindsTheInputsThatShapesHangOn) {
  Builder model;
  model.input("x", DType::kFloat32, {"N"});
  model.input("target", DType::kInt64, {2});
  model.input("like", DType::kFloat32, {"M"});
  model.node("Cast", {"target"}, {"t"}, {test::int_attr("to", 7)});
  model.node("Reshape", {"x", "t"}, {"r"});
  model.node("Shape", {"like"}, {"s"});
  model.node("ConstantOfShape", {"s"}, {"y"});
  model.output("r", DType::kFloat32, {"A", "B"});
  model.output("y", DType::kFloat32, {"M"});
  EXPECT_EQ(shape_inputs(import(model)), (std::vector<bool>{false, true, false}));
}

}  // namespace
}  // namespace prs
