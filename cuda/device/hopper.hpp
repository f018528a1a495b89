// What kernels of compute capability 9.0 alone know besides device.hpp: barriers that count what
// arrives (mbarrier), copies of many bytes that one thread starts (cp.async.bulk), products of a
// warpgroup (wgmma). Their .cu is compiled for sm_90a and nothing else, and for the emulation.
//
// Barriers are 64-bit words of shared memory. A phase of one ends when all arrivals that it was
// initialised with and all bytes that it was told to expect have come; then the next begins.
//
//   barrier_init(s, i, arrivals)           by one thread; then fence_async() and sync_threads()
//   barrier_arrive(s, i)                   orders what the thread did before what waiters do after
//   barrier_arrive_expecting(s, i, bytes)  the same, and the phase takes `bytes` of copies more
//   barrier_wait(s, i, parity)             until the phase of that parity (0, 1, 0, ..) has ended
//   fence_async()                          before the copies and products that read or write what
//                                          this thread wrote to shared memory by ordinary stores
//   copy_bulk(to, i, from, bytes, s, b)    bytes: a multiple of 16, as are both addresses; they
//                                          count for barrier b of s
//   matrix_descriptor(s, i)                an operand of a product: rows of A, or columns of B,
//                                          along k as rows of 128 bytes at a multiple of 1024
//                                          bytes, whose 16-byte chunk c of row n lies at c ^ n % 8;
//                                          from element i on
//   warpgroup_fence()                      before the first product, and whenever registers that
//                                          one takes were written since the last wait
//   wgmma_m64k16_{bf16,f16}<columns>(d, a, descriptor)
//                                          d += a * B, as m16n8k16 has the fragments, warp w of
//                                          the four with rows 16 w on; under way when it returns
//   wgmma_m64k32_u8s8<columns>(d, a, descriptor)
//                                          the same as m16n8k32 of bytes, sums wrap
//   these with a descriptor for a, and wgmma_m64k8_tf32<columns>(d, descriptor, descriptor)
//                                          64 rows of A in shared memory
//   warpgroup_commit(), warpgroup_wait(d)  products so far form a group; until all of them are done
#pragma once

#include "device/device.hpp"

#ifdef __CUDACC__
#include "device/hopper_nvcc.hpp"
#else
#include "emulation/hopper.hpp"
#endif
