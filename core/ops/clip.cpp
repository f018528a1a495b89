// PLACEHOLDER
#include "check.hpp"
#include "ops/op.hpp"
namespace prs::ops::clip {
Params parse(const ParseArgs&) { fail_unsupported("placeholder"); }
void infer(const InferArgs&, std::span<TensorType>) { fail_unsupported("placeholder"); }
void reference(const ReferenceArgs&) { fail_unsupported("placeholder"); }
}  // namespace prs::ops::clip
