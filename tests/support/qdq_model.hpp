// Quantised models as other tools write them: every way to give scales and zero points.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"

namespace prs::test {

/// What differs between the tools.
struct QdqStyle {
  std::string name;
  std::int64_t opset = 13;
  DType activations = DType::kUint8;
  int zero_point = 0;       ///< Of the activations.
  bool zero_points = true;  ///< Or none are written: they are 0.
  DType weights = DType::kInt8;
  int weight_zero_point = 0;
  int conv_axis = 0;  ///< Along which the weights have scales; -1: one for all.
  int gemm_axis = 1;
  bool scalars_have_an_axis = false;  ///< "One for all" has the shape [1].
  int layers = 2;                     ///< Of 8-bit integers.
};

/// Pixels -> Conv, Relu, MaxPool, Reshape, Gemm -> scores, quantised in this style.
class QdqModel {
 public:
  explicit QdqModel(const QdqStyle& style) : style_(style), model_(8, style.opset) {
    model_.input("image", DType::kFloat32, {"N", 1, 8, 8});
    model_.initializer("flat", tensor<std::int64_t>({2}, {0, -1}));
    model_.initializer("b", random_tensor(DType::kFloat32, {5}, random_));
    model_.initializer("c", random_tensor(DType::kFloat32, {4}, random_));
    weights("w", {5, 1, 3, 3}, style.conv_axis);
    weights("m", {80, 4}, style.gemm_axis);
    activation("image", "x", 1.0F / 255.0F);
    model_.node("Conv", {"x", "w", "b"}, {"y"}, {ints_attr("pads", {1, 1, 1, 1})});
    model_.node("Relu", {"y"}, {"r"});
    activation("r", "s", 1.0F / 64.0F);
    model_.node("MaxPool", {"s"}, {"p"},
                {ints_attr("kernel_shape", {2, 2}), ints_attr("strides", {2, 2})});
    model_.node("Reshape", {"p", "flat"}, {"f"});
    activation("f", "g", 1.0F / 64.0F);
    model_.node("Gemm", {"g", "m", "c"}, {"scores"});
    model_.output("scores", DType::kFloat32, {"N", 4});
  }

  std::filesystem::path write(const std::filesystem::path& path) const {
    return model_.write(path);
  }

 private:
  static Tensor numbers(DType dtype, const Shape& shape, int value) {
    Tensor tensor(dtype, shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      tensor.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
    }
    return tensor;
  }
  Shape one_for_all() const { return style_.scalars_have_an_axis ? Shape{1} : Shape{}; }

  std::vector<std::string> operands(const std::string& from, const std::string& name) const {
    std::vector<std::string> result = {from, name + "_scale"};
    if (style_.zero_points) result.push_back(name + "_zero");
    return result;
  }

  /// Between QuantizeLinear and DequantizeLinear; u8 without a zero point begins at 0.
  void activation(const std::string& from, const std::string& to, float scale) {
    Tensor scales(DType::kFloat32, one_for_all());
    scales.as<float>()[0] = scale;
    model_.initializer(to + "_scale", scales);
    if (style_.zero_points) {
      model_.initializer(to + "_zero",
                         numbers(style_.activations, one_for_all(), style_.zero_point));
    }
    model_.node("QuantizeLinear", operands(from, to), {to + "_steps"});
    model_.node("DequantizeLinear", operands(to + "_steps", to), {to});
  }

  void weights(const std::string& name, const Shape& shape, int axis) {
    model_.initializer(name + "_steps", random_tensor(style_.weights, shape, random_,
                                                      style_.weights == DType::kInt8 ? -127 : 0,
                                                      style_.weights == DType::kInt8 ? 128 : 256));
    const Shape extents = axis < 0 ? one_for_all() : Shape{shape[axis]};
    model_.initializer(name + "_scale",
                       random_tensor(DType::kFloat32, extents, random_, 0.001, 0.004));
    if (style_.zero_points) {
      model_.initializer(name + "_zero",
                         numbers(style_.weights, extents, style_.weight_zero_point));
    }
    std::vector<::onnx::AttributeProto> attributes;
    if (axis >= 0) attributes.push_back(int_attr("axis", axis));
    model_.node("DequantizeLinear", operands(name + "_steps", name), {name}, attributes);
  }

  const QdqStyle& style_;
  std::mt19937_64 random_{17};
  ModelBuilder model_;
};

/// Styles that the layers of 8-bit integers cover.
inline std::vector<QdqStyle> qdq_styles() {
  return {
      {.name = "one scale a channel"},
      {.name = "opset 10, one scale for all", .opset = 10, .conv_axis = -1, .gemm_axis = -1},
      {.name = "scales of shape [1]",
       .conv_axis = -1,
       .gemm_axis = -1,
       .scalars_have_an_axis = true},
      {.name = "no zero points", .zero_points = false},
      {.name = "u8 around 7", .zero_point = 7},
      {.name = "i8 around -128", .activations = DType::kInt8, .zero_point = -128},
      {.name = "i8 around 0", .activations = DType::kInt8, .zero_point = 0},
      {.name = "scales along the other axis of the Gemm", .gemm_axis = 0, .layers = 1},
      {.name = "scales along the columns of the kernel", .conv_axis = 3, .layers = 1},
      {.name = "opset 21", .opset = 21},
  };
}

}  // namespace prs::test
