#include "support/onnx_builder.hpp"

#include <fstream>

#include "check.hpp"

namespace prs::test {
namespace {

::onnx::AttributeProto attribute(const std::string& name,
                                 ::onnx::AttributeProto::AttributeType type) {
  ::onnx::AttributeProto result;
  result.set_name(name);
  result.set_type(type);
  return result;
}

void fill(::onnx::ValueInfoProto& info, const std::string& name, DType dtype,
          const std::vector<Dim>& dims) {
  info.set_name(name);
  ::onnx::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(static_cast<std::int32_t>(dtype));
  ::onnx::TensorShapeProto& shape = *type.mutable_shape();
  for (const Dim& dim : dims) dim.write_to(*shape.add_dim());
}

template <typename T, typename Field>
void add_all(const Tensor& tensor, Field& field) {
  for (std::int64_t i = 0; i < tensor.elements(); ++i) field.Add(tensor.as<T>()[i]);
}

void fill_typed_field(::onnx::TensorProto& proto, const Tensor& tensor) {
  auto& int32_data = *proto.mutable_int32_data();
  switch (tensor.dtype()) {
    case DType::kFloat32:
      return add_all<float>(tensor, *proto.mutable_float_data());
    case DType::kFloat64:
      return add_all<double>(tensor, *proto.mutable_double_data());
    case DType::kInt64:
      return add_all<std::int64_t>(tensor, *proto.mutable_int64_data());
    case DType::kUint64:
      return add_all<std::uint64_t>(tensor, *proto.mutable_uint64_data());
    case DType::kUint32:
      return add_all<std::uint32_t>(tensor, *proto.mutable_uint64_data());
    case DType::kInt32:
      return add_all<std::int32_t>(tensor, int32_data);
    case DType::kInt16:
      return add_all<std::int16_t>(tensor, int32_data);
    case DType::kInt8:
      return add_all<std::int8_t>(tensor, int32_data);
    case DType::kUint16:
    case DType::kFloat16:
    case DType::kBFloat16:
      return add_all<std::uint16_t>(tensor, int32_data);
    case DType::kUint8:
    case DType::kBool:
      return add_all<std::uint8_t>(tensor, int32_data);
    case DType::kUndefined:
      return;
  }
}

}  // namespace

void Dim::write_to(::onnx::TensorShapeProto::Dimension& dimension) const {
  if (const auto* name = std::get_if<std::string>(&value_)) {
    dimension.set_dim_param(*name);
  } else if (const std::int64_t extent = std::get<std::int64_t>(value_); extent != -1) {
    dimension.set_dim_value(extent);
  }
}

::onnx::AttributeProto int_attr(const std::string& name, std::int64_t value) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::INT);
  result.set_i(value);
  return result;
}

::onnx::AttributeProto float_attr(const std::string& name, float value) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::FLOAT);
  result.set_f(value);
  return result;
}

::onnx::AttributeProto string_attr(const std::string& name, const std::string& value) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::STRING);
  result.set_s(value);
  return result;
}

::onnx::AttributeProto ints_attr(const std::string& name, const std::vector<std::int64_t>& values) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) result.add_ints(value);
  return result;
}

::onnx::AttributeProto floats_attr(const std::string& name, const std::vector<float>& values) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::FLOATS);
  for (const float value : values) result.add_floats(value);
  return result;
}

::onnx::AttributeProto strings_attr(const std::string& name,
                                    const std::vector<std::string>& values) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::STRINGS);
  for (const std::string& value : values) result.add_strings(value);
  return result;
}

::onnx::AttributeProto tensor_attr(const std::string& name, const Tensor& value) {
  ::onnx::AttributeProto result = attribute(name, ::onnx::AttributeProto::TENSOR);
  *result.mutable_t() = to_tensor_proto("", value);
  return result;
}

::onnx::TensorProto to_tensor_proto(const std::string& name, const Tensor& tensor, bool raw) {
  ::onnx::TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(static_cast<std::int32_t>(tensor.dtype()));
  for (const std::int64_t extent : tensor.shape()) proto.add_dims(extent);
  if (raw) {
    proto.set_raw_data(tensor.data(), static_cast<std::size_t>(tensor.bytes()));
  } else {
    fill_typed_field(proto, tensor);
  }
  return proto;
}

ModelBuilder::ModelBuilder(std::int64_t ir_version, std::int64_t opset) {
  model_.set_ir_version(ir_version);
  model_.set_producer_name("prs-test");
  ::onnx::OperatorSetIdProto& import = *model_.add_opset_import();
  import.set_domain("");
  import.set_version(opset);
  model_.mutable_graph()->set_name("graph");
}

::onnx::ValueInfoProto& ModelBuilder::input(const std::string& name, DType dtype,
                                            const std::vector<Dim>& dims) {
  ::onnx::ValueInfoProto& info = *model_.mutable_graph()->add_input();
  fill(info, name, dtype, dims);
  return info;
}

::onnx::ValueInfoProto& ModelBuilder::output(const std::string& name, DType dtype,
                                             const std::vector<Dim>& dims) {
  ::onnx::ValueInfoProto& info = *model_.mutable_graph()->add_output();
  fill(info, name, dtype, dims);
  return info;
}

::onnx::TensorProto& ModelBuilder::initializer(const std::string& name, const Tensor& tensor,
                                               bool raw) {
  ::onnx::TensorProto& proto = *model_.mutable_graph()->add_initializer();
  proto = to_tensor_proto(name, tensor, raw);
  return proto;
}

::onnx::NodeProto& ModelBuilder::node(const std::string& op_type,
                                      const std::vector<std::string>& inputs,
                                      const std::vector<std::string>& outputs,
                                      const std::vector<::onnx::AttributeProto>& attributes) {
  ::onnx::NodeProto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(op_type);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  for (const ::onnx::AttributeProto& attribute : attributes) *node.add_attribute() = attribute;
  return node;
}

void ModelBuilder::metadata(const std::string& key, const std::string& value) {
  ::onnx::StringStringEntryProto& entry = *model_.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

std::string ModelBuilder::serialize() const { return model_.SerializeAsString(); }

std::filesystem::path ModelBuilder::write(const std::filesystem::path& path) const {
  std::ofstream file(path, std::ios::binary);
  file << serialize();
  if (!file.flush()) fail(ErrorCode::kIo, "cannot write {}", path.string());
  return path;
}

}  // namespace prs::test
