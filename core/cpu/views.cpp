// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_reshape(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_flatten(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_squeeze(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_unsqueeze(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_identity(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_constant(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_constant_of_shape(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_shape(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
