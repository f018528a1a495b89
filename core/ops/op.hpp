// The operator interface: what both the importer and every backend know of an operator.
//
// Functions of this header are pure and thread-safe. Errors they throw say what is wrong with the
// operands; the caller adds file, node and operator.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ops/attributes.hpp"
#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs {

enum class OpKind : std::int32_t {
#define PRS_OP(kind, ...) k##kind,
#include "ops/ops.inc"
#undef PRS_OP
};

inline constexpr int kVariadic = 1 << 20;

/// The type of one operand. dtype kUndefined: an optional operand that is absent.
struct TensorType {
  DType dtype = DType::kUndefined;
  Shape shape;
  bool present() const noexcept { return dtype != DType::kUndefined; }
};

/// The type of one input and, when known at compile time, its value.
struct InputInfo {
  TensorType type;
  const Tensor* constant = nullptr;  ///< Not owned; null when unknown or absent.
};

struct ParseArgs {
  OpKind kind;
  const Attributes& attributes;
  std::int64_t opset;  ///< Version of the default domain that the model imports.
};

struct InferArgs {
  OpKind kind;
  const Params& params;
  std::span<const InputInfo> inputs;  ///< Trailing absent inputs may be missing altogether.

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].type.present(); }
  /// Throws invalid model when input i is absent.
  const TensorType& input(std::size_t i) const;
  /// The value of input i; throws unsupported when it is not known at compile time.
  const Tensor& value(std::size_t i) const;
};

struct ReferenceArgs {
  OpKind kind;
  const Params& params;
  std::span<const TensorView> inputs;          ///< Absent: dtype kUndefined, or missing at the end.
  std::span<const MutableTensorView> outputs;  ///< Absent: dtype kUndefined.

  bool has(std::size_t i) const {
    return i < inputs.size() && inputs[i].dtype != DType::kUndefined;
  }
  bool wants(std::size_t i) const {
    return i < outputs.size() && outputs[i].dtype != DType::kUndefined;
  }
};

/// One row of the operator table.
struct OpDef {
  OpKind kind;
  std::string_view name;
  int min_inputs;
  int max_inputs;
  int min_outputs;
  int max_outputs;
  std::uint32_t value_inputs;  ///< Bit i: the shape rule reads the contents of input i.
  /// Attributes of any supported opset -> Params. Throws invalid model or unsupported.
  Params (*parse)(const ParseArgs& args);
  /// The shape rule: fills one type per output. Throws invalid model, unsupported.
  void (*infer)(const InferArgs& args, std::span<TensorType> outputs);
  /// The truth that kernels are tested against: plain loops; floats in double, integers wrapping.
  /// The outputs have the types that infer gave and never alias the inputs.
  void (*reference)(const ReferenceArgs& args);
};

std::span<const OpDef> op_table();
const OpDef& op_def(OpKind kind);
/// The importable operator of that ONNX name (default domain), or null.
const OpDef* find_op(std::string_view name);

#define PRS_OP(kind, family, ...)                                   \
  namespace ops::family {                                           \
  Params parse(const ParseArgs& args);                              \
  void infer(const InferArgs& args, std::span<TensorType> outputs); \
  void reference(const ReferenceArgs& args);                        \
  }
#include "ops/ops.inc"
#undef PRS_OP

}  // namespace prs
