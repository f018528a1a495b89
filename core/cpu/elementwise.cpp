// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_binary(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_variadic(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_unary(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_clip(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_batch_norm(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_normalize(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
