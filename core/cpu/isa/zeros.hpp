// Zeros in A that a product need not meet: images are black for the most part, and what meets only
// zeros in all rows of a register tile, a row of B, is neither read nor multiplied. The results
// keep their bits where every element of B is finite and no sum begins with -0: x * 0 is a zero
// then, which leaves a sum as it is.
//
//   arrange():  an order of rows that lets the rows of a tile have their zeros in the same places
//   list():     for each tile, the columns of A that hold anything else in one of its rows
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/strips.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {

/// Rows of A that are staged at once, at most.
inline constexpr std::int64_t kStagedRows = 64;

/// Where samples of a row are taken: 64 bytes, in groups of 4. Odd steps between groups, so that
/// they are not all from the same few columns of an image.
inline constexpr std::int64_t kSamples = 64;
inline std::int64_t sample_step(std::int64_t k) { return (((k - 4) / 15) - 1) | 1; }

/// One bit for each of kSamples bytes of row[0, k), k >= kSamples: whether it is another than 0.
inline std::uint64_t sample_row(const std::uint8_t* row, std::int64_t k) {
  const std::int64_t step = sample_step(k);
  std::uint64_t samples = 0;
  for (std::int64_t i = 0; i < kSamples / 4; ++i) {
    std::uint32_t bytes;
    __builtin_memcpy(&bytes, row + i * step, sizeof(bytes));
    // The highest bit of each byte that is not 0, then all four side by side.
    const std::uint32_t high = (((bytes & 0x7F7F7F7FU) + 0x7F7F7F7FU) | bytes) & 0x80808080U;
    samples |= static_cast<std::uint64_t>((high >> 7) * 0x10204080U >> 28) << (4 * i);
  }
  return samples;
}

/// 32-bit elements of scratch that the lists of `rows` rows of `columns` columns take.
inline std::int64_t list_stride(std::int64_t columns) {
  return (columns / kLanes + 2) * kLanes;  // Whole vectors are written.
}
inline std::int64_t lists_size(std::int64_t rows, std::int64_t columns) {
  return (smaller(rows, kStagedRows) + kTileRows - 1) / kTileRows * list_stride(columns);
}

/// Whether rows of A can be brought into an order by their zeros: they are bytes, as pixels are.
inline bool may_arrange(const GemmTask& task) {
  return task.a_is_u8 && task.a_column_stride == 1 && task.k >= kSamples;
}

class RowTiles {
 public:
  /// Row order(i) of the block is to be staged as row i.
  std::int64_t order(std::int64_t i) const { return order_[i]; }
  /// Of the tile that begins with staged row i, after list().
  ListedK ks(std::int64_t i) const { return {lists_ + i / kTileRows * stride_}; }
  std::int64_t count(std::int64_t i) const { return counts_[i / kTileRows]; }

  /// As they come.
  void keep(std::int64_t rows) {
    for (std::int64_t i = 0; i < rows; ++i) order_[i] = static_cast<std::int32_t>(i);
  }

  /// Orders rows of bytes, at most kStagedRows, of k >= kSamples columns: each tile begins with the
  /// emptiest row that is left and takes those that add the least to it, as far as samples tell.
  /// Fewer than a sixteenth of zeros among them are not worth lists, and false is returned.
  bool arrange(const std::uint8_t* a, std::int64_t stride, std::int64_t rows, std::int64_t k) {
    keep(rows);
    std::uint64_t samples[kStagedRows + 3];
    std::int64_t filled = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      samples[i] = sample_row(a + i * stride, k);
      filled += __builtin_popcountll(samples[i]);
    }
    if (16 * filled > 15 * rows * kSamples) return false;
    // Full ones, which are never the best, make up a multiple of four.
    for (std::int64_t i = rows; i < rows + 3; ++i) samples[i] = ~std::uint64_t{0};
    std::uint64_t tile = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      if (i % kTileRows == 0) tile = 0;
      const std::int64_t best = emptiest(samples, i, rows, tile);
      tile |= samples[best];
      const std::int32_t row = order_[best];
      order_[best] = order_[i];
      order_[i] = row;
      samples[best] = samples[i];
    }
    return true;
  }

  /// a: rows as staged, [rows, columns] of 32 bits each, `stride` apart; a zero has no bit set.
  /// lists: lists_size() elements.
  void list(const float* a, std::int64_t stride, std::int64_t rows, std::int64_t columns,
            std::int32_t* lists) {
    lists_ = lists;
    stride_ = list_stride(columns);
    for (std::int64_t i = 0; i < rows; i += kTileRows) {
      counts_[i / kTileRows] = list_tile(a + i * stride, stride, smaller(rows - i, kTileRows),
                                         columns, lists + i / kTileRows * stride_);
    }
  }

 private:
  using Bits = std::uint32_t __attribute__((vector_size(kLanes * 4)));

  /// The first i in [first, end) whose samples add the least to those of the tile.
  static std::int64_t emptiest(const std::uint64_t* samples, std::int64_t first, std::int64_t end,
                               std::uint64_t tile) {
    // Four at a time, which do not wait for each other; how many samples, then which row.
    std::uint32_t least[4] = {~0U, ~0U, ~0U, ~0U};
    for (std::int64_t i = first; i < end; i += 4) {
      PRS_UNROLL for (int j = 0; j < 4; ++j) {
        const auto added = static_cast<std::uint32_t>(__builtin_popcountll(tile | samples[i + j]));
        const std::uint32_t key = added << 8 | static_cast<std::uint32_t>(i + j);
        least[j] = key < least[j] ? key : least[j];
      }
    }
    const std::uint32_t left = least[0] < least[1] ? least[0] : least[1];
    const std::uint32_t right = least[2] < least[3] ? least[2] : least[3];
    return (left < right ? left : right) & 0xFFU;
  }

  static std::int64_t list_tile(const float* a, std::int64_t stride, std::int64_t rows,
                                std::int64_t columns, std::int32_t* list) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < columns; k += kLanes) {
      const std::int64_t lanes = smaller(columns - k, kLanes);
      Bits any{};
      for (std::int64_t r = 0; r < rows; ++r) {
        any |= reinterpret_cast<Bits>(load_part(a + r * stride + k, lanes));
      }
#if defined(__AVX512F__)
      const auto bits = reinterpret_cast<__m512i>(any);
      const __mmask16 kept = _mm512_test_epi32_mask(bits, bits);
      const __m512i ks =
          _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(k)),
                           _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
      // Compressed in a register: compressing stores are slow on some processors.
      _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(kept, ks));
      count += __builtin_popcount(kept);
#else
      std::uint32_t bits[kLanes];
      __builtin_memcpy(bits, &any, sizeof(bits));
      for (std::int64_t i = 0; i < kLanes; ++i) {
        list[count] = static_cast<std::int32_t>(k + i);
        count += bits[i] != 0;
      }
#endif
    }
    return count;
  }

  std::int32_t order_[kStagedRows];
  const std::int32_t* lists_ = nullptr;
  std::int64_t stride_ = 0;
  std::int64_t counts_[kStagedRows / kTileRows];
};

/// kPanels panels of kWidth vectors each, for one row of A.
template <typename A, int kWidth>
void run_row_panels(const typename A::Element* a, const PanelRows<kWidth>& b, const ListedK& ks,
                    std::int64_t count, std::int64_t panels, const typename A::Ends& ends,
                    const typename A::Target& target) {
  if (panels == 4) {
    run_tile<A, 1, 4 * kWidth>(a, 0, b, ks, count, ends, target);
  } else if (panels == 2) {
    run_tile<A, 1, 2 * kWidth>(a, 0, b, ks, count, ends, target);
  } else {
    run_tile<A, 1, kWidth>(a, 0, b, ks, count, ends, target);
  }
}

/// y = one row of A times B [k, n], packed in strips (strips.hpp), for the columns of A in `ks`: a
/// part of y.
/// Several strips at once: the sums of one would wait for each other. ends(column) and y(column)
/// are those of a tile that begins there.
template <typename A, typename Ends, typename Y>
void run_row(const typename A::Element* a, const float* b, std::int64_t k, std::int64_t n,
             const Part& part, const ListedK& ks, std::int64_t count, const Ends& ends,
             const Y& y) {
  typename A::Target target{};
  const std::int64_t vectors = (n + kLanes - 1) / kLanes;
  for (std::int64_t first = 0; first < vectors;) {
    const std::int64_t width = strip_vectors(vectors - first, kTileVectors);
    const auto takes = [&](std::int64_t at) {
      return at < vectors && strip_vectors(vectors - at, kTileVectors) == width &&
             is_strip_of(part, vectors, at, width);
    };
    if (!takes(first)) {
      first += width;
      continue;
    }
    std::int64_t panels = 1;
    while (panels < kRowPanels && takes(first + panels * width)) ++panels;
    if (panels == 3) panels = 2;
    const std::int64_t column = first * kLanes;
    for (std::int64_t v = 0; v < panels * width; ++v) {
      target.at[v] = v * kLanes;
      target.lanes[v] = smaller(n - column - v * kLanes, kLanes);
    }
    target.y = y(column);
    const float* from = b + column * k;
    const std::int64_t panel = k * width * kLanes;
    if (width == kTileVectors) {
      run_row_panels<A, kTileVectors>(a, {from, panel}, ks, count, panels, ends(column), target);
    } else if (width == 2) {
      run_row_panels<A, 2>(a, {from, panel}, ks, count, panels, ends(column), target);
    } else {
      run_row_panels<A, 1>(a, {from, panel}, ks, count, panels, ends(column), target);
    }
    first += panels * width;
  }
}

}  // namespace prs::cpu::PRS_ISA
