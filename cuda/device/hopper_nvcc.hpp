// hopper.hpp for nvcc: every name is one instruction.
#pragma once

#include "device/device.hpp"

namespace prs::cuda::on_device {

using Barriers = Shared<std::uint64_t>;

PRS_DEVICE void barrier_init(const Barriers& s, int i, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(s.array + i)),
               "r"(arrivals)
               : "memory");
}
PRS_DEVICE void barrier_arrive(const Barriers& s, int i) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(s.array + i))
               : "memory");
}
PRS_DEVICE void barrier_arrive_expecting(const Barriers& s, int i, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(s.array + i)),
      "r"(bytes)
      : "memory");
}
PRS_DEVICE void barrier_wait(const Barriers& s, int i, unsigned parity) {
  const unsigned address = shared_address(s.array + i);
  std::uint32_t ended = 0;
  while (ended == 0) {  // The instruction itself waits, for as long as the hardware sees fit.
    asm volatile(
        "{\n"
        ".reg .pred ended;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n"
        "selp.u32 %0, 1, 0, ended;\n"
        "}"
        : "=r"(ended)
        : "r"(address), "r"(parity)
        : "memory");
  }
}

PRS_DEVICE void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

template <typename T>
PRS_DEVICE void copy_bulk(const Shared<T>& to, int i, const T* from, unsigned bytes,
                          const Barriers& s, int barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to.array + i)),
      "l"(from), "r"(bytes), "r"(shared_address(s.array + barrier))
      : "memory");
}

/// "Matrix descriptor" of wgmma in the PTX ISA: swizzling of 128 bytes, groups of 8 rows 1024 bytes
/// apart; the distance along k means nothing then.
template <typename T>
PRS_DEVICE std::uint64_t matrix_descriptor(const Shared<T>& s, int i) {
  const std::uint64_t start = shared_address(s.array + i) >> 4 & 0x3FFFu;
  return start | std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}

PRS_DEVICE void warpgroup_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
PRS_DEVICE void warpgroup_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
PRS_DEVICE void hold(float& x) { asm volatile("" : "+f"(x)::"memory"); }
PRS_DEVICE void hold(std::int32_t& x) { asm volatile("" : "+r"(x)::"memory"); }
template <typename Sum, int kTiles>
PRS_DEVICE void warpgroup_wait(Sum (&d)[kTiles][4]) {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  // The compiler takes the sums for ready once the product stands; they are from here on.
  PRS_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    PRS_UNROLL
    for (int j = 0; j < 4; ++j) hold(d[i][j]);
  }
}

// The operands of an instruction by number, in tens, and the accumulators of 1, 2, 4 and 8 tiles.
#define PRS_TEN(t)                                                                                 \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t \
  "9, "
#define PRS_TENS_3 PRS_TEN() PRS_TEN(1) PRS_TEN(2)
#define PRS_TENS_6 PRS_TENS_3 PRS_TEN(3) PRS_TEN(4) PRS_TEN(5)
#define PRS_TENS_9 PRS_TENS_6 PRS_TEN(6) PRS_TEN(7) PRS_TEN(8)
#define PRS_D(kind, i) kind(d[i][0]), kind(d[i][1]), kind(d[i][2]), kind(d[i][3])
#define PRS_D2(kind, i) PRS_D(kind, i), PRS_D(kind, i + 1)
#define PRS_D4(kind, i) PRS_D2(kind, i), PRS_D2(kind, i + 2)
#define PRS_D8(kind, i) PRS_D4(kind, i), PRS_D4(kind, i + 4)
#define PRS_D16(kind, i) PRS_D8(kind, i), PRS_D8(kind, i + 8)
#define PRS_NUMBERS_64 PRS_TENS_3 "%30, %31"
#define PRS_NUMBERS_128 PRS_TENS_6 "%60, %61, %62, %63"
#define PRS_NUMBERS_256 \
  PRS_TENS_9 PRS_TEN(9) PRS_TEN(10) PRS_TEN(11) "%120, %121, %122, %123, %124, %125, %126, %127"
// type: of k and the numbers; accumulators: their numbers; rest: those of a and the descriptor;
// scales: that the product is added, and what else the type takes; then the accumulators.
#define PRS_WGMMA(columns, type, accumulators, rest, scales, ...)                    \
  if constexpr (kColumns == columns) {                                               \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #columns type " {" accumulators \
                 "}, " rest scales ";"                                               \
                 : __VA_ARGS__                                                       \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor)       \
                 : "memory");                                                        \
  }
// kind: the constraint of an accumulator.
#define PRS_WGMMAS(type, scales, kind)                                                          \
  PRS_WGMMA(16, type, "%0, %1, %2, %3, %4, %5, %6, %7", "{%8, %9, %10, %11}, %12", scales,      \
            PRS_D2(kind, 0))                                                                    \
  PRS_WGMMA(32, type, PRS_TEN() "%10, %11, %12, %13, %14, %15", "{%16, %17, %18, %19}, %20",    \
            scales, PRS_D4(kind, 0))                                                            \
  PRS_WGMMA(64, type, PRS_NUMBERS_64, "{%32, %33, %34, %35}, %36", scales, PRS_D8(kind, 0))     \
  PRS_WGMMA(128, type, PRS_NUMBERS_128, "{%64, %65, %66, %67}, %68", scales, PRS_D16(kind, 0))  \
  PRS_WGMMA(192, type, PRS_TENS_9 "%90, %91, %92, %93, %94, %95", "{%96, %97, %98, %99}, %100", \
            scales, PRS_D16(kind, 0), PRS_D8(kind, 16))                                         \
  PRS_WGMMA(256, type, PRS_NUMBERS_256, "{%128, %129, %130, %131}, %132", scales,               \
            PRS_D16(kind, 0), PRS_D16(kind, 16))
#define PRS_WGMMAS_F32(type) PRS_WGMMAS("k16.f32." type "." type, ", 1, 1, 1, 0", "+f")

template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k16_bf16(float (&d)[kTiles][4], const FragmentA& a,
                                  std::uint64_t descriptor) {
  static_assert(kColumns <= kTiles * 8, "the accumulators hold all columns");
  PRS_WGMMAS_F32("bf16")
}
template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k16_f16(float (&d)[kTiles][4], const FragmentA& a,
                                 std::uint64_t descriptor) {
  static_assert(kColumns <= kTiles * 8, "the accumulators hold all columns");
  PRS_WGMMAS_F32("f16")
}
template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k32_u8s8(std::int32_t (&d)[kTiles][4], const FragmentA& a,
                                  std::uint64_t descriptor) {
  static_assert(kColumns <= kTiles * 8, "the accumulators hold all columns");
  PRS_WGMMAS("k32.s32.u8.s8", ", 1", "+r")
}

// A in shared memory, as B. ends: what the instruction has behind its operands.
#define PRS_WGMMA_SHARED(columns, shape, ends, accumulators, operands, ...)           \
  if constexpr (kColumns == columns) {                                                \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #columns shape " {" accumulators \
                 "}, " operands ends ";"                                              \
                 : __VA_ARGS__                                                        \
                 : "l"(a), "l"(b)                                                     \
                 : "memory");                                                         \
  }
#define PRS_WGMMAS_SHARED(shape, ends, kind)                                            \
  static_assert(kColumns <= kTiles * 8, "the accumulators hold all columns");           \
  PRS_WGMMA_SHARED(64, shape, ends, PRS_NUMBERS_64, "%32, %33, ", PRS_D8(kind, 0))      \
  PRS_WGMMA_SHARED(128, shape, ends, PRS_NUMBERS_128, "%64, %65, ", PRS_D16(kind, 0))   \
  PRS_WGMMA_SHARED(256, shape, ends, PRS_NUMBERS_256, "%128, %129, ", PRS_D16(kind, 0), \
                   PRS_D16(kind, 16))

template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k16_bf16(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b) {
  PRS_WGMMAS_SHARED("k16.f32.bf16.bf16", "1, 1, 1, 0, 0", "+f")
}
template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k16_f16(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b) {
  PRS_WGMMAS_SHARED("k16.f32.f16.f16", "1, 1, 1, 0, 0", "+f")
}
template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k32_u8s8(std::int32_t (&d)[kTiles][4], std::uint64_t a, std::uint64_t b) {
  PRS_WGMMAS_SHARED("k32.s32.u8.s8", "1", "+r")
}
template <int kColumns, int kTiles>
PRS_DEVICE void wgmma_m64k8_tf32(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b) {
  PRS_WGMMAS_SHARED("k8.f32.tf32.tf32", "1, 1, 1", "+f")
}
#undef PRS_WGMMAS_SHARED
#undef PRS_WGMMA_SHARED
#undef PRS_WGMMAS_F32
#undef PRS_WGMMAS
#undef PRS_WGMMA
#undef PRS_NUMBERS_256
#undef PRS_NUMBERS_128
#undef PRS_NUMBERS_64
#undef PRS_D16
#undef PRS_D8
#undef PRS_D4
#undef PRS_D2
#undef PRS_D
#undef PRS_TENS_9
#undef PRS_TENS_6
#undef PRS_TENS_3
#undef PRS_TEN

}  // namespace prs::cuda::on_device
