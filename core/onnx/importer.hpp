// ONNX model file -> Graph. All differences between IR versions and opsets end here.
//
// A model is untrusted input: whatever is wrong with it becomes a prs::Error that names the file
// and, where there is one, the node and its operator.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "graph/graph.hpp"
#include "prs/model.hpp"

namespace prs::onnx {

inline constexpr std::int64_t kOldestIr = 3;
inline constexpr std::int64_t kNewestIr = 13;
inline constexpr std::int64_t kNewestOpset = 28;

struct ImportedModel {
  Graph graph;
  std::int64_t ir_version = 0;
  std::int64_t opset = 0;  ///< Of the default domain; 0 when the model imports none.
  std::string producer;    ///< "pytorch 2.0.0"
  std::map<std::string, std::string> metadata;
  std::int64_t initializer_bytes = 0;
};

/// Reads, parses and checks a file. Memory taken is proportional to the file's size (plus that of
/// its external data). Throws io, invalid model, unsupported, out of memory.
ImportedModel import_file(const std::filesystem::path& path, const ModelLimits& limits);

/// The same from memory; external data is looked for in `folder`, refused when that is empty.
ImportedModel import_bytes(std::span<const char> bytes, const std::string& source,
                           const std::filesystem::path& folder);

}  // namespace prs::onnx
