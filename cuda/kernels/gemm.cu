// Gemm and MatMul. A block computes a 64x64 tile of y; its 256 threads take 4x4 elements each and
// walk along k in steps of 16, whose parts of A and B lie in shared memory. While a step is
// computed, the next one is on its way into registers.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kPitch = kTile + 4;  ///< Four more: rows start in other banks, and 16-byte aligned.
constexpr int kLoads = kTile * kDepth / 256;
static_assert(kTile == 4 * 16 && 16 * 16 == 256, "16 x 16 threads of 4 x 4 elements");

/// Element number i of a [kTile, kDepth] slice: neighbouring threads take what is neighbouring in
/// memory, along k when that is dense.
PRS_DEVICE int tile_index(int i, bool k_is_dense) { return k_is_dense ? i / kDepth : i % kTile; }
PRS_DEVICE int depth_index(int i, bool k_is_dense) { return k_is_dense ? i % kDepth : i / kTile; }

template <typename T>
PRS_DEVICE void fetch(const T* from, std::int64_t first, std::int64_t extent, std::int64_t stride,
                      std::int64_t k0, std::int64_t k, std::int64_t k_stride,
                      float (&values)[kLoads]) {
  const bool dense = k_stride == 1;
  for (int j = 0; j < kLoads; ++j) {
    const int i = static_cast<int>(thread_x()) + j * 256;
    const std::int64_t at = first + tile_index(i, dense);
    const std::int64_t depth = k0 + depth_index(i, dense);
    const bool inside = at < extent && depth < k;
    values[j] = inside ? static_cast<float>(from[at * stride + depth * k_stride]) : 0.0F;
  }
}

PRS_DEVICE void put(const Shared<float>& tile, bool dense, const float (&values)[kLoads]) {
  for (int j = 0; j < kLoads; ++j) {
    const int i = static_cast<int>(thread_x()) + j * 256;
    tile.store(depth_index(i, dense) * kPitch + tile_index(i, dense), values[j]);
  }
}

template <typename A>
PRS_DEVICE void multiply(const GemmArgs& args, std::int64_t entry) {
  PRS_SHARED(float, s_a, kDepth* kPitch);  // [k, m]
  PRS_SHARED(float, s_b, kDepth* kPitch);  // [k, n]
  std::int64_t start[2];
  offsets_at(args.batches, entry, start);
  const A* a = static_cast<const A*>(args.a) + start[0];
  const float* b = args.b + start[1];
  const std::int64_t m0 = static_cast<std::int64_t>(block_x()) * kTile;
  const std::int64_t n0 = static_cast<std::int64_t>(block_y()) * kTile;
  const int row = static_cast<int>(thread_x()) / 16 * 4;
  const int column = static_cast<int>(thread_x()) % 16 * 4;
  float sums[4][4] = {};
  float r_a[kLoads];
  float r_b[kLoads];
  fetch(a, m0, args.m, args.a_row, 0, args.k, args.a_column, r_a);
  fetch(b, n0, args.n, args.b_column, 0, args.k, args.b_row, r_b);
  for (std::int64_t k0 = 0; k0 < args.k; k0 += kDepth) {
    put(s_a, args.a_column == 1, r_a);
    put(s_b, args.b_row == 1, r_b);
    sync_threads();
    if (k0 + kDepth < args.k) {
      fetch(a, m0, args.m, args.a_row, k0 + kDepth, args.k, args.a_column, r_a);
      fetch(b, n0, args.n, args.b_column, k0 + kDepth, args.k, args.b_row, r_b);
    }
    for (int k = 0; k < kDepth; ++k) {
      const Float4 x = load4(s_a, k * kPitch + row);
      const Float4 w = load4(s_b, k * kPitch + column);
      const float xs[4] = {x.x, x.y, x.z, x.w};
      const float ws[4] = {w.x, w.y, w.z, w.w};
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(xs[i], ws[j], sums[i][j]);
      }
    }
    sync_threads();
  }
  float* y = args.y + entry * args.m * args.n;
  for (int i = 0; i < 4; ++i) {
    const std::int64_t at_m = m0 + row + i;
    if (at_m >= args.m) return;
    for (int j = 0; j < 4; ++j) {
      sums[i][j] *= args.alpha;
      const std::int64_t at_n = n0 + column + j;
      if (args.bias == nullptr || at_n >= args.n) continue;
      sums[i][j] += args.beta * args.bias[at_m * args.bias_row + at_n * args.bias_column];
    }
    apply_to_all(args.epilogue, sums[i]);
    for (int j = 0; j < 4; ++j) {
      const std::int64_t at_n = n0 + column + j;
      if (at_n < args.n) y[at_m * args.n + at_n] = sums[i][j];
    }
  }
}

template <typename A>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm(GemmArgs args) {
  for (std::int64_t entry = block_z(); entry < args.batch; entry += grid_z()) {
    multiply<A>(args, entry);
  }
}

}  // namespace

void add_gemm_kernels(KernelTable& table) {
  add(table, KernelId::kGemmF32, gemm<float>);
  add(table, KernelId::kGemmU8, gemm<std::uint8_t>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
