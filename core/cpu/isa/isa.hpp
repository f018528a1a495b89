// The instruction-set levels that the CPU backend's hot kernels are compiled for, and the choice
// among them at run time.
//
// The sources listed in prs_add_isa_sources() are compiled once per level with that level's
// compiler flags and PRS_ISA set to the level's name; they must keep everything in namespace
// prs::cpu::PRS_ISA (isa/begin.hpp renames Eigen too), or the linker might pick one level's copy of
// an inline function for all. A test looks for such leaks in the object files.
#pragma once

#include <span>
#include <string_view>

namespace prs::cpu {

struct ElementwiseKernels;
struct GemmKernels;
struct LaneKernels;

/// One level and its kernel tables. Immutable.
struct Isa {
  std::string_view
      name;  ///< "portable" (the compiler's baseline), "avx2" (with FMA), "avx512" (F, BW, DQ, VL).
  const ElementwiseKernels& elementwise;
  const GemmKernels& gemm;
  const LaneKernels& lanes;
};

/// The levels that this machine can run, best last; never empty.
std::span<const Isa* const> supported_isas();

/// The level to use: the best supported one, or the one named by the environment variable
/// PRS_CPU_ISA. Throws invalid argument when that names an unknown or unsupported level.
const Isa& selected_isa();

}  // namespace prs::cpu
