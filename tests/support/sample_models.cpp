#include "support/sample_models.hpp"

#include <random>
#include <set>

#include "ops/op.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"

namespace prs::test {
namespace {

using Attributes = std::vector<::onnx::AttributeProto>;

/// One node `op` over inputs and constants given by shape, result "y" without a declared type.
class Sample {
 public:
  Sample(std::string name, std::string op, std::int64_t opset)
      : name_(std::move(name)), op_(std::move(op)), model_(8, opset) {}

  Sample& input(const Shape& shape, DType dtype = DType::kFloat32) {
    names_.push_back("x" + std::to_string(names_.size()));
    std::vector<Dim> dims;
    for (const std::int64_t extent : shape) dims.emplace_back(extent);
    model_.input(names_.back(), dtype, dims);
    return *this;
  }
  Sample& weights(const Shape& shape, double low = -1.0, double high = 1.0) {
    return constant(random_tensor(DType::kFloat32, shape, random_, low, high));
  }
  Sample& ints(const std::vector<std::int64_t>& values) {
    return constant(tensor<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
  }
  Sample& constant(const Tensor& value) {
    names_.push_back("c" + std::to_string(names_.size()));
    model_.initializer(names_.back(), value);
    return *this;
  }
  Sample& absent() {
    names_.emplace_back();
    return *this;
  }
  Sample& with(const Attributes& attributes) {
    attributes_ = attributes;
    return *this;
  }
  std::pair<std::string, std::string> build() {
    model_.node(op_, names_, {"y"}, attributes_);
    model_.proto().mutable_graph()->add_output()->set_name("y");
    return {name_, model_.serialize()};
  }

 private:
  std::string name_;
  std::string op_;
  ModelBuilder model_;
  std::vector<std::string> names_;
  Attributes attributes_;
  std::mt19937_64 random_{41};
};

std::pair<std::string, std::string> convnet() {
  std::mt19937_64 random(43);
  ModelBuilder model(8, 17);
  const auto weights = [&](const std::string& name, const Shape& shape, double low = -1.0) {
    model.initializer(name, random_tensor(DType::kFloat32, shape, random, low, 1.0));
  };
  model.input("image", DType::kFloat32, {2, 3, 8, 8});
  weights("w", {4, 3, 3, 3});
  weights("b", {4});
  for (const char* name : {"scale", "shift", "mean"}) weights(name, {4});
  weights("variance", {4}, 0.1);
  weights("m", {64, 5});
  weights("bias", {5});
  model.initializer("target", tensor<std::int64_t>({2}, {0, -1}));
  model.node("Conv", {"image", "w", "b"}, {"c"}, {ints_attr("pads", {1, 1, 1, 1})});
  model.node("BatchNormalization", {"c", "scale", "shift", "mean", "variance"}, {"n"});
  model.node("Relu", {"n"}, {"r"});
  model.node("MaxPool", {"r"}, {"p"},
             {ints_attr("kernel_shape", {2, 2}), ints_attr("strides", {2, 2})});
  model.node("Reshape", {"p", "target"}, {"f"});
  model.node("MatMul", {"f", "m"}, {"g"});
  model.node("Add", {"g", "bias"}, {"h"});
  model.node("Softmax", {"h"}, {"y"});
  model.output("y", DType::kFloat32, {2, 5});
  return {"convnet", model.serialize()};
}

/// x -> Reshape to what Shape, Gather, Unsqueeze and Concat compute from x's shape.
std::pair<std::string, std::string> shape_arithmetic() {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {2, 3, 4});
  model.initializer("zero", tensor<std::int64_t>({}, {0}));
  model.initializer("axes", tensor<std::int64_t>({1}, {0}));
  model.initializer("rest", tensor<std::int64_t>({1}, {-1}));
  model.node("Shape", {"x"}, {"s"});
  model.node("Gather", {"s", "zero"}, {"n"});
  model.node("Unsqueeze", {"n", "axes"}, {"n1"});
  model.node("Concat", {"n1", "rest"}, {"t"}, {int_attr("axis", 0)});
  model.node("Reshape", {"x", "t"}, {"y"});
  model.output("y", DType::kFloat32, {2, 12});
  return {"shape_arithmetic", model.serialize()};
}

std::vector<std::pair<std::string, std::string>> operator_samples() {
  const auto kernel = [](std::int64_t extent) {
    return ints_attr("kernel_shape", {extent, extent});
  };
  const auto axis = [](std::int64_t value) { return int_attr("axis", value); };
  std::vector<std::pair<std::string, std::string>> samples;
  const auto add = [&](Sample& sample) { samples.push_back(sample.build()); };
  for (const char* op : {"Add", "Sub", "Mul", "Div"}) {
    add(Sample(op, op, 14).input({2, 3, 4}).weights({3, 1}, 0.5, 2.0));
    add(Sample(op + std::string("_legacy"), op, 6)
            .input({2, 3, 4})
            .weights({3}, 0.5, 2.0)
            .with({int_attr("broadcast", 1), axis(1)}));
  }
  for (const char* op : {"Min", "Max", "Sum"}) {
    add(Sample(op, op, 13).input({2, 3}).weights({3}).weights({2, 1}));
  }
  for (const char* op : {"Neg", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Identity", "Dropout"}) {
    add(Sample(op, op, 13).input({3, 17}));
  }
  add(Sample("Clip", "Clip", 13).input({40}).constant(tensor<float>({}, {-0.5F})));
  add(Sample("Clip_legacy", "Clip", 6).input({40}).with({float_attr("max", 0.25F)}));
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    add(Sample(op, op, 13).input({3, 5, 7}).with({axis(1)}));
    add(Sample(op + std::string("_legacy"), op, 11).input({3, 5, 7}));
  }
  add(Sample("BatchNormalization", "BatchNormalization", 15)
          .input({2, 3, 4, 5})
          .weights({3})
          .weights({3})
          .weights({3})
          .weights({3}, 0.1, 2.0));
  for (const char* op : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}) {
    add(Sample(op, op, 18).input({2, 3, 4}).ints({-1, 0}));
    add(Sample(op + std::string("_legacy"), op, 11)
            .input({2, 3, 4})
            .with({ints_attr("axes", {1}), int_attr("keepdims", 0)}));
  }
  add(Sample("ArgMax", "ArgMax", 13).input({3, 4}).with({axis(-1)}));
  add(Sample("MeanVarianceNormalization", "MeanVarianceNormalization", 13).input({2, 3, 4, 5}));
  add(Sample("Conv_1d", "Conv", 11)
          .input({2, 4, 9})
          .weights({6, 2, 3})
          .with({int_attr("group", 2), ints_attr("dilations", {2})}));
  add(Sample("Conv_2d", "Conv", 11)
          .input({1, 3, 7, 6})
          .weights({5, 3, 3, 3})
          .weights({5})
          .with({ints_attr("pads", {0, 1, 2, 1}), ints_attr("strides", {2, 1})}));
  add(Sample("Conv_3d", "Conv", 11)
          .input({1, 2, 4, 5, 4})
          .weights({3, 2, 2, 3, 2})
          .with({string_attr("auto_pad", "SAME_UPPER")}));
  add(Sample("Conv_depthwise", "Conv", 11)
          .input({2, 4, 6, 6})
          .weights({4, 1, 3, 3})
          .with({int_attr("group", 4)}));
  for (const char* op : {"MaxPool", "AveragePool"}) {
    add(Sample(op, op, 12)
            .input({2, 3, 7, 7})
            .with({kernel(3), ints_attr("strides", {2, 2}), ints_attr("pads", {1, 1, 1, 1}),
                   int_attr("ceil_mode", 1)}));
  }
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"})
    add(Sample(op, op, 1).input({2, 3, 4, 5}));
  add(Sample("Gemm", "Gemm", 13)
          .input({3, 5})
          .weights({4, 5})
          .weights({4})
          .with({int_attr("transB", 1), float_attr("alpha", 0.5F)}));
  add(Sample("MatMul", "MatMul", 13).input({2, 3, 4}).weights({4, 5}));
  add(Sample("Reshape", "Reshape", 13).input({2, 3, 4}).ints({0, -1}));
  add(Sample("Reshape_legacy", "Reshape", 1).input({2, 3}).with({ints_attr("shape", {3, 2})}));
  add(Sample("Flatten", "Flatten", 13).input({2, 3, 4}).with({axis(-1)}));
  add(Sample("Squeeze", "Squeeze", 13).input({2, 1, 3, 1}).ints({1}));
  add(Sample("Squeeze_legacy", "Squeeze", 11).input({2, 1, 3, 1}));
  add(Sample("Unsqueeze", "Unsqueeze", 13).input({2, 3}).ints({0, -1}));
  add(Sample("Transpose", "Transpose", 13)
          .input({2, 3, 4, 5})
          .with({ints_attr("perm", {0, 2, 3, 1})}));
  add(Sample("Concat", "Concat", 13).input({2, 3}).weights({2, 2}).with({axis(1)}));
  add(Sample("Constant", "Constant", 13).with({tensor_attr("value", tensor<float>({2}, {1, 2}))}));
  add(Sample("ConstantOfShape", "ConstantOfShape", 9).ints({2, 3}));
  add(Sample("Shape", "Shape", 15).input({2, 3, 4}).with({int_attr("start", 1)}));
  add(Sample("Gather", "Gather", 13).input({4, 3}).ints({0, -1, 2}));
  add(Sample("Gather_runtime", "Gather", 13).weights({4, 3}).input({2}, DType::kInt64));
  add(Sample("Slice", "Slice", 13)
          .input({5, 6})
          .ints({-1, 1})
          .ints({-9, 5})
          .ints({0, 1})
          .ints({-2, 1}));
  add(Sample("Slice_legacy", "Slice", 9)
          .input({5, 6})
          .with({ints_attr("starts", {1}), ints_attr("ends", {4}), ints_attr("axes", {1})}));
  for (const std::int64_t opset : {10, 13, 21}) {
    const std::string name = std::to_string(opset);
    add(Sample("QuantizeLinear_" + name, "QuantizeLinear", opset)
            .input({2, 3, 4})
            .constant(tensor<float>({}, {0.02F}))
            .constant(tensor<std::uint8_t>({}, {100})));
    add(Sample("DequantizeLinear_" + name, "DequantizeLinear", opset)
            .input({2, 3, 4}, DType::kInt8)
            .constant(tensor<float>({}, {0.02F})));
  }
  add(Sample("QuantizeLinear_channels", "QuantizeLinear", 13)
          .input({2, 3, 4})
          .constant(tensor<float>({3}, {0.02F, 0.5F, 1.0F}))
          .constant(tensor<std::int8_t>({3}, {0, -5, 9})));
  add(Sample("DequantizeLinear_channels", "DequantizeLinear", 13)
          .input({2, 3, 4}, DType::kInt32)
          .constant(tensor<float>({2}, {0.02F, 0.5F}))
          .with({int_attr("axis", 0)}));
  add(Sample("Cast", "Cast", 13).input({5}).with({int_attr("to", 7)}));
  for (const char* mode : {"constant", "reflect", "edge"}) {
    add(Sample(std::string("Pad_") + mode, "Pad", 13)
            .input({3, 4})
            .ints({1, 0, 0, 2})
            .with({string_attr("mode", mode)}));
  }
  add(Sample("Pad_legacy", "Pad", 2).input({3, 4}).with({ints_attr("pads", {1, 0, 0, -1})}));
  return samples;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> sample_models() {
  std::vector<std::pair<std::string, std::string>> samples = operator_samples();
  samples.push_back(convnet());
  samples.push_back(shape_arithmetic());
  return samples;
}

std::vector<std::pair<std::string, std::string>> refused_models() {
  std::vector<std::pair<std::string, std::string>> models;
  // The required first output without a name, alone and in front of an optional one that is read.
  const auto unnamed = [&](const std::string& op, const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs,
                           const Attributes& attributes = {}) {
    ModelBuilder model(8, 15);
    model.input("x", DType::kFloat32, {2, 3, 4, 4});
    model.initializer("s", tensor<float>({3}, {1, 2, 3}));
    model.node(op, inputs, outputs, attributes).set_name("nameless");
    model.node("Shape", {outputs.back().empty() ? "x" : outputs.back()}, {"y"});
    model.output("y", DType::kInt64, {-1});
    models.emplace_back(op + "_" + std::to_string(outputs.size()), model.serialize());
  };
  const std::vector<std::string> norm = {"x", "s", "s", "s", "s"};
  unnamed("Relu", {"x"}, {""});
  unnamed("MaxPool", {"x"}, {"", "i"}, {ints_attr("kernel_shape", {2, 2})});
  unnamed("Dropout", {"x"}, {"", "mask"});
  unnamed("BatchNormalization", norm, {"", "mean"}, {int_attr("training_mode", 1)});
  unnamed("BatchNormalization", norm, {"", "mean", "variance"}, {int_attr("training_mode", 1)});
  return models;
}

std::vector<std::string> operators_without_sample() {
  std::set<std::string> used;
  for (const auto& [name, bytes] : sample_models()) {
    ::onnx::ModelProto model;
    model.ParseFromString(bytes);
    for (const auto& node : model.graph().node()) used.insert(node.op_type());
  }
  std::vector<std::string> missing;
  for (const OpDef& def : op_table()) {
    const std::string name(def.name);
    if (find_op(name) != nullptr && !used.contains(name)) missing.push_back(name);
  }
  return missing;
}

}  // namespace prs::test
