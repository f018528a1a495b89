// Transposition in registers: between images in a row and images in lanes.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/vec.hpp"

namespace prs::cpu::PRS_ISA {

PRS_INLINE Vec zip(Vec a, Vec b, bool high) { return high ? zip_high(a, b) : zip_low(a, b); }

/// 16 pixels of one image, and what zips them.
using Pixels = std::uint8_t __attribute__((vector_size(16)));
using LoosePixels __attribute__((vector_size(16), aligned(1), may_alias)) = std::uint8_t;

PRS_INLINE Pixels zip(Pixels a, Pixels b, bool high) {
  return high ? __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                        15, 31)
              : __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                        23);
}

/// Rows, one an image, become columns, one after the other. Each round moves one bit of an
/// element's row number behind the bits of its column number.
template <typename Row>
PRS_INLINE void transpose(Row (&rows)[kLanes]) {
  Row other[kLanes];
  PRS_UNROLL for (int bit = 1; bit < kLanes; bit *= 2) {
    PRS_UNROLL for (int i = 0; i < kLanes; ++i) {
      other[i] = zip(rows[i / 2], rows[i / 2 + kLanes / 2], i % 2 == 1);
    }
    PRS_UNROLL for (int i = 0; i < kLanes; ++i) rows[i] = other[i];
  }
}

}  // namespace prs::cpu::PRS_ISA
