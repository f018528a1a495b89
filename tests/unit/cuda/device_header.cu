// Every primitive of device.hpp once, so that nvcc assembles them for each architecture although no
// kernel may use them yet. Never run.
#include "device/device.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

PRS_GLOBAL void all_primitives(const float* x, float* y, std::int32_t* z, unsigned* u) {
  PRS_SHARED(float, f, 64);
  PRS_SHARED(std::uint16_t, h, 32 * 8);
  const auto d = dynamic_shared<float>(0, 32);
  copy_async<16>(f, 0, x);
  copy_async<4>(f, 4, x);
  copy_async<8>(f, 8, x);
  commit_copies();
  wait_copies<1>();
  wait_copies<0>();
  for (int i = 0; i < 8; ++i)
    h.store(static_cast<int>(lane()) * 8 + i, static_cast<std::uint16_t>(i));
  sync_warp();
  sync_threads();
  std::uint32_t a[4], b4[4];
  load_matrix_x4(a, h, static_cast<int>(lane()) * 8);
  load_matrix_x4_transposed(b4, h, static_cast<int>(lane()) * 8);
  std::uint32_t b[2] = {b4[0], b4[1]};
  float c[4] = {};
  std::int32_t s[4] = {};
  mma_m16n8k16_f16(c, a, b);
  mma_m16n8k16_bf16(c, a, b);
  mma_m16n8k8_tf32(c, a, b);
  mma_m16n8k32_s8s8(s, a, b);
  mma_m16n8k32_u8s8(s, a, b);
  mma_m16n8k32_u8u8(s, a, b);
  store4(y, load4(x));
  store4(d, 0, load4(f, 0));
  std::uint32_t two[2], four[4];
  load_words(dynamic_shared<std::uint32_t>(0, 32), 2, two);
  load_words(u, four);
  u[4] = two[0] + two[1] + four[3] + to_half_pair(x[0], x[1]) + to_bfloat16_pair(x[1], x[2]);
  y[4] = c[0] + c[1] + c[2] + c[3] + to_float(to_half(x[0])) + to_float(to_bfloat16(x[1])) +
         bits_float(to_tf32(x[2]));
  z[0] = s[0] + s[1] + s[2] + s[3] + atomic_max(z + 1, 3) + atomic_add(z + 2, 1);
  publish(z + 3, dot_u8s8(u[1], u[2], s[0]));
  fence_blocks();
  z[4] = load_published(z + 5);
  u[0] = ballot(kFullMask, x[0] > 0) + (any(kFullMask, x[1] > 0) ? 1 : 0) +
         (all(kFullMask, x[2] > 0) ? 2 : 0) + shuffle(kFullMask, u[1], 3) +
         shuffle_down(kFullMask, u[2], 1) + atomic_cas(u + 3, 0u, 1u);
  y[5] =
      d.add(0, 1.0F) + warp_sum(x[4]) + warp_max(x[5]) + d.load(1) + static_cast<float>(thread_y());
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
