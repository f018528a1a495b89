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

struct Bf16Kernels;
struct ByteLaneKernels;
struct ElementwiseKernels;
struct GemmKernels;
struct Int8Kernels;
struct LaneKernels;

/// One level and its kernel tables. Immutable.
struct Isa {
  /// "portable" (the compiler's baseline), "avx2" (with FMA), "avx512" (F, BW, DQ, VL),
  /// "avx512_bf16" (also BF16 and VNNI: only what uses them is compiled for it).
  std::string_view name;
  const ElementwiseKernels& elementwise;
  const GemmKernels& gemm;
  const LaneKernels& lanes;
  const Bf16Kernels& bf16;
  const Int8Kernels& int8;
  const ByteLaneKernels& byte_lanes;
};

/// The levels that this machine can run, best last; never empty.
std::span<const Isa* const> supported_isas();

/// The level to use: the best supported one, or the one named by the environment variable
/// PRS_CPU_ISA. Throws invalid argument when that names an unknown or unsupported level.
const Isa& selected_isa();

}  // namespace prs::cpu
