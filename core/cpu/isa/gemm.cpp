// PLACEHOLDER
#include "cpu/isa/begin.hpp"

#include "cpu/isa/gemm.hpp"
namespace prs::cpu::PRS_ISA {
extern const GemmKernels kGemm;
const GemmKernels kGemm{0};
}
