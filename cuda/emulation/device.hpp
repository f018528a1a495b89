// device.hpp for the emulation: every name does on fibers what CUDA and the PTX ISA document. Needs
// no CUDA header.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "device/types.hpp"
#include "emulation/execution.hpp"
#include "emulation/race_detector.hpp"
#include "prs/tensor.hpp"

#define PRS_GLOBAL
#define PRS_DEVICE inline
#define PRS_OUT_OF_LINE inline
#define PRS_GRID_CONSTANT const
#define PRS_UNROLL
#define PRS_LAUNCH_BOUNDS(...)
// The address of a static variable tells declarations apart, also those of a template's instances.
#define PRS_SHARED(type, name, count)                                   \
  static const char name##_key = 0;                                     \
  const ::prs::cuda::emulated::Shared<type> name {                      \
    static_cast<type*>(::prs::cuda::emulated::static_shared(            \
        &name##_key, static_cast<std::int64_t>(sizeof(type)) * (count), \
        ::prs::cuda::emulated::Source::here())),                        \
        (count)                                                         \
  }

namespace prs::cuda::emulated {

inline unsigned thread_x() { return indices().thread.x; }
inline unsigned thread_y() { return indices().thread.y; }
inline unsigned block_x() { return indices().block.x; }
inline unsigned block_y() { return indices().block.y; }
inline unsigned block_z() { return indices().block.z; }
inline unsigned block_dim_x() { return indices().block_dim.x; }
inline unsigned grid_x() { return indices().grid_dim.x; }
inline unsigned grid_z() { return indices().grid_dim.z; }

inline void sync_threads(Source source = Source::here()) { block_barrier(source); }
inline void sync_warp(std::uint32_t mask = kFullMask, Source source = Source::here()) {
  warp_barrier(mask, source);
}

/// One lane's part of a shuffle. `source` is any number; its lane is taken modulo the warp.
template <typename T>
struct ShufflePayload {
  T value;
  unsigned source;
  T result;

  static void compute(void* const* payloads, std::uint32_t mask) {
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      auto& self = *static_cast<ShufflePayload*>(payloads[lane]);
      const unsigned from = self.source % kWarpSize;
      // Undefined on the hardware when that lane takes no part: a value that shows.
      if ((mask >> from & 1u) == 0) {
        std::memset(&self.result, 0xFF, sizeof self.result);
      } else {
        self.result = static_cast<const ShufflePayload*>(payloads[from])->value;
      }
    }
  }
};

template <typename T>
T shuffle(std::uint32_t mask, T value, unsigned source, Source where = Source::here()) {
  ShufflePayload<T> payload{value, source, {}};
  warp_collective("shuffle", mask, &payload, &ShufflePayload<T>::compute, where);
  return payload.result;
}
template <typename T>
T shuffle_xor(std::uint32_t mask, T value, unsigned lanes, Source where = Source::here()) {
  return shuffle(mask, value, thread_x() % kWarpSize ^ lanes, where);
}
/// Lanes past the end keep their own value.
template <typename T>
T shuffle_down(std::uint32_t mask, T value, unsigned lanes, Source where = Source::here()) {
  const unsigned self = thread_x() % kWarpSize;
  return shuffle(mask, value, self + lanes < kWarpSize ? self + lanes : self, where);
}

struct BallotPayload {
  bool predicate;
  std::uint32_t result;
  static void compute(void* const* payloads, std::uint32_t mask);
};
inline std::uint32_t ballot(std::uint32_t mask, bool predicate, Source where = Source::here()) {
  BallotPayload payload{predicate, 0};
  warp_collective("ballot", mask, &payload, &BallotPayload::compute, where);
  return payload.result;
}
inline bool any(std::uint32_t mask, bool predicate, Source where = Source::here()) {
  return ballot(mask, predicate, where) != 0;
}
inline bool all(std::uint32_t mask, bool predicate, Source where = Source::here()) {
  return ballot(mask, predicate, where) == mask;
}

// Threads of one host thread take turns only where they wait, so these are atomic as they are.
template <typename T>
T atomic_add(T* address, T value) {
  const T old = *address;
  *address = static_cast<T>(old + value);
  return old;
}
template <typename T>
T atomic_max(T* address, T value) {
  const T old = *address;
  if (value > old) *address = value;
  return old;
}
inline unsigned atomic_cas(unsigned* address, unsigned compare, unsigned value) {
  const unsigned old = *address;
  if (old == compare) *address = value;
  return old;
}

inline void require_aligned(const void* p, int bytes, Source where) {
  const auto rest =
      static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p) % static_cast<unsigned>(bytes));
  if (rest != 0)
    fail_access("misaligned vector access: address modulo its size is", rest, 0, where);
}
inline Float4 load4(const float* p, Source where = Source::here()) {
  require_aligned(p, 16, where);
  Float4 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline std::uint32_t load_word(const std::uint8_t* p, Source where = Source::here()) {
  require_aligned(p, 4, where);
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
inline void store4(float* p, const Float4& v, Source where = Source::here()) {
  require_aligned(p, 16, where);
  std::memcpy(p, &v, sizeof v);
}

inline void prefetch(const void*) {}

/// An array in shared memory; every access is checked for bounds and races.
template <typename T>
struct Shared {
  T* array;
  int count;

  T load(int i, Source where = Source::here()) const {
    touch(Touch::kRead, i, 1, where);
    return array[i];
  }
  void store(int i, T value, Source where = Source::here()) const {
    touch(Touch::kWrite, i, 1, where);
    array[i] = value;
  }
  T add(int i, T value, Source where = Source::here()) const {
    touch(Touch::kAtomic, i, 1, where);
    return atomic_add(array + i, value);
  }
  /// Of elements [i, i + n), all inside.
  T* address(int i, int n, Source where = Source::here()) const {
    if (i < 0 || i > count - n) fail_access("shared array index", i, count, where);
    return array + i;
  }

 private:
  void touch(Touch kind, int i, int n, Source where) const {
    touch_shared(kind, address(i, n, where), static_cast<std::int64_t>(sizeof(T)) * n, where);
  }
};
inline Float4 load4(const Shared<float>& s, int i, Source where = Source::here()) {
  const float* p = s.address(i, 4, where);
  touch_shared(Touch::kRead, p, 16, where);
  return load4(p, where);
}
inline void store4(const Shared<float>& s, int i, const Float4& v, Source where = Source::here()) {
  float* p = s.address(i, 4, where);
  touch_shared(Touch::kWrite, p, 16, where);
  store4(p, v, where);
}

template <int kCount>
void load_words(const std::uint32_t* p, std::uint32_t (&r)[kCount], Source where = Source::here()) {
  static_assert(kCount == 2 || kCount == 4, "8 or 16 bytes");
  require_aligned(p, sizeof r, where);
  std::memcpy(r, p, sizeof r);
}
template <int kCount>
void load_words(const Shared<std::uint32_t>& s, int i, std::uint32_t (&r)[kCount],
                Source where = Source::here()) {
  const std::uint32_t* p = s.address(i, kCount, where);
  touch_shared(Touch::kRead, p, sizeof r, where);
  load_words(p, r, where);
}
inline void store_words(const Shared<std::uint32_t>& s, int i, const std::uint32_t (&r)[4],
                        Source where = Source::here()) {
  std::uint32_t* p = s.address(i, 4, where);
  touch_shared(Touch::kWrite, p, sizeof r, where);
  require_aligned(p, sizeof r, where);
  std::memcpy(p, r, sizeof r);
}

template <typename T>
Shared<T> dynamic_shared(int first_byte, int count, Source where = Source::here()) {
  const auto bytes = static_cast<std::int64_t>(sizeof(T)) * count;
  return {static_cast<T*>(dynamic_shared_bytes(first_byte, bytes, where)), count};
}

/// The emulation's dynamic shared memory begins at a multiple of 1024 anyway.
template <typename T>
Shared<T> dynamic_shared_1024(int first_byte, int count, Source where = Source::here()) {
  return dynamic_shared<T>(first_byte, count, where);
}

template <int kBytes, typename T>
void copy_async(const Shared<T>& to, int i, const T* from, Source where = Source::here()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp.async moves 4, 8 or 16 bytes");
  T* address = to.address(i, kBytes / static_cast<int>(sizeof(T)), where);
  require_aligned(address, kBytes, where);
  require_aligned(from, kBytes, where);
  copy_later(address, from, kBytes, where);
}
inline void commit_copies() { commit_later(); }
template <int kPending>
void wait_copies() {
  wait_later(kPending);
}

// ---- matrix instructions (emulation/matrix.cpp) -------------------------------------------------

/// `row`: the address that this lane gives, of 16 bytes.
void load_matrix(std::uint32_t (&r)[4], const void* row, bool transposed, Source where);

template <typename T>
void load_matrix_x4(std::uint32_t (&r)[4], const Shared<T>& s, int i,
                    Source where = Source::here()) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4, "a register holds two elements, or one");
  load_matrix(r, s.address(i, 16 / static_cast<int>(sizeof(T)), where), false, where);
}
template <typename T>
void load_matrix_x4_transposed(std::uint32_t (&r)[4], const Shared<T>& s, int i,
                               Source where = Source::here()) {
  static_assert(sizeof(T) == 2, "ldmatrix moves 16-bit elements");
  load_matrix(r, s.address(i, 8, where), true, where);
}

using FragmentA = std::uint32_t[4];
using FragmentB = std::uint32_t[2];
void mma_m16n8k16_f16(float (&d)[4], const FragmentA& a, const FragmentB& b,
                      Source where = Source::here());
void mma_m16n8k16_bf16(float (&d)[4], const FragmentA& a, const FragmentB& b,
                       Source where = Source::here());
void mma_m16n8k8_tf32(float (&d)[4], const FragmentA& a, const FragmentB& b,
                      Source where = Source::here());
void mma_m16n8k32_s8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b,
                       Source where = Source::here());
void mma_m16n8k32_u8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b,
                       Source where = Source::here());
void mma_m16n8k32_u8u8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b,
                       Source where = Source::here());

// Each its own statement, which no compiler fuses with another.
inline float multiply_rounded(float a, float b) {
  volatile float product = a * b;
  return product;
}
inline float add_rounded(float a, float b) {
  volatile float sum = a + b;
  return sum;
}
inline float divide_rounded(float a, float b) { return a / b; }
inline float maximum_number(float a, float b) {
  if (a == b) return std::signbit(a) ? b : a;
  return a > b || b != b ? a : b;
}
inline float minimum_number(float a, float b) {
  if (a == b) return std::signbit(a) ? a : b;
  return a < b || b != b ? a : b;
}
inline float round_to_even(float x) { return std::nearbyintf(x); }

inline float to_float(Half x) { return half_to_float(x.bits); }
inline float to_float(BFloat16 x) { return bfloat16_to_float(x.bits); }
inline Half to_half(float x) { return {float_to_half(x)}; }
inline BFloat16 to_bfloat16(float x) { return {float_to_bfloat16(x)}; }
inline std::uint32_t to_half_pair(float low, float high) {
  return float_to_half(low) | std::uint32_t{float_to_half(high)} << 16;
}
inline std::uint32_t to_bfloat16_pair(float low, float high) {
  return float_to_bfloat16(low) | std::uint32_t{float_to_bfloat16(high)} << 16;
}
inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  const std::uint64_t bytes = a | static_cast<std::uint64_t>(b) << 32;
  std::uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const auto byte = static_cast<std::uint32_t>(bytes >> (8 * (selector >> (4 * i) & 7u)) & 0xFFu);
    result |= byte << (8 * i);
  }
  return result;
}
inline float fast_exp2(float x) { return std::exp2(x); }
inline float fast_reciprocal(float x) { return 1.0F / x; }
inline std::uint32_t float_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float bits_float(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
/// cvt.rna: to 10 stored bits of mantissa, ties away from zero.
inline std::uint32_t to_tf32(float x) {
  const std::uint32_t bits = float_bits(x);
  const bool finite = (bits & 0x7F800000u) != 0x7F800000u;
  return (finite ? bits + 0x1000u : bits) & ~0x1FFFu;
}

}  // namespace prs::cuda::emulated
