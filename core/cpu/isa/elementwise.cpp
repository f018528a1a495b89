// PLACEHOLDER
#include "cpu/isa/begin.hpp"

#include "cpu/isa/elementwise.hpp"
namespace prs::cpu::PRS_ISA {
extern const ElementwiseKernels kElementwise;
const ElementwiseKernels kElementwise{0};
}
