// The loops of Gemm and Conv over words: 32 bits that hold several small numbers, which one
// instruction multiplies and adds up. The arithmetic A says what a word holds (tile.hpp).
//
//   gemm_words:  for blocks of rows of A:              staged as words, with lists of zeros.hpp
//                  for strips of columns of B:         packed when the model was compiled
//                    for blocks of words along k:
//                      for groups of kTileRows rows:   one register tile
//   conv_words:  as im2col in conv.cpp
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/im2col.hpp"
#include "cpu/isa/strips.hpp"
#include "cpu/isa/tile.hpp"
#include "cpu/isa/zeros.hpp"

namespace prs::cpu::PRS_ISA {

using IntVec = std::int32_t __attribute__((vector_size(kLanes * 4)));
using UintVec = std::uint32_t __attribute__((vector_size(kLanes * 4)));
using ByteVec = std::uint8_t __attribute__((vector_size(kLanes)));

/// A register of words, every one the given one. (Not by way of a float: that may change bits.)
PRS_INLINE Vec spread_word(std::uint32_t word) { return reinterpret_cast<Vec>(word + UintVec{}); }

/// Rows of A that are staged at once: those that fit into 256 KiB, a multiple of a tile's.
inline std::int64_t staged_rows(std::int64_t m, std::int64_t words) {
  constexpr std::int64_t kWords = 65536;
  const std::int64_t groups = words == 0 ? 8 : kWords / (words * kTileRows);
  return smaller(larger(smaller(groups, kStagedRows / kTileRows), 1) * kTileRows, m);
}

/// Whether rows of A may have lists of their words that are not 0.
inline bool may_list(const GemmTask& task) {
  return task.skips_zeros && (task.m == 1 || may_arrange(task));
}

/// Words of scratch that gemm_words takes.
inline std::int64_t gemm_words_scratch(const GemmTask& task, std::int64_t words) {
  return staged_rows(task.m, words) * words + (may_list(task) ? lists_size(task.m, words) : 0);
}

/// y = A B, a part of the columns. `bytes`: A where may_arrange(task); stage(row, to) writes a row
/// of A as words; ends(row, column, k is 0, k is the last) and y(row, column) are those of a tile
/// that begins there.
template <typename A, typename Stage, typename Ends, typename Y>
void gemm_words(const GemmTask& task, std::int64_t words, std::int64_t block_words,
                const std::uint8_t* bytes, const std::uint32_t* b, std::uint32_t* scratch,
                const Part& part, const Stage& stage, const Ends& ends, const Y& y) {
  const std::int64_t most_rows = staged_rows(task.m, words);
  const std::int64_t total_vectors = (task.n + kLanes - 1) / kLanes;
  const auto* staged = reinterpret_cast<const float*>(scratch);
  const auto* panels = reinterpret_cast<const float*>(b);
  typename A::Target target{};
  RowTiles tiles;
  for (std::int64_t i = 0; i < task.m; i += most_rows) {
    const std::int64_t rows = smaller(task.m - i, most_rows);
    tiles.keep(rows);
    bool listed = may_list(task);
    if (listed && rows > 1) {
      listed = tiles.arrange(bytes + i * task.a_row_stride, task.a_row_stride, rows, task.k);
    }
    for (std::int64_t r = 0; r < rows; ++r) stage(i + tiles.order(r), scratch + r * words);
    if (listed) {
      tiles.list(staged, words, rows, words,
                 reinterpret_cast<std::int32_t*>(scratch + most_rows * words));
    }
    if (listed && rows == 1) {
      run_row<A>(
          scratch, panels, words, task.n, part, tiles.ks(0), tiles.count(0),
          [&](std::int64_t column) { return ends(i, column, true, true); },
          [&](std::int64_t column) { return y(i, column); });
      continue;
    }
    std::int64_t vectors = 0;
    for (std::int64_t first = 0; first < total_vectors; first += vectors) {
      vectors = strip_vectors(total_vectors - first, kTileVectors);
      if (!is_strip_of(part, total_vectors, first, vectors)) continue;
      const std::int64_t column = first * kLanes;
      for (std::int64_t v = 0; v < vectors; ++v) {
        target.at[v] = v * kLanes;
        target.lanes[v] = smaller(task.n - column - v * kLanes, kLanes);
      }
      std::int64_t k = 0;
      do {  // Once even for k = 0: y is the bias then.
        const std::int64_t depth = listed ? words : smaller(words - k, block_words);
        const std::int64_t width = vectors * kLanes;
        const DenseRows panel{panels + column * words + k * width, width};
        for (std::int64_t r = 0; r < rows; r += kTileRows) {
          const std::int64_t height = smaller(rows - r, kTileRows);
          const std::uint32_t* a = scratch + r * words + k;
          const auto tile_ends = ends(i + r, column, k == 0, k + depth == words);
          target.y = y(i, column);
          for (std::int64_t q = 0; q < height; ++q) {
            target.row_at[q] = tiles.order(r + q) * task.n;
          }
          if (listed) {
            tile_function<A, DenseRows, ListedK>(height, vectors)(
                a, words, panel, tiles.ks(r), tiles.count(r), tile_ends, target);
          } else {
            tile_function<A, DenseRows>(height, vectors)(a, words, panel, EveryK{}, depth,
                                                         tile_ends, target);
          }
        }
        k += depth;
      } while (k < words);
    }
  }
}

/// Words of scratch that conv_words takes.
inline std::int64_t conv_words_scratch(const ConvTask& task, std::int64_t block_words) {
  return staged_size(task) + smaller(task.k, block_words) * kTileColumns;
}

/// One convolution, a part of each group's filters. stage(image and group, to) writes a group's
/// input as words, but for the padding, whose bytes are `padding`; ends(filter, k is 0, k is the
/// last) and y(image and group, filter) are those of a tile that begins there; filters count over
/// all groups.
template <typename A, typename Stage, typename Ends, typename Y>
void conv_words(const ConvTask& task, const std::uint32_t* weights, const std::int32_t* shifts,
                std::int64_t block_words, std::uint8_t padding, std::uint32_t* scratch,
                const Part& part, const Stage& stage_group, const Ends& ends, const Y& y) {
  const PartRange filters = tile_rows_of(task.filters, part);
  if (filters.first >= filters.end) return;
  std::uint32_t* staged = scratch;
  float* gathered = reinterpret_cast<float*>(scratch + staged_size(task));
  const float* x = reinterpret_cast<const float*>(staged);
  const std::int64_t total = outputs(task);
  if (is_padded(task)) {
    __builtin_memset(staged, padding, static_cast<std::size_t>(staged_size(task)) * sizeof(float));
  }
  typename A::Target target{};
  set_rows(target, total);
  for (std::int64_t i = 0; i < task.images * task.groups; ++i) {
    const std::int64_t first_filter = i % task.groups * task.filters;
    stage_group(i, staged);
    RowCursor cursor(task);
    std::int64_t column = 0;
    Panel panel;
    for (std::int64_t first = 0; first < total; first += panel.columns) {
      fill_panel(task, cursor, column, panel);
      const std::int64_t vectors = (panel.columns + kLanes - 1) / kLanes;
      const DenseRows rows{gathered, vectors * kLanes};
      for (std::int64_t v = 0; v < vectors; ++v) {
        target.at[v] = first + v * kLanes;
        target.lanes[v] = smaller(panel.columns - v * kLanes, kLanes);
      }
      std::int64_t k = 0;
      do {
        const std::int64_t depth = smaller(task.k - k, block_words);
        gather(x, shifts + k, depth, panel, rows.stride, gathered);
        for (std::int64_t m = filters.first; m < filters.end; m += kTileRows) {
          target.y = y(i, m);
          tile_function<A, DenseRows>(smaller(filters.end - m, kTileRows), vectors)(
              weights + (first_filter + m) * task.k + k, task.k, rows, EveryK{}, depth,
              ends(first_filter + m, k == 0, k + depth == task.k), target);
        }
        k += depth;
      } while (k < task.k);
    }
  }
}

}  // namespace prs::cpu::PRS_ISA
