// Our own small graph: what the importer makes of an ONNX model, what passes rewrite and what a
// backend compiles. Nodes are in topological order. Constants are shared, never copied.
//
// A Graph is a value: copy it to keep a version. Not synchronised; share only const ones.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.hpp"
#include "prs/tensor.hpp"

namespace prs {

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;  ///< An optional operand that is absent.

/// One dimension as a model declares it: an extent, a symbol ("batch"), or neither.
struct DeclaredDim {
  std::optional<std::int64_t> extent;
  std::string symbol;
};

/// Anything a node reads or writes.
struct Value {
  std::string name;
  DType dtype = DType::kUndefined;     ///< kUndefined until known.
  DType declared = DType::kUndefined;  ///< What the model says it will be, checked once known.
  std::optional<Shape> shape;          ///< Concrete shape, once known.
  std::shared_ptr<const Tensor> constant;
};

struct Node {
  OpKind kind;
  std::string name;  ///< Never empty: the importer makes one up where the model has none.
  Params params;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
};

/// An input or output of the graph with the type that the model declares for it.
struct GraphPort {
  ValueId value = kNoValue;
  DType dtype = DType::kUndefined;
  std::optional<std::vector<DeclaredDim>> dims;  ///< Empty when the rank is not declared either.
};

struct Graph {
  std::string source;  ///< The model's file, for messages.
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<GraphPort> inputs;  ///< Without those that initializers provide.
  std::vector<GraphPort> outputs;
  /// The declared extents of axis 0 of inputs and outputs no longer bind: open_batch proved that
  /// the graph works for any.
  bool batch_opened = false;
  /// DequantizeLinear of constants is not folded: fuse_quantized() is to see the integers.
  bool keeps_dequantization = false;

  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  ValueId add_value(Value value);
  /// A new constant of its own.
  ValueId add_constant(std::string name, Tensor tensor);
};

/// `text` fit for a message: control characters escaped, cut after 120 bytes. Names in a model are
/// untrusted.
std::string printable(std::string_view text);

/// "model.onnx: node 'conv1' (Conv)": how every message about a node begins.
std::string describe(const Graph& graph, const Node& node);

}  // namespace prs
