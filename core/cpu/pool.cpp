// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_pool(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_global_pool(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
