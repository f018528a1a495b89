// wgmma.mma_async of m64nNk16, and of bytes m64nNk32, with A in registers. PTX ISA 8.x, "Register
// Fragments for wgmma.mma_async.m64nNk16" and "..k32" (warp w of the four holds rows 16 w on; in
// them A lies as for mma.sync m16n8k16 or k32, and D as its D, tile after tile of 8 columns) and
// "Matrix Descriptor Format".
//
// A warp computes its 16 rows when it waits: no earlier, and with what its registers hold then.
#include <vector>

#include "emulation/hopper.hpp"

namespace prs::cuda::emulated {
namespace {

/// What a product is of. Exact: sums are added in it and rounded once, as in matrix.cpp.
struct OfBf16 {
  using A = std::uint16_t;
  using B = std::uint16_t;
  using D = float;
  using Exact = double;
  static double value(std::uint16_t bits) { return bfloat16_to_float(bits); }
};
struct OfF16 : OfBf16 {
  static double value(std::uint16_t bits) { return half_to_float(bits); }
};
struct OfU8S8 {
  using A = std::uint8_t;
  using B = std::int8_t;
  using D = std::int32_t;
  using Exact = std::uint32_t;  ///< Sums wrap.
  template <typename T>
  static std::uint32_t value(T bits) {
    return static_cast<std::uint32_t>(bits);
  }
};

template <typename Of>
constexpr int kDepth = 32 / static_cast<int>(sizeof(typename Of::B));

/// Element (k, n) of B, of the one layout that matrix_descriptor() describes.
template <typename Of>
std::vector<typename Of::Exact> read_b(const WarpgroupProduct& product) {
  using B = typename Of::B;
  constexpr int kChunk = 16 / static_cast<int>(sizeof(B));
  const std::uint64_t descriptor = product.descriptor;
  const auto start = static_cast<std::int64_t>((descriptor & 0x3FFFu) << 4);
  const auto group_bytes = static_cast<std::int64_t>((descriptor >> 32 & 0x3FFFu) << 4);
  const bool known = descriptor >> 62 == 1 && (descriptor >> 49 & 7u) == 0 && start % 1024 < 128;
  if (!known) {
    fail_access("a descriptor other than of matrix_descriptor(), or of rows not at 1024 bytes:",
                start, 0, product.source);
  }
  std::vector<typename Of::Exact> b(static_cast<std::size_t>(kDepth<Of> * product.columns));
  for (int n = 0; n < product.columns; ++n) {
    for (int k = 0; k < kDepth<Of>; k += kChunk) {
      const std::int64_t at = start + n / 8 * group_bytes + n % 8 * 128 + k / kChunk * 16;
      const std::int64_t swizzled = at ^ (at >> 7 & 7) << 4;
      const auto* chunk = static_cast<const B*>(async_read(swizzled, 16, product.source));
      for (int i = 0; i < kChunk; ++i) {
        b[static_cast<std::size_t>((k + i) * product.columns + n)] = Of::value(chunk[i]);
      }
    }
  }
  return b;
}

template <typename Of>
void compute_one(const std::vector<WarpgroupProduct>* const* products, std::size_t which) {
  using A = typename Of::A;
  using D = typename Of::D;
  using Exact = typename Of::Exact;
  constexpr unsigned kInRegister = 4 / sizeof(A);
  const auto of = [&](unsigned lane) { return (*products[lane])[which]; };
  Exact a[16][kDepth<Of>];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    for (unsigned i = 0; i < 4 * kInRegister; ++i) {
      const unsigned r = i / kInRegister;
      const unsigned row = lane / 4 + r % 2 * 8;
      const unsigned k = (lane % 4 + r / 2 * 4) * kInRegister + i % kInRegister;
      a[row][k] =
          Of::value(static_cast<A>(of(lane).a[r] >> (32 / kInRegister * (i % kInRegister))));
    }
  }
  const std::vector<Exact> b = read_b<Of>(of(0));
  const int columns = of(0).columns;
  std::vector<Exact> sums(static_cast<std::size_t>(columns));
  for (unsigned row = 0; row < 16; ++row) {
    std::fill(sums.begin(), sums.end(), Exact{});
    for (int k = 0; k < kDepth<Of>; ++k) {
      const Exact* from = b.data() + k * columns;
      for (int n = 0; n < columns; ++n) sums[static_cast<std::size_t>(n)] += a[row][k] * from[n];
    }
    for (int n = 0; n < columns; ++n) {
      D& d = static_cast<D*>(of(row % 8 * 4 + static_cast<unsigned>(n % 8) / 2)
                                 .d)[n / 8 * 4 + static_cast<int>(row) / 8 * 2 + n % 2];
      d = static_cast<D>(static_cast<Exact>(d) + sums[static_cast<std::size_t>(n)]);
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
          (*products[lane])[i].columns != first.columns || (*products[lane])[i].of != first.of) {
        fail_access("the lanes of a warp start different products; columns", first.columns, 256,
                    first.source);
      }
    }
    switch ((*products[0])[i].of) {
      case ProductOf::kBf16:
        compute_one<OfBf16>(products, i);
        break;
      case ProductOf::kF16:
        compute_one<OfF16>(products, i);
        break;
      case ProductOf::kU8S8:
        compute_one<OfU8S8>(products, i);
        break;
    }
  }
}

}  // namespace

void warpgroup_fence() { warpgroup_state().fenced = true; }

void start_product(const WarpgroupProduct& product) {
  WarpgroupState& state = warpgroup_state();
  if (!state.fenced) {
    fail_access("a product with no warpgroup_fence since the last wait; columns", product.columns,
                256, product.source);
  }
  ++state.started;
  state.committed = false;
  state.products.push_back(product);
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
