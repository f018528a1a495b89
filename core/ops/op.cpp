#include "ops/op.hpp"

#include <array>

#include "check.hpp"

namespace prs {
namespace {

constexpr auto kTable = std::to_array<OpDef>({
#define PRS_OP(kind, family, min_in, max_in, min_out, max_out, values) \
  OpDef{OpKind::k##kind,                                               \
        #kind,                                                         \
        min_in,                                                        \
        max_in,                                                        \
        min_out,                                                       \
        max_out,                                                       \
        values,                                                        \
        &ops::family::parse,                                           \
        &ops::family::infer,                                           \
        &ops::family::reference},
#include "ops/ops.inc"
#undef PRS_OP
});

}  // namespace

std::span<const OpDef> op_table() { return kTable; }

const OpDef& op_def(OpKind kind) { return kTable[static_cast<std::size_t>(kind)]; }

const OpDef* find_op(std::string_view name) {
  for (const OpDef& def : kTable) {
    if (def.name == name && def.kind < OpKind::kNormalize) return &def;
  }
  return nullptr;
}

const TensorType& InferArgs::input(std::size_t i) const {
  if (!has(i)) fail_model("input {} is missing", i);
  return inputs[i].type;
}

const Tensor& InferArgs::value(std::size_t i) const {
  input(i);
  if (inputs[i].constant == nullptr) {
    fail_unsupported(
        "the result's shape depends on the contents of input {}, which are known only "
        "when the model runs",
        i);
  }
  return *inputs[i].constant;
}

}  // namespace prs
