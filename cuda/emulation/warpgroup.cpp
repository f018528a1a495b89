// wgmma.mma_async of m64nNk16 with A in registers. PTX ISA 8.x, "Register Fragments for
// wgmma.mma_async.m64nNk16" (warp w of the four holds rows 16 w on; in them A lies as for mma.sync
// m16n8k16, and D as its D, tile after tile of 8 columns) and "Matrix Descriptor Format".
//
// A warp computes its 16 rows when it waits: no earlier, and with what its registers hold then.
#include <vector>

#include "emulation/hopper.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr int kDepth = 16;

float value_of(bool bf16, std::uint32_t bits) {
  const auto half = static_cast<std::uint16_t>(bits);
  return bf16 ? bfloat16_to_float(half) : half_to_float(half);
}

/// Element (k, n) of B, of the one layout that matrix_descriptor() describes.
void read_b(const WarpgroupProduct& product, std::vector<float>& b) {
  const std::uint64_t descriptor = product.descriptor;
  const auto start = static_cast<std::int64_t>((descriptor & 0x3FFFu) << 4);
  const auto group_bytes = static_cast<std::int64_t>((descriptor >> 32 & 0x3FFFu) << 4);
  const bool known = descriptor >> 62 == 1 && (descriptor >> 49 & 7u) == 0 && start % 1024 < 128;
  if (!known) {
    fail_access("a descriptor other than of matrix_descriptor(), or of rows not at 1024 bytes:",
                start, 0, product.source);
  }
  b.resize(static_cast<std::size_t>(kDepth * product.columns));
  for (int n = 0; n < product.columns; ++n) {
    for (int k = 0; k < kDepth; k += 8) {
      const std::int64_t at = start + n / 8 * group_bytes + n % 8 * 128 + k * 2;
      const std::int64_t swizzled = at ^ (at >> 7 & 7) << 4;
      const auto* chunk =
          static_cast<const std::uint16_t*>(async_read(swizzled, 16, product.source));
      for (int i = 0; i < 8; ++i) {
        b[static_cast<std::size_t>((k + i) * product.columns + n)] =
            value_of(product.bf16, chunk[i]);
      }
    }
  }
}

void compute_one(const std::vector<WarpgroupProduct>* const* products, std::size_t which) {
  const auto of = [&](unsigned lane) { return (*products[lane])[which]; };
  float a[16][kDepth];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned row = lane / 4 + i / 2 % 2 * 8;
      const unsigned k = lane % 4 * 2 + i % 2 + i / 4 * 8;
      a[row][k] = value_of(of(lane).bf16, of(lane).a[i / 2] >> (16 * (i % 2)));
    }
  }
  std::vector<float> b;
  read_b(of(0), b);
  const int columns = of(0).columns;
  // In double and rounded once, as in matrix.cpp.
  std::vector<double> sums(static_cast<std::size_t>(columns));
  for (unsigned row = 0; row < 16; ++row) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int k = 0; k < kDepth; ++k) {
      const double factor = a[row][k];
      const float* from = b.data() + k * columns;
      for (int n = 0; n < columns; ++n) {
        sums[static_cast<std::size_t>(n)] += factor * static_cast<double>(from[n]);
      }
    }
    for (int n = 0; n < columns; ++n) {
      float& d = of(row % 8 * 4 + static_cast<unsigned>(n % 8) / 2)
                     .d[n / 8 * 4 + static_cast<int>(row) / 8 * 2 + n % 2];
      d = static_cast<float>(static_cast<double>(d) + sums[static_cast<std::size_t>(n)]);
    }
  }
}

void compute(void* const* payloads, std::uint32_t) {
  const std::vector<WarpgroupProduct>* products[kWarpSize];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    products[lane] = static_cast<const std::vector<WarpgroupProduct>*>(payloads[lane]);
  }
  for (std::size_t i = 0; i < products[0]->size(); ++i) {
    for (unsigned lane = 1; lane < kWarpSize; ++lane) {
      const WarpgroupProduct& first = (*products[0])[i];
      if (products[lane]->size() != products[0]->size() ||
          (*products[lane])[i].descriptor != first.descriptor ||
          (*products[lane])[i].columns != first.columns) {
        fail_access("the lanes of a warp start different products; columns", first.columns, 256,
                    first.source);
      }
    }
    compute_one(products, i);
  }
}

}  // namespace

void warpgroup_fence() { warpgroup_state().fenced = true; }

void start_product(bool bf16, int columns, float* d, const FragmentA& a, std::uint64_t descriptor,
                   Source where) {
  WarpgroupState& state = warpgroup_state();
  if (!state.fenced) {
    fail_access("a product with no warpgroup_fence since the last wait; columns", columns, 256,
                where);
  }
  ++state.started;
  state.committed = false;
  state.products.push_back({bf16, columns, d, a, descriptor, where});
}

void warpgroup_commit() { warpgroup_state().committed = true; }

void wait_for_products(Source where) {
  WarpgroupState& state = warpgroup_state();
  if (!state.products.empty() && !state.committed) {
    fail_access("a wait for products that were not committed; number",
                static_cast<std::int64_t>(state.products.size()), 0, where);
  }
  warp_collective("warpgroup_wait", kFullMask, &state.products, &compute, where);
  state.products.clear();
  state.fenced = false;
}

}  // namespace prs::cuda::emulated
