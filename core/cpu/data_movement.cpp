// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_transpose(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_concat(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_gather(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_slice(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_pad(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_cast(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
