// Products of few rows: what the Gemm kernels that spread n and k over the whole device share.
//
// A block of 8 warps computes up to 8 rows of 1, 2, 4 or 8 columns. The constant matrix is packed
// as for tensor cores (GemmMmaArgs): four lanes have the 64 bytes of a column's stage, so that a
// warp reads eight of these at once. Stages of a column are dealt out to the groups of four lanes
// that a warp has for it, to the warps and, where that is worth it, to several blocks, the last of
// which adds up what all have found. Sums are made in an order that hangs on nothing but the
// arguments.
#pragma once

#include "kernels/common.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Whether the block is the last of `count` that come here; it sees what the others published
/// before. The ticket is 0 before the first and behind the last. All threads call it.
PRS_DEVICE bool is_last_block(unsigned* ticket, unsigned count) {
  PRS_SHARED(int, s_last, 1);
  sync_threads();
  if (thread_x() == 0) {
    fence_blocks();
    const bool last = atomic_add(ticket, 1u) == count - 1;
    if (last) *ticket = 0;
    fence_blocks();
    s_last.store(0, last ? 1 : 0);
  }
  sync_threads();
  return s_last.load(0) != 0;
}

/// The thread's share of all rows of its column: products.add(weights, run, sums) takes 16 bytes of
/// weights, number `run` of the column.
template <typename Products>
PRS_DEVICE void dot_stages(const DotShape& shape, std::int64_t column, const Products& products,
                           typename Products::Sum (&sums)[kDotRows]) {
  constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);
  const int quarter = static_cast<int>(lane()) % 4;
  const int groups = 8 / shape.columns;
  const std::int64_t warp =
      static_cast<std::int64_t>(block_y()) * kWarps + static_cast<int>(thread_x() / kWarpSize);
  const std::int64_t step = static_cast<std::int64_t>(shape.splits) * kWarps * groups;
  const std::int64_t pitch = std::int64_t{shape.tile_columns} * kDotWords;
  const std::uint32_t* from = static_cast<const std::uint32_t*>(shape.packed) +
                              column / shape.tile_columns * shape.stages * pitch +
                              column % shape.tile_columns * kDotWords + quarter * 4;
  std::int64_t stage = warp * groups + static_cast<int>(lane()) / 4 / shape.columns;
  for (; stage < shape.stages; stage += kDotLoads * step) {
    // All on their way before the first is used.
    std::uint32_t weights[kDotLoads][4] = {};
    PRS_UNROLL
    for (int i = 0; i < kDotLoads; ++i) {
      const std::int64_t at = stage + i * step;
      if (at < shape.stages) load_words(from + at * pitch, weights[i]);
    }
    PRS_UNROLL
    for (int i = 0; i < kDotLoads; ++i) {
      const std::int64_t at = stage + i * step;
      if (at < shape.stages) products.add(weights[i], at * 4 + quarter, sums);
    }
  }
}

/// Columns block_x() * shape.columns and up of rows block_z() * kDotRows and up, of an [m, n].
/// make(row0, rows) gives the products; products.store(row, column, sum) takes the results.
template <typename Make>
PRS_DEVICE void dot_tile(const DotShape& shape, std::int64_t m, std::int64_t n, const Make& make) {
  using Products = decltype(make(std::int64_t{}, int{}));
  using Sum = typename Products::Sum;
  constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);
  PRS_SHARED(Sum, s_sums, kWarps * kDotOutputs);  // [warp, row, column]
  const std::int64_t row0 = static_cast<std::int64_t>(block_z()) * kDotRows;
  const std::int64_t column0 = static_cast<std::int64_t>(block_x()) * shape.columns;
  const int rows = m - row0 < kDotRows ? static_cast<int>(m - row0) : kDotRows;
  const Products products = make(row0, rows);
  const int group = static_cast<int>(lane()) / 4;
  const int own_column = group % shape.columns;
  Sum sums[kDotRows] = {};
  if (column0 + own_column < n) dot_stages(shape, column0 + own_column, products, sums);
  const int warp = static_cast<int>(thread_x() / kWarpSize);
  PRS_UNROLL
  for (int row = 0; row < kDotRows; ++row) {
    if (row >= rows) continue;
    for (int lanes = 16; lanes >= 4 * shape.columns; lanes /= 2) {
      sums[row] += shuffle_xor(kFullMask, sums[row], static_cast<unsigned>(lanes));
    }
    sums[row] += shuffle_xor(kFullMask, sums[row], 2);
    sums[row] += shuffle_xor(kFullMask, sums[row], 1);
    if (lane() % 4 == 0 && group < shape.columns) {
      s_sums.store(warp * kDotOutputs + row * shape.columns + own_column, sums[row]);
    }
  }
  sync_threads();
  // One thread an output.
  const int own = static_cast<int>(thread_x());
  const bool has_output = own < rows * shape.columns;
  Sum sum = 0;
  for (int i = 0; has_output && i < kWarps; ++i) sum += s_sums.load(i * kDotOutputs + own);
  if (shape.splits > 1) {
    const std::int64_t tile = static_cast<std::int64_t>(block_z()) * grid_x() + block_x();
    Sum* partial = static_cast<Sum*>(shape.partial) + tile * shape.splits * kDotOutputs + own;
    if (has_output) publish(partial + block_y() * kDotOutputs, sum);
    if (!is_last_block(shape.tickets + tile, static_cast<unsigned>(shape.splits))) return;
    sum = 0;
    for (int i = 0; has_output && i < shape.splits; ++i) {
      sum += load_published(partial + i * kDotOutputs);
    }
  }
  const std::int64_t column = column0 + own % shape.columns;
  if (has_output && column < n) products.store(row0 + own / shape.columns, column, sum);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
