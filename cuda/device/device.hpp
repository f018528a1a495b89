// What kernels know of the hardware: the one header that every .cu includes. The same kernel source
// is compiled by nvcc for GPUs and by the host's C++ compiler for the emulation (cuda/emulation/),
// each in an inline world of its own, so that one program can hold both:
//
//   PRS_GLOBAL, PRS_DEVICE, PRS_LAUNCH_BOUNDS(n)    kernels, functions they call;
//                                                   threads of a block[, blocks a multiprocessor]
//   PRS_OUT_OF_LINE                                 functions with registers of their own
//   PRS_GRID_CONSTANT                               before an argument that such functions refer to
//   PRS_UNROLL                                      before a loop whose index picks a register
//   thread_x(), block_x(), block_dim_x(), grid_x()  indices; lane()
//   PRS_SHARED(type, name, count)                   a static shared array, as a Shared<type>
//   dynamic_shared<T>(first_byte, count)            part of the launch's dynamic shared memory
//   dynamic_shared_1024<T>(first_byte, count)       the same, which begins at a multiple of 1024
//   sync_threads(), sync_warp(mask)                 barriers
//   shuffle, shuffle_xor, shuffle_down, ballot, any, all, warp_sum, warp_max
//                                                   collectives of a warp
//   atomic_add, atomic_max, atomic_cas              on global memory
//   load4, store4, load_word, load_words, store_words
//                                                   accesses of 4, 8 and 16 bytes
//   prefetch(p)                                     the line of global memory at p, to L2
//   copy_async<bytes>, commit_copies, wait_copies<n>
//                                                   cp.async and its groups (synchronous before
//                                                   sm_80)
//   load_matrix_x4, load_matrix_x4_transposed       ldmatrix .x4 (sm_75)
//   mma_m16n8k8_tf32, .._m16n8k16_{f16,bf16},       mma.sync (sm_80), fragments as the PTX ISA's
//   .._m16n8k32_{s8s8,u8s8,u8u8}                    "Matrix Fragments for mma" lays them out
//   to_float, to_half, to_bfloat16, to_tf32         conversions, to nearest even (tf32: ties away)
//   float_bits, bits_float                          what a float is stored as, and back
//   {multiply,add,divide}_rounded, round_to_even    one operation of IEEE's, never fused
//   maximum_number, minimum_number                  IEEE's: one that is NaN loses, -0 is below +0
//   to_half_pair, to_bfloat16_pair                  two at once, the first in the low half
//   permute_bytes(a, b, selector)                   prmt: byte i is number selector >> 4 i & 7 of
//                                                   the eight of a and b, a's lowest first
//   fast_exp2, fast_reciprocal                      to 2^-22 of the result; denormals are 0
//
// Collectives and barriers are called by all threads that they name, at one place in the source.
#pragma once

#include "device/types.hpp"

#ifdef __CUDACC__
#define PRS_CUDA_WORLD on_device
#include "device/nvcc.hpp"
#else
#define PRS_CUDA_WORLD emulated
#include "emulation/device.hpp"
#endif

namespace prs::cuda::PRS_CUDA_WORLD {

PRS_DEVICE unsigned lane() { return thread_x() % kWarpSize; }

/// The global index of a thread in a one-dimensional launch, and the number of such threads.
PRS_DEVICE std::int64_t global_thread() {
  return static_cast<std::int64_t>(block_x()) * block_dim_x() + thread_x();
}
PRS_DEVICE std::int64_t global_threads() {
  return static_cast<std::int64_t>(grid_x()) * block_dim_x();
}

/// The sum over all lanes of a full warp, in every lane: a tree whose shape is fixed, so that the
/// result has the same bits every time.
template <typename T>
PRS_DEVICE T warp_sum(T value) {
  for (unsigned step = kWarpSize / 2; step > 0; step /= 2) {
    value += shuffle_xor(kFullMask, value, step);
  }
  return value;
}

/// The largest value of a full warp; NaN is larger than anything.
PRS_DEVICE float warp_max(float value) {
  for (unsigned step = kWarpSize / 2; step > 0; step /= 2) {
    const float other = shuffle_xor(kFullMask, value, step);
    value = other > value || other != other ? other : value;
  }
  return value;
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
