// Words of four 8-bit integers in registers: products, and the way from sums to bytes.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp, that are compiled without
// contraction to fused operations: all levels are to round alike.
#pragma once

#include <cstdint>

#include "cpu/isa/words.hpp"

namespace prs::cpu::PRS_ISA {

/// f32 from here on have no fraction, so that adding it rounds to nearest even and leaves the
/// integer in the low bits, for magnitudes below 2^22.
inline constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23

PRS_INLINE IntVec round_to_int(Vec x) {
  return reinterpret_cast<IntVec>(x + broadcast(kRounder)) -
         reinterpret_cast<IntVec>(broadcast(kRounder));
}

/// min(max(x, low), high); NaN becomes low.
PRS_INLINE Vec clamp(Vec x, float low, float high) {
  const Vec raised = x > broadcast(low) ? x : broadcast(low);
  return raised < broadcast(high) ? raised : broadcast(high);
}

/// The lowest byte of each lane. (Compilers convert to and from vectors of bytes by detours.)
PRS_INLINE ByteVec lowest_bytes(IntVec values) {
#if defined(__AVX512F__)
  return reinterpret_cast<ByteVec>(_mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(values)));
#else
  return __builtin_convertvector(reinterpret_cast<UintVec>(values), ByteVec);
#endif
}

PRS_INLINE void store_bytes(std::uint8_t* to, IntVec values, std::int64_t lanes) {
  const ByteVec bytes = lowest_bytes(values);
  if (lanes == kLanes) {
    __builtin_memcpy(to, &bytes, sizeof(bytes));
    return;
  }
#if defined(__AVX512BW__)
  _mm_mask_storeu_epi8(to, lane_mask(lanes), reinterpret_cast<__m128i>(bytes));
#else
  for (int i = 0; i < kLanes - 1; ++i) {
    if (i < lanes) to[i] = bytes[i];
  }
#endif
}

/// sum[i] += the four products of the bytes of u[i] (unsigned) and s[i] (signed).
PRS_INLINE void add_products(IntVec& sum, Vec u, Vec s) {
#if defined(__AVX512VNNI__)
  sum = reinterpret_cast<IntVec>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(u), reinterpret_cast<__m512i>(s)));
#elif defined(__AVX512BW__)
  // As 16-bit numbers, whose products of pairs cannot saturate.
  const auto x = reinterpret_cast<__m512i>(u);
  const auto w = reinterpret_cast<__m512i>(s);
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(x, _mm512_set1_epi16(0xFF)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(x, 8), _mm512_srai_epi16(w, 8));
  sum += reinterpret_cast<IntVec>(even) + reinterpret_cast<IntVec>(odd);
#elif defined(__AVX2__)
  const auto x = reinterpret_cast<__m256i>(u);
  const auto w = reinterpret_cast<__m256i>(s);
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0xFF)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
  sum += reinterpret_cast<IntVec>(even) + reinterpret_cast<IntVec>(odd);
#else
  const auto x = reinterpret_cast<UintVec>(u);
  const auto w = reinterpret_cast<UintVec>(s);
  PRS_UNROLL for (int i = 0; i < 4; ++i) {
    const IntVec unsigned_byte = reinterpret_cast<IntVec>((x >> (8 * i)) & 0xFFU);
    const IntVec signed_byte = reinterpret_cast<IntVec>(w << (24 - 8 * i)) >> 24;
    sum += unsigned_byte * signed_byte;
  }
#endif
}

/// kLanes bytes as words.
PRS_INLINE UintVec load_byte_words(const std::uint8_t* from) {
#if defined(__AVX512F__)
  return reinterpret_cast<UintVec>(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
  return reinterpret_cast<UintVec>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
  ByteVec bytes;
  __builtin_memcpy(&bytes, from, sizeof(bytes));
  return __builtin_convertvector(bytes, UintVec);
#endif
}

}  // namespace prs::cpu::PRS_ISA
