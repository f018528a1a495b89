// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_conv(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
