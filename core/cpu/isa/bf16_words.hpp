// Words of two bf16 in registers.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/tile.hpp"
#include "cpu/isa/words.hpp"

namespace prs::cpu::PRS_ISA {

/// Products of bf16 in pairs, added up in f32.
struct Bf16 : FloatSums {
  using Element = std::uint32_t;
  static constexpr bool kHasWideRow = false;

  PRS_INLINE static Vec spread(std::uint32_t word) { return spread_word(word); }
  PRS_INLINE static void add_product(Vec& sum, Vec a, Vec b) {
#if defined(__AVX512BF16__)
    sum = reinterpret_cast<Vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                 reinterpret_cast<__m512bh>(a),
                                                 reinterpret_cast<__m512bh>(b)));
#else
    sum += low(a) * low(b);
    sum += high(a) * high(b);
#endif
  }

 private:
  PRS_INLINE static Vec low(Vec words) {
    return reinterpret_cast<Vec>(reinterpret_cast<UintVec>(words) << 16);
  }
  PRS_INLINE static Vec high(Vec words) {
    return reinterpret_cast<Vec>(reinterpret_cast<UintVec>(words) & 0xFFFF0000U);
  }
};

/// The bits of kLanes bf16, as round_bits() gives them one by one.
PRS_INLINE UintVec round_lanes(const float* from) {
  const UintVec bits = reinterpret_cast<UintVec>(load(from));
  const UintVec rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const UintVec nan = (bits >> 16) | 0x40U;
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded;
}
PRS_INLINE UintVec round_lanes(const std::uint8_t* from) {
  return reinterpret_cast<UintVec>(load_bytes(from)) >> 16;
}

}  // namespace prs::cpu::PRS_ISA
