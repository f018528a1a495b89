// wgmma.mma_async of m64nNk16, of bytes m64nNk32, of tf32 m64nNk8. PTX ISA 8.x, "Register Fragments
// for wgmma.mma_async.m64nNk16" and "..k32" (warp w of the four holds rows 16 w on; in them A lies
// as for mma.sync m16n8k16 or k32, and D as its D, tile after tile of 8 columns) and "Matrix
// Descriptor Format".
//
// A warp computes its 16 rows when it waits: no earlier, and with what its registers hold then.
#include <vector>

#include "emulation/hopper.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr int kProductBytes = 32;

int bytes_of(ProductType type) {
  if (type == ProductType::kU8S8) return 1;
  return type == ProductType::kTf32 ? 4 : 2;
}
int depth_of(ProductType type) { return kProductBytes / bytes_of(type); }

/// Element i of 16 bytes or of a register.
float value_at(ProductType type, bool is_a, const unsigned char* bytes, int i) {
  if (type == ProductType::kU8S8) {
    return is_a ? static_cast<float>(bytes[i])
                : static_cast<float>(static_cast<std::int8_t>(bytes[i]));
  }
  if (type == ProductType::kTf32) {
    // The hardware takes no notice of the low 13 bits.
    std::uint32_t bits;
    std::memcpy(&bits, bytes + 4 * i, sizeof bits);
    return bits_float(bits & ~0x1FFFu);
  }
  std::uint16_t half;
  std::memcpy(&half, bytes + 2 * i, sizeof half);
  return type == ProductType::kBf16 ? bfloat16_to_float(half) : half_to_float(half);
}

/// Calls put(row, k, value) for `count` rows (of B columns) from `first` on, of the one layout that
/// matrix_descriptor() describes.
template <typename Put>
void read_rows(const WarpgroupProduct& product, bool is_a, int first, int count, const Put& put) {
  const std::uint64_t descriptor = is_a ? product.descriptor_a : product.descriptor;
  const auto start = static_cast<std::int64_t>((descriptor & 0x3FFFu) << 4);
  const auto group_bytes = static_cast<std::int64_t>((descriptor >> 32 & 0x3FFFu) << 4);
  const bool known = descriptor >> 62 == 1 && (descriptor >> 49 & 7u) == 0 && start % 1024 < 128;
  if (!known) {
    fail_access("a descriptor other than of matrix_descriptor(), or of rows not at 1024 bytes:",
                start, 0, product.source);
  }
  const int in_chunk = 16 / bytes_of(product.type);
  for (int row = first; row < first + count; ++row) {
    for (int chunk = 0; chunk < kProductBytes / 16; ++chunk) {
      const std::int64_t at = start + row / 8 * group_bytes + row % 8 * 128 + chunk * 16;
      const std::int64_t swizzled = at ^ (at >> 7 & 7) << 4;
      const auto* bytes =
          static_cast<const unsigned char*>(async_read(swizzled, 16, product.source));
      for (int i = 0; i < in_chunk; ++i) {
        put(row - first, chunk * in_chunk + i, value_at(product.type, is_a, bytes, i));
      }
    }
  }
}

/// Product number `which` of each lane.
class WarpProduct {
 public:
  WarpProduct(const std::vector<WarpgroupProduct>* const* products, std::size_t which)
      : products_(products), which_(which) {}

  const WarpgroupProduct& of(unsigned lane) const { return (*products_[lane])[which_]; }

  void compute() const {
    float a[16][kProductBytes];
    read_a(a);
    const int columns = of(0).columns;
    const int depth = depth_of(of(0).type);
    std::vector<float> b(static_cast<std::size_t>(depth * columns));  // [depth, columns]
    read_rows(of(0), false, 0, columns, [&](int n, int k, float value) {
      b[static_cast<std::size_t>(k * columns + n)] = value;
    });
    // In double and rounded once, as in matrix.cpp; of bytes that is exact.
    std::vector<double> sums(static_cast<std::size_t>(columns));
    for (unsigned row = 0; row < 16; ++row) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int k = 0; k < depth; ++k) {
        const double factor = a[row][k];
        const float* from = b.data() + k * columns;
        for (int n = 0; n < columns; ++n) {
          sums[static_cast<std::size_t>(n)] += factor * static_cast<double>(from[n]);
        }
      }
      for (int n = 0; n < columns; ++n) add(row, n, sums[static_cast<std::size_t>(n)]);
    }
  }

 private:
  void read_a(float (&a)[16][kProductBytes]) const {
    if (of(0).a == nullptr) {
      const int warp = static_cast<int>(thread_x() / kWarpSize % 4);
      read_rows(of(0), true, warp * 16, 16,
                [&](int row, int k, float value) { a[row][k] = value; });
      return;
    }
    const int in_register = 4 / bytes_of(of(0).type);
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      for (unsigned r = 0; r < 4; ++r) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(of(lane).a + r);
        const unsigned row = lane / 4 + r % 2 * 8;
        const int k = in_register * static_cast<int>(lane % 4 + r / 2 * 4);
        for (int i = 0; i < in_register; ++i) {
          a[row][k + i] = value_at(of(lane).type, true, bytes, i);
        }
      }
    }
  }

  void add(unsigned row, int n, double sum) const {
    const WarpgroupProduct& product = of(row % 8 * 4 + static_cast<unsigned>(n % 8) / 2);
    const int at = n / 8 * 4 + static_cast<int>(row) / 8 * 2 + n % 2;
    if (product.type == ProductType::kU8S8) {
      // Sums wrap.
      auto& d = static_cast<std::uint32_t*>(product.d)[at];
      d += static_cast<std::uint32_t>(static_cast<std::int64_t>(sum));
    } else {
      float& d = static_cast<float*>(product.d)[at];
      d = static_cast<float>(static_cast<double>(d) + sum);
    }
  }

  const std::vector<WarpgroupProduct>* const* products_;
  std::size_t which_;
};

bool same(const WarpgroupProduct& a, const WarpgroupProduct& b) {
  return a.type == b.type && a.columns == b.columns && a.descriptor == b.descriptor &&
         a.descriptor_a == b.descriptor_a && (a.a == nullptr) == (b.a == nullptr);
}

void compute(void* const* payloads, std::uint32_t) {
  const std::vector<WarpgroupProduct>* products[kWarpSize];
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    products[lane] = static_cast<const std::vector<WarpgroupProduct>*>(payloads[lane]);
  }
  for (std::size_t i = 0; i < products[0]->size(); ++i) {
    const WarpgroupProduct& first = (*products[0])[i];
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      if (products[lane]->size() != products[0]->size() || !same((*products[lane])[i], first)) {
        fail_access("the lanes of a warp start different products; columns", first.columns, 256,
                    first.source);
      }
    }
    WarpProduct(products, i).compute();
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
