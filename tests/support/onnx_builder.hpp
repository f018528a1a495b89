// Builds ONNX models in memory, for tests of the importer:
//
//   ModelBuilder model(8, 17);
//   model.input("x", DType::kFloat32, {"N", 3, -1});
//   model.initializer("w", tensor<float>({3}, {1, 2, 3}));
//   model.node("Mul", {"x", "w"}, {"y"});
//   model.output("y", DType::kFloat32, {"N", 3, 3});
//   const auto path = model.write(dir.path() / "model.onnx");
//
// Nothing is checked: broken models are wanted too. For what the methods cannot say, edit proto().
#pragma once

#include <onnx/onnx_pb.h>

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "prs/tensor.hpp"

namespace prs::test {

/// One extent of a graph input or output: a number, a name, or -1 for open without a name.
class Dim {
 public:
  Dim(std::integral auto extent) : value_(static_cast<std::int64_t>(extent)) {}
  Dim(const char* name) : value_(std::string(name)) {}
  Dim(std::string name) : value_(std::move(name)) {}

  void write_to(::onnx::TensorShapeProto::Dimension& dimension) const;

 private:
  std::variant<std::int64_t, std::string> value_;
};

::onnx::AttributeProto int_attr(const std::string& name, std::int64_t value);
::onnx::AttributeProto float_attr(const std::string& name, float value);
::onnx::AttributeProto string_attr(const std::string& name, const std::string& value);
::onnx::AttributeProto ints_attr(const std::string& name, const std::vector<std::int64_t>& values);
::onnx::AttributeProto floats_attr(const std::string& name, const std::vector<float>& values);
::onnx::AttributeProto strings_attr(const std::string& name,
                                    const std::vector<std::string>& values);
::onnx::AttributeProto tensor_attr(const std::string& name, const Tensor& value);

/// The tensor as ONNX stores it: little-endian bytes in raw_data, or, with raw unset, one number
/// each in the typed field that the format prescribes for the element type.
::onnx::TensorProto to_tensor_proto(const std::string& name, const Tensor& tensor, bool raw = true);

class ModelBuilder {
 public:
  /// `opset` is the version of the default domain.
  ModelBuilder(std::int64_t ir_version, std::int64_t opset);

  /// These return what they added, for further edits; valid until the next call of the same method.
  ::onnx::ValueInfoProto& input(const std::string& name, DType dtype, const std::vector<Dim>& dims);
  ::onnx::ValueInfoProto& output(const std::string& name, DType dtype,
                                 const std::vector<Dim>& dims);
  ::onnx::TensorProto& initializer(const std::string& name, const Tensor& tensor, bool raw = true);
  /// The empty name stands for an absent optional operand.
  ::onnx::NodeProto& node(const std::string& op_type, const std::vector<std::string>& inputs,
                          const std::vector<std::string>& outputs,
                          const std::vector<::onnx::AttributeProto>& attributes = {});

  void metadata(const std::string& key, const std::string& value);

  ::onnx::ModelProto& proto() { return model_; }
  std::string serialize() const;
  /// Writes the model and returns `path`; throws io when that fails.
  std::filesystem::path write(const std::filesystem::path& path) const;

 private:
  ::onnx::ModelProto model_;
};

}  // namespace prs::test
