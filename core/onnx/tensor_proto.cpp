#include "onnx/tensor_proto.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "check.hpp"
#include "file.hpp"
#include "graph/graph.hpp"
#include "prs/model.hpp"

namespace prs::onnx {
namespace {

using ::onnx::TensorProto;

std::int64_t parse_size(const std::string& text, const char* what) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    fail_model("external data: {} '{}' is not a number of bytes", what, printable(text));
  }
  return value;
}

/// The file of an external tensor, refused unless it lies inside the model's folder.
std::filesystem::path resolve_external(const std::string& location,
                                       const std::filesystem::path& folder) {
  if (folder.empty()) fail_unsupported("external data is not allowed here");
  if (location.empty() || location.find('\0') != std::string::npos) {
    fail_model("external data without a usable location");
  }
  const std::filesystem::path relative(location);
  std::error_code error;
  const std::filesystem::path root = std::filesystem::canonical(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: {}", folder.string(), error.message());
  // Symbolic links are resolved first, so that they cannot lead outside either.
  const std::filesystem::path target = std::filesystem::weakly_canonical(root / relative, error);
  const auto [root_end, unused] =
      std::mismatch(root.begin(), root.end(), target.begin(), target.end());
  if (relative.is_absolute() || error || root_end != root.end()) {
    fail_model("external data path '{}' leaves the model's folder; move the file next to the model",
               printable(location));
  }
  return target;
}

/// Any byte but 0 and 1 would be undefined behaviour when read as a bool.
void normalize_bools(Tensor& tensor) {
  if (tensor.dtype() != DType::kBool) return;
  auto* bytes = tensor.as<std::uint8_t>();
  for (std::int64_t i = 0; i < tensor.elements(); ++i) bytes[i] = bytes[i] != 0 ? 1 : 0;
}

/// Copies a typed repeated field, narrowing each element to T.
template <typename T, typename Field>
Tensor from_field(DType dtype, const Shape& shape, const Field& field) {
  Tensor tensor(dtype, shape);
  T* values = tensor.as<T>();
  for (int i = 0; i < field.size(); ++i) {
    if constexpr (std::is_same_v<T, bool>) {
      values[i] = field.Get(i) != 0;
    } else {
      values[i] = static_cast<T>(field.Get(i));
    }
  }
  return tensor;
}

std::int64_t field_size(const TensorProto& proto, DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return proto.float_data_size();
    case DType::kFloat64:
      return proto.double_data_size();
    case DType::kInt64:
      return proto.int64_data_size();
    case DType::kUint32:
    case DType::kUint64:
      return proto.uint64_data_size();
    default:
      return proto.int32_data_size();
  }
}

Tensor read_field(const TensorProto& proto, DType dtype, const Shape& shape) {
  switch (dtype) {
    case DType::kFloat32:
      return from_field<float>(dtype, shape, proto.float_data());
    case DType::kFloat64:
      return from_field<double>(dtype, shape, proto.double_data());
    case DType::kInt64:
      return from_field<std::int64_t>(dtype, shape, proto.int64_data());
    case DType::kUint32:
      return from_field<std::uint32_t>(dtype, shape, proto.uint64_data());
    case DType::kUint64:
      return from_field<std::uint64_t>(dtype, shape, proto.uint64_data());
    case DType::kInt32:
      return from_field<std::int32_t>(dtype, shape, proto.int32_data());
    case DType::kInt16:
      return from_field<std::int16_t>(dtype, shape, proto.int32_data());
    case DType::kInt8:
      return from_field<std::int8_t>(dtype, shape, proto.int32_data());
    case DType::kUint16:
    case DType::kFloat16:
    case DType::kBFloat16:
      return from_field<std::uint16_t>(dtype, shape, proto.int32_data());
    case DType::kUint8:
      return from_field<std::uint8_t>(dtype, shape, proto.int32_data());
    case DType::kBool:
      return from_field<bool>(dtype, shape, proto.int32_data());
    case DType::kUndefined:
      break;
  }
  fail_model("a tensor without an element type");
}

}  // namespace

DType to_dtype(std::int32_t data_type) {
  switch (data_type) {
    case TensorProto::UNDEFINED:
      fail_model("the element type is undefined");
    case TensorProto::STRING:
      fail_unsupported("element type string");
    case TensorProto::COMPLEX64:
    case TensorProto::COMPLEX128:
      fail_unsupported("element type complex");
    default:
      break;
  }
  const auto dtype = static_cast<DType>(data_type);
  if (dtype_size(dtype) > 0) return dtype;
  // 17 and above: the 8-bit, 4-bit and 2-bit types that ONNX added since IR version 9.
  constexpr std::int32_t kNewestKnown = 30;
  if (data_type > TensorProto::BFLOAT16 && data_type <= kNewestKnown) {
    fail_unsupported("element type number {} (8-bit floats and sub-byte integers)", data_type);
  }
  fail_model("unknown element type number {}", data_type);
}

ExternalData::ExternalData(std::filesystem::path folder) : folder_(std::move(folder)) {}
ExternalData::~ExternalData() = default;

Tensor ExternalData::read(const TensorProto& proto, DType dtype, const Shape& shape) {
  std::string location;
  std::int64_t offset = 0;
  std::optional<std::int64_t> length;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = parse_size(entry.value(), "offset");
    if (entry.key() == "length") length = parse_size(entry.value(), "length");
  }
  const std::filesystem::path path = resolve_external(location, folder_);
  const InputFile file(path);
  const std::int64_t elements = shape.elements();
  if (elements > file.size() / dtype_size(dtype) + 1) {
    fail_model("external data file {} has {} bytes, too few for {}{}", path.string(), file.size(),
               dtype_name(dtype), shape.to_string());
  }
  const std::int64_t size_bytes = elements * dtype_size(dtype);
  if (length && *length != size_bytes) {
    fail_model("external data: length {} for {}{}, which takes {} bytes", *length,
               dtype_name(dtype), shape.to_string(), size_bytes);
  }
  if (offset > file.size() || size_bytes > file.size() - offset) {
    fail_model("external data file {} has {} bytes, but {} bytes at offset {} are wanted",
               path.string(), file.size(), size_bytes, offset);
  }
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) {
    fail(ErrorCode::kIo, "{}: {}", path.string(), std::strerror(errno));
  }
  const FileId id{status.st_dev, status.st_ino};
  if (files_.insert(id).second) files_bytes_ += file.size();
  const Range range{id, offset, size_bytes, dtype};
  if (const auto known = read_.find(range); known != read_.end()) {
    return known->second.reshaped(shape);
  }
  // Ranges that lie side by side can never exceed this, only such that overlap.
  if (size_bytes > files_bytes_ - bytes_read_) {
    fail_model(
        "external data: {} bytes are wanted after {} others, but the files named so far have {} in "
        "all; tensors may share bytes only when offset, length and element type are equal",
        size_bytes, bytes_read_, files_bytes_);
  }
  Tensor tensor(dtype, shape);
  file.read_at(offset, tensor.data(), size_bytes);
  normalize_bools(tensor);
  bytes_read_ += size_bytes;
  read_.emplace(range, tensor);
  return tensor;
}

Tensor to_tensor(const TensorProto& proto, ExternalData& external) {
  const DType dtype = to_dtype(proto.data_type());
  Shape shape;
  for (const std::int64_t extent : proto.dims()) {
    if (extent < 0) fail_model("a tensor with the negative dimension {}", extent);
    shape.push_back(extent);
  }
  if (proto.has_segment()) fail_unsupported("a tensor stored in segments");
  const std::int64_t elements = shape.elements();
  if (proto.data_location() == TensorProto::EXTERNAL) {
    return external.read(proto, dtype, shape);
  }
  if (proto.has_raw_data()) {
    const auto raw_bytes = static_cast<std::int64_t>(proto.raw_data().size());
    if (raw_bytes % dtype_size(dtype) != 0 || raw_bytes / dtype_size(dtype) != elements) {
      fail_model("{} bytes of raw data for a tensor {}{}", raw_bytes, dtype_name(dtype),
                 shape.to_string());
    }
    Tensor tensor = Tensor::copy_of(dtype, shape, proto.raw_data().data(), raw_bytes);
    normalize_bools(tensor);
    return tensor;
  }
  const std::int64_t count = field_size(proto, dtype);
  if (count != elements) {
    fail_model("{} values for a tensor {}{} of {} elements", count, dtype_name(dtype),
               shape.to_string(), elements);
  }
  return read_field(proto, dtype, shape);
}

}  // namespace prs::onnx

namespace prs {

NamedTensor read_tensor_proto(const std::filesystem::path& path) {
  const std::string bytes = InputFile(path).read_all();
  ::onnx::TensorProto proto;
  const google::protobuf::LogSilencer silencer;
  if (!proto.ParseFromString(bytes)) {
    fail_argument("{}: not a serialized ONNX TensorProto", path.string());
  }
  try {
    onnx::ExternalData none({});
    return {proto.name(), onnx::to_tensor(proto, none)};
  } catch (const Error& error) {
    const ErrorCode code =
        error.code() == ErrorCode::kInvalidModel ? ErrorCode::kInvalidArgument : error.code();
    throw Error(code, path.string() + ": " + error.message());
  }
}

}  // namespace prs
