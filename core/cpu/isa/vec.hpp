// One SIMD register of f32 as GCC's vector extension gives it, and what that extension lacks.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

// Arrays of vectors live in registers only when the loops over them are unrolled.
#if defined(__clang__)
#define PRS_UNROLL _Pragma("unroll")
#else
#define PRS_UNROLL _Pragma("GCC unroll 16")
#endif
#define PRS_INLINE [[gnu::always_inline]] inline

namespace prs::cpu::PRS_ISA {

// Not std::min and std::max: what they are compiled to could serve other levels.
constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * 4)));
/// The same at any address; may alias anything.
/// (The attributes stand before "=": after it, clang ignores the alignment.)
using LooseVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias)) = float;
static_assert(alignof(LooseVec) == 4);

PRS_INLINE Vec load(const float* p) { return *reinterpret_cast<const LooseVec*>(p); }
PRS_INLINE void store(float* p, Vec x) { *reinterpret_cast<LooseVec*>(p) = x; }
/// kLanes bytes as f32. (Compilers convert vectors of bytes lane by lane.)
PRS_INLINE Vec load_bytes(const std::uint8_t* p) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return reinterpret_cast<Vec>(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)));
#elif defined(__AVX2__)
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return reinterpret_cast<Vec>(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
#else
  Vec x;
  for (int i = 0; i < kLanes; ++i) x[i] = p[i];
  return x;
#endif
}
PRS_INLINE Vec broadcast(float x) { return x - Vec{}; }

/// a * b + c, rounded once where the level has FMA. For sums of several products, of which
/// compilers are free to choose the one that they fuse.
PRS_INLINE Vec multiply_add(float a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(
      _mm512_fmadd_ps(_mm512_set1_ps(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__AVX2__)
  return reinterpret_cast<Vec>(
      _mm256_fmadd_ps(_mm256_set1_ps(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}

/// The first `count` lanes, 0 <= count < kLanes; the memory of the others is not touched, and what
/// is loaded has the lanes of `rest` there.
PRS_INLINE Vec load_lanes(const float* p, std::int64_t count, Vec rest = Vec{});
PRS_INLINE void store_lanes(float* p, Vec x, std::int64_t count);

#if defined(__AVX512F__)
PRS_INLINE __mmask16 lane_mask(std::int64_t count) {
  return static_cast<__mmask16>((1U << count) - 1U);
}
PRS_INLINE Vec load_lanes(const float* p, std::int64_t count, Vec rest) {
  return reinterpret_cast<Vec>(
      _mm512_mask_loadu_ps(reinterpret_cast<__m512>(rest), lane_mask(count), p));
}
PRS_INLINE void store_lanes(float* p, Vec x, std::int64_t count) {
  _mm512_mask_storeu_ps(p, lane_mask(count), reinterpret_cast<__m512>(x));
}
#elif defined(__AVX2__)
PRS_INLINE __m256i lane_mask(std::int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
PRS_INLINE Vec load_lanes(const float* p, std::int64_t count, Vec rest) {
  const __m256i mask = lane_mask(count);
  return reinterpret_cast<Vec>(_mm256_blendv_ps(
      reinterpret_cast<__m256>(rest), _mm256_maskload_ps(p, mask), reinterpret_cast<__m256>(mask)));
}
PRS_INLINE void store_lanes(float* p, Vec x, std::int64_t count) {
  _mm256_maskstore_ps(p, lane_mask(count), reinterpret_cast<__m256>(x));
}
#else
PRS_INLINE Vec load_lanes(const float* p, std::int64_t count, Vec rest) {
  Vec x = rest;
  for (int i = 0; i < kLanes - 1; ++i) {
    if (i < count) x[i] = p[i];
  }
  return x;
}
PRS_INLINE void store_lanes(float* p, Vec x, std::int64_t count) {
  for (int i = 0; i < kLanes - 1; ++i) {
    if (i < count) p[i] = x[i];
  }
}
#endif

/// The even lanes, or the odd lanes, of two neighbouring registers.
#if defined(__AVX512F__)
PRS_INLINE Vec even_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
PRS_INLINE Vec odd_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
#elif defined(__AVX__)
PRS_INLINE Vec even_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
PRS_INLINE Vec odd_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}
#else
PRS_INLINE Vec even_lanes(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
PRS_INLINE Vec odd_lanes(Vec a, Vec b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7); }
#endif

/// The lower, or the upper, halves of two registers, lane by lane in turn.
#if defined(__AVX512F__)
PRS_INLINE Vec zip_low(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
PRS_INLINE Vec zip_high(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}
#elif defined(__AVX__)
PRS_INLINE Vec zip_low(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
PRS_INLINE Vec zip_high(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
#else
PRS_INLINE Vec zip_low(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
PRS_INLINE Vec zip_high(Vec a, Vec b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif

/// The larger lanes. NaN wins against everything, whichever side it comes from.
PRS_INLINE Vec larger_or_nan(Vec best, Vec x) { return ((x > best) | (x != x)) ? x : best; }

/// to[0, count) = from[0, count); the ranges must not overlap.
PRS_INLINE void copy(const float* from, float* to, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  if (i < count) store_lanes(to + i, load_lanes(from + i, count - i), count - i);
}

}  // namespace prs::cpu::PRS_ISA
