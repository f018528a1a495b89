// ONNX TensorProto -> Tensor.
#pragma once

#include <onnx/onnx_pb.h>

#include <filesystem>
#include <string>

#include "prs/tensor.hpp"

namespace prs::onnx {

/// ONNX's TensorProto.DataType -> DType. Throws unsupported for strings, complex and sub-byte
/// types, invalid model for numbers that ONNX does not define.
DType to_dtype(std::int32_t data_type);

/// Where a tensor's external data may lie.
struct ExternalData {
  std::filesystem::path folder;  ///< The model's folder; empty: external data is refused.
};

/// Converts and checks: the payload (raw_data, a typed field or an external file inside
/// `external.folder`) must hold exactly as many elements as the dims say, which is checked before
/// any memory is taken. Throws invalid model, unsupported, io; messages do not name the tensor.
Tensor to_tensor(const ::onnx::TensorProto& proto, const ExternalData& external);

}  // namespace prs::onnx
