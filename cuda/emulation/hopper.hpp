// hopper.hpp for the emulation. Copies happen as late as may be, products when they are waited for:
// who reads sums or writes operands before sees that.
#pragma once

#include <cstdint>

#include "device/device.hpp"

namespace prs::cuda::emulated {

using Barriers = Shared<std::uint64_t>;

inline void barrier_init(const Barriers& s, int i, unsigned arrivals,
                         Source where = Source::here()) {
  shared_barrier_init(s.address(i, 1, where), arrivals, where);
}
inline void barrier_arrive(const Barriers& s, int i, Source where = Source::here()) {
  shared_barrier_arrive(s.address(i, 1, where), 0, where);
}
inline void barrier_arrive_expecting(const Barriers& s, int i, unsigned bytes,
                                     Source where = Source::here()) {
  shared_barrier_arrive(s.address(i, 1, where), bytes, where);
}
inline void barrier_wait(const Barriers& s, int i, unsigned parity, Source where = Source::here()) {
  shared_barrier_wait(s.address(i, 1, where), parity, where);
}
inline void fence_async() { async_fence(); }

template <typename T>
void copy_bulk(const Shared<T>& to, int i, const T* from, unsigned bytes, const Barriers& s,
               int barrier, Source where = Source::here()) {
  void* address = to.address(i, static_cast<int>(bytes / sizeof(T)), where);
  start_bulk_copy(address, from, bytes, s.address(barrier, 1, where), where);
}

/// As hopper_nvcc.hpp has it.
template <typename T>
std::uint64_t matrix_descriptor(const Shared<T>& s, int i, Source where = Source::here()) {
  const auto start = static_cast<std::uint64_t>(shared_offset(s.address(i, 1, where)));
  return (start >> 4 & 0x3FFFu) | std::uint64_t{1} << 16 | std::uint64_t{1024 >> 4} << 32 |
         std::uint64_t{1} << 62;
}

void warpgroup_fence();
void warpgroup_commit();
void wait_for_products(Source where);
template <typename Sum, int kTiles>
void warpgroup_wait(Sum (&)[kTiles][4], Source where = Source::here()) {
  wait_for_products(where);
}

void start_product(const WarpgroupProduct& product);

template <int kColumns, typename Sum, int kTiles>
void start_product(ProductType type, Sum (&d)[kTiles][4], const std::uint32_t* a,
                   std::uint64_t descriptor_a, std::uint64_t descriptor, Source where) {
  static_assert(kColumns <= kTiles * 8, "the accumulators hold all columns");
  start_product({type, kColumns, d, a, descriptor_a, descriptor, where});
}

template <int kColumns, int kTiles>
void wgmma_m64k16_bf16(float (&d)[kTiles][4], const FragmentA& a, std::uint64_t descriptor,
                       Source where = Source::here()) {
  start_product<kColumns>(ProductType::kBf16, d, a, 0, descriptor, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k16_f16(float (&d)[kTiles][4], const FragmentA& a, std::uint64_t descriptor,
                      Source where = Source::here()) {
  start_product<kColumns>(ProductType::kF16, d, a, 0, descriptor, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k32_u8s8(std::int32_t (&d)[kTiles][4], const FragmentA& a, std::uint64_t descriptor,
                       Source where = Source::here()) {
  start_product<kColumns>(ProductType::kU8S8, d, a, 0, descriptor, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k16_bf16(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b,
                       Source where = Source::here()) {
  start_product<kColumns>(ProductType::kBf16, d, nullptr, a, b, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k16_f16(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b,
                      Source where = Source::here()) {
  start_product<kColumns>(ProductType::kF16, d, nullptr, a, b, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k8_tf32(float (&d)[kTiles][4], std::uint64_t a, std::uint64_t b,
                      Source where = Source::here()) {
  start_product<kColumns>(ProductType::kTf32, d, nullptr, a, b, where);
}
template <int kColumns, int kTiles>
void wgmma_m64k32_u8s8(std::int32_t (&d)[kTiles][4], std::uint64_t a, std::uint64_t b,
                       Source where = Source::here()) {
  start_product<kColumns>(ProductType::kU8S8, d, nullptr, a, b, where);
}

}  // namespace prs::cuda::emulated
