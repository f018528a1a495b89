#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.hpp"
#include "cpu/isa/bf16.hpp"
#include "cpu/isa/byte_lanes.hpp"
#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/gemm.hpp"
#include "cpu/isa/int8.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"

namespace prs::cpu {

/// A level, whose f32 kernels are those of level `f32`.
#define PRS_DECLARE_ISA(level, f32)                                         \
  namespace f32 {                                                           \
  extern const ElementwiseKernels kElementwise;                             \
  extern const GemmKernels kGemm;                                           \
  extern const LaneKernels kLaneKernels;                                    \
  }                                                                         \
  namespace level {                                                         \
  extern const Bf16Kernels kBf16;                                           \
  extern const Int8Kernels kInt8;                                           \
  extern const ByteLaneKernels kByteLanes;                                  \
  }                                                                         \
  static const Isa kIsa_##level{                                            \
      #level,       f32::kElementwise, f32::kGemm,       f32::kLaneKernels, \
      level::kBf16, level::kInt8,      level::kByteLanes};

PRS_DECLARE_ISA(portable, portable)
#ifdef PRS_ISA_X86_LEVELS
PRS_DECLARE_ISA(avx2, avx2)
PRS_DECLARE_ISA(avx512, avx512)
PRS_DECLARE_ISA(avx512_bf16, avx512)
#endif

namespace {

std::vector<const Isa*> detect() {
  std::vector<const Isa*> isas{&kIsa_portable};
#ifdef PRS_ISA_X86_LEVELS
  // The features that the compiler flags of prs_add_isa_sources() allow it to use.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    isas.push_back(&kIsa_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      isas.push_back(&kIsa_avx512);
      if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")) {
        isas.push_back(&kIsa_avx512_bf16);
      }
    }
  }
#endif
  return isas;
}

const Isa& select() {
  const std::span<const Isa* const> isas = supported_isas();
  const char* wanted = std::getenv("PRS_CPU_ISA");
  if (wanted == nullptr || *wanted == '\0') return *isas.back();
  std::string names;
  for (const Isa* isa : isas) {
    if (isa->name == wanted) return *isa;
    names += (names.empty() ? "" : ", ") + std::string(isa->name);
  }
  fail_argument("PRS_CPU_ISA={}: this machine and build support {}", wanted, names);
}

}  // namespace

std::span<const Isa* const> supported_isas() {
  static const std::vector<const Isa*> isas = detect();
  return isas;
}

const Isa& selected_isa() {
  static const Isa& isa = select();
  return isa;
}

}  // namespace prs::cpu
