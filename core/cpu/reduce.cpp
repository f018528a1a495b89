// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_reduce(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_arg_max(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
