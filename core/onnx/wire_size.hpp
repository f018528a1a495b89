// How much memory protobuf will take for a model, told from its bytes before they are parsed.
#pragma once

#include <cstdint>
#include <span>

namespace prs::onnx {

/// About the memory that a parsed ModelProto takes, in bytes. An empty submessage is two bytes in a
/// file and a few hundred in memory, so a hostile file can ask for more than a hundred times its
/// size. Walks the wire format without storing anything; stops where parsing will fail, too.
std::int64_t parsed_model_bytes(std::span<const char> bytes);

}  // namespace prs::onnx
