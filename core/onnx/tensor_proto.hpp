// ONNX TensorProto -> Tensor.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "prs/tensor.hpp"

namespace prs::onnx {

/// ONNX's TensorProto.DataType -> DType. Throws unsupported for strings, complex and sub-byte
/// types, invalid model for numbers that ONNX does not define.
DType to_dtype(std::int32_t data_type);

/// The external data of one model. Tensors that name the same bytes as the same element type share
/// one buffer; what is read in all never exceeds the files' sizes, however many tensors point at
/// them.
class ExternalData {
 public:
  /// `folder`: the model's; external data must lie inside it. Empty: it is refused.
  explicit ExternalData(std::filesystem::path folder);
  ~ExternalData();
  ExternalData(const ExternalData&) = delete;
  ExternalData& operator=(const ExternalData&) = delete;

  /// The payload of `proto`, of that type. Throws invalid model, unsupported, io.
  Tensor read(const ::onnx::TensorProto& proto, DType dtype, const Shape& shape);

  /// Bytes read so far; what tensors share counts once.
  std::int64_t bytes_read() const noexcept { return bytes_read_; }

 private:
  using FileId = std::pair<std::uint64_t, std::uint64_t>;               ///< Device, inode.
  using Range = std::tuple<FileId, std::int64_t, std::int64_t, DType>;  ///< Offset, length.

  std::filesystem::path folder_;
  std::set<FileId> files_;
  std::map<Range, Tensor> read_;
  std::int64_t files_bytes_ = 0;  ///< Of the files seen so far.
  std::int64_t bytes_read_ = 0;
};

/// Converts and checks: the payload (raw_data, a typed field or an range of an
/// external file) must hold exactly as many elements as the dims say, which is checked before
/// any memory is taken. Throws invalid model, unsupported, io; messages do not name the tensor.
Tensor to_tensor(const ::onnx::TensorProto& proto, ExternalData& external);

}  // namespace prs::onnx
