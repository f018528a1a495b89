// device.hpp for nvcc: every name is one instruction or intrinsic.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "device/types.hpp"

#define PRS_GLOBAL __global__
#define PRS_DEVICE __device__ __forceinline__
#define PRS_OUT_OF_LINE __device__ __noinline__
#define PRS_GRID_CONSTANT const __grid_constant__
#define PRS_UNROLL _Pragma("unroll")
#define PRS_LAUNCH_BOUNDS(...) __launch_bounds__(__VA_ARGS__)
#define PRS_SHARED(type, name, count)                \
  __shared__ __align__(16) type name##_array[count]; \
  const ::prs::cuda::on_device::Shared<type> name { name##_array }

namespace prs::cuda::on_device {

PRS_DEVICE unsigned thread_x() { return threadIdx.x; }
PRS_DEVICE unsigned thread_y() { return threadIdx.y; }
PRS_DEVICE unsigned block_x() { return blockIdx.x; }
PRS_DEVICE unsigned block_y() { return blockIdx.y; }
PRS_DEVICE unsigned block_z() { return blockIdx.z; }
PRS_DEVICE unsigned block_dim_x() { return blockDim.x; }
PRS_DEVICE unsigned grid_x() { return gridDim.x; }
PRS_DEVICE unsigned grid_z() { return gridDim.z; }

PRS_DEVICE void sync_threads() { __syncthreads(); }
PRS_DEVICE void sync_warp(std::uint32_t mask = kFullMask) { __syncwarp(mask); }

template <typename T>
PRS_DEVICE T shuffle(std::uint32_t mask, T value, unsigned source) {
  return __shfl_sync(mask, value, static_cast<int>(source));
}
template <typename T>
PRS_DEVICE T shuffle_xor(std::uint32_t mask, T value, unsigned lanes) {
  return __shfl_xor_sync(mask, value, static_cast<int>(lanes));
}
template <typename T>
PRS_DEVICE T shuffle_down(std::uint32_t mask, T value, unsigned lanes) {
  return __shfl_down_sync(mask, value, lanes);
}
PRS_DEVICE std::uint32_t ballot(std::uint32_t mask, bool predicate) {
  return __ballot_sync(mask, predicate);
}
PRS_DEVICE bool any(std::uint32_t mask, bool predicate) { return __any_sync(mask, predicate) != 0; }
PRS_DEVICE bool all(std::uint32_t mask, bool predicate) { return __all_sync(mask, predicate) != 0; }

template <typename T>
PRS_DEVICE T atomic_add(T* address, T value) {
  return atomicAdd(address, value);
}
template <typename T>
PRS_DEVICE T atomic_max(T* address, T value) {
  return atomicMax(address, value);
}
PRS_DEVICE unsigned atomic_cas(unsigned* address, unsigned compare, unsigned value) {
  return atomicCAS(address, compare, value);
}

PRS_DEVICE Float4 load4(const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {v.x, v.y, v.z, v.w};
}
PRS_DEVICE std::uint32_t load_word(const std::uint8_t* p) {
  return *reinterpret_cast<const std::uint32_t*>(p);
}
PRS_DEVICE void store4(float* p, const Float4& v) {
  *reinterpret_cast<float4*>(p) = make_float4(v.x, v.y, v.z, v.w);
}

PRS_DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

/// An array in shared memory. Under nvcc no more than its address.
template <typename T>
struct Shared {
  T* array;

  PRS_DEVICE T load(int i) const { return array[i]; }
  PRS_DEVICE void store(int i, T value) const { array[i] = value; }
  PRS_DEVICE T add(int i, T value) const { return atomicAdd(array + i, value); }
  PRS_DEVICE T* address(int i, int) const { return array + i; }
};
PRS_DEVICE Float4 load4(const Shared<float>& s, int i) { return load4(s.array + i); }
PRS_DEVICE void store4(const Shared<float>& s, int i, const Float4& v) { store4(s.array + i, v); }

PRS_DEVICE void load_words(const std::uint32_t* p, std::uint32_t (&r)[4]) {
  const uint4 v = *reinterpret_cast<const uint4*>(p);
  r[0] = v.x;
  r[1] = v.y;
  r[2] = v.z;
  r[3] = v.w;
}
PRS_DEVICE void load_words(const std::uint32_t* p, std::uint32_t (&r)[2]) {
  const uint2 v = *reinterpret_cast<const uint2*>(p);
  r[0] = v.x;
  r[1] = v.y;
}
template <int kCount>
PRS_DEVICE void load_words(const Shared<std::uint32_t>& s, int i, std::uint32_t (&r)[kCount]) {
  load_words(s.array + i, r);
}
PRS_DEVICE void store_words(const Shared<std::uint32_t>& s, int i, const std::uint32_t (&r)[4]) {
  *reinterpret_cast<uint4*>(s.array + i) = make_uint4(r[0], r[1], r[2], r[3]);
}

template <typename T>
PRS_DEVICE Shared<T> dynamic_shared(int first_byte, int) {
  extern __shared__ __align__(16) unsigned char prs_dynamic_shared[];
  return {reinterpret_cast<T*>(prs_dynamic_shared + first_byte)};
}

/// The same, at a multiple of 1024 bytes of shared memory; of a launch without static arrays.
template <typename T>
PRS_DEVICE Shared<T> dynamic_shared_1024(int first_byte, int) {
  extern __shared__ __align__(1024) unsigned char prs_dynamic_shared_1024[];
  return {reinterpret_cast<T*>(prs_dynamic_shared_1024 + first_byte)};
}

PRS_DEVICE unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

template <int kBytes, typename T>
PRS_DEVICE void copy_async(const Shared<T>& to, int i, const T* from) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp.async moves 4, 8 or 16 bytes");
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(to.array + i)),
               "l"(from), "n"(kBytes)
               : "memory");
#else
  for (int k = 0; k < kBytes / static_cast<int>(sizeof(T)); ++k) to.array[i + k] = from[k];
#endif
}
PRS_DEVICE void commit_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int kPending>
PRS_DEVICE void wait_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

template <typename T>
PRS_DEVICE void load_matrix_x4(std::uint32_t (&r)[4], const Shared<T>& s, int i) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4, "a register holds two elements, or one");
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s.array + i))
               : "memory");
}
template <typename T>
PRS_DEVICE void load_matrix_x4_transposed(std::uint32_t (&r)[4], const Shared<T>& s, int i) {
  static_assert(sizeof(T) == 2, "ldmatrix moves 16-bit elements");
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(s.array + i))
               : "memory");
}

// Plans take these from compute capability 8.0 on; before it, the instruction does not exist.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define PRS_MMA(instruction, type, d, a, b)                                       \
  asm volatile("mma.sync.aligned." instruction                                    \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+" type(d[0]), "+" type(d[1]), "+" type(d[2]), "+" type(d[3])   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
#define PRS_MMA(instruction, type, d, a, b) __trap()
#endif
using FragmentA = std::uint32_t[4];
using FragmentB = std::uint32_t[2];
PRS_DEVICE void mma_m16n8k16_f16(float (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k16.row.col.f32.f16.f16.f32", "f", d, a, b);
}
PRS_DEVICE void mma_m16n8k16_bf16(float (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k16.row.col.f32.bf16.bf16.f32", "f", d, a, b);
}
PRS_DEVICE void mma_m16n8k8_tf32(float (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k8.row.col.f32.tf32.tf32.f32", "f", d, a, b);
}
PRS_DEVICE void mma_m16n8k32_s8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k32.row.col.s32.s8.s8.s32", "r", d, a, b);
}
PRS_DEVICE void mma_m16n8k32_u8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k32.row.col.s32.u8.s8.s32", "r", d, a, b);
}
PRS_DEVICE void mma_m16n8k32_u8u8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b) {
  PRS_MMA("m16n8k32.row.col.s32.u8.u8.s32", "r", d, a, b);
}
#undef PRS_MMA

// One operation each, whatever stands around them: nvcc makes none of two, and rounds as IEEE has
// it.
PRS_DEVICE float multiply_rounded(float a, float b) { return __fmul_rn(a, b); }
PRS_DEVICE float add_rounded(float a, float b) { return __fadd_rn(a, b); }
PRS_DEVICE float divide_rounded(float a, float b) { return __fdiv_rn(a, b); }
PRS_DEVICE float maximum_number(float a, float b) { return fmaxf(a, b); }
PRS_DEVICE float minimum_number(float a, float b) { return fminf(a, b); }
/// To the nearest integer, ties to even.
PRS_DEVICE float round_to_even(float x) { return rintf(x); }

PRS_DEVICE float to_float(Half x) { return __half2float(__ushort_as_half(x.bits)); }
PRS_DEVICE float to_float(BFloat16 x) {
  return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
}
PRS_DEVICE Half to_half(float x) { return {__half_as_ushort(__float2half_rn(x))}; }
// CUDA 11.8 has __bfloat16_as_ushort from sm_80 on only.
PRS_DEVICE BFloat16 to_bfloat16(float x) {
  return {static_cast<__nv_bfloat16_raw>(__float2bfloat16_rn(x)).x};
}
PRS_DEVICE std::uint32_t to_half_pair(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return __half_as_ushort(pair.x) | static_cast<std::uint32_t>(__half_as_ushort(pair.y)) << 16;
}
PRS_DEVICE std::uint32_t to_bfloat16_pair(float low, float high) {
  const __nv_bfloat162_raw pair = __floats2bfloat162_rn(low, high);
  return pair.x | static_cast<std::uint32_t>(pair.y) << 16;
}
PRS_DEVICE std::uint32_t to_tf32(float x) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  return __float_as_uint(x);
#endif
}
PRS_DEVICE std::uint32_t float_bits(float x) { return __float_as_uint(x); }
PRS_DEVICE float bits_float(std::uint32_t x) { return __uint_as_float(x); }
PRS_DEVICE std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}
PRS_DEVICE float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
PRS_DEVICE float fast_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace prs::cuda::on_device
