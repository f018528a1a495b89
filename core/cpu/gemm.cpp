// PLACEHOLDER
#include "cpu/kernel.hpp"
#include "check.hpp"
namespace prs::cpu {
Plan plan_gemm(const Call&, const Isa&) { fail_unsupported("placeholder"); }
Plan plan_matmul(const Call&, const Isa&) { fail_unsupported("placeholder"); }
}
