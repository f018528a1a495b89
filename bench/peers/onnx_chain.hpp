// An ONNX model that is one chain of operators, for the peers that read no ONNX themselves.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace prs::bench {

struct Weights {
  std::vector<std::int64_t> extents;
  std::vector<float> values;
};

/// One operator: it takes what the one before it gave.
struct Link {
  std::string op;
  std::vector<Weights> weights;                             ///< Its constant inputs, in order.
  std::map<std::string, std::vector<std::int64_t>> ints{};  ///< Attributes; a single one as a list.

  /// The attribute, or `absent` when the node has it not.
  std::vector<std::int64_t> get(const std::string& name, std::vector<std::int64_t> absent) const;
};

/// Throws std::runtime_error when the file is no such model.
std::vector<Link> read_chain(const std::string& path);

}  // namespace prs::bench
