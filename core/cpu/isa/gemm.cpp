// GEMM for f32, and the table of this directory's linear kernels.
//
//   for blocks of rows of A:                  staged as f32 rows when A is u8 or transposed
//     for strips of up to kTileColumns columns of B:
//       for blocks of rows of B:              packed, unless they are already
//         for groups of kTileRows rows of A:  one register tile, of all k or of those in its list
//
// A is read where it lies: each row of a tile is one stream. B's panels are packed so that a tile
// reads one stream there, too.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/linear.hpp"
#include "cpu/isa/strips.hpp"
#include "cpu/isa/tile.hpp"
#include "cpu/isa/zeros.hpp"

namespace prs::cpu::PRS_ISA {

extern const GemmKernels kGemm;

namespace {

/// Rows of a packed B in a block: a panel of them, at most 192 KiB, stays in the second-level cache
/// while the rows of A pass by, which leave it time to come from there.
constexpr std::int64_t kPackedDepth = 1024;
/// Rows of A between two passes over B: few enough that they stay in the second-level cache.
constexpr std::int64_t kPassRows = 512;

constexpr std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }

bool needs_staging(const GemmTask& task) { return task.a_is_u8 || task.a_column_stride != 1; }

/// Floats of A that are staged at once.
std::int64_t staged_size(const GemmTask& task) {
  return needs_staging(task) ? smaller(task.m, kStagedRows) * task.k : 0;
}

/// A single group of rows would not pay for packing: B's rows are read where they lie.
bool reads_b_in_place(const GemmTask& task) {
  return !task.b_is_packed && task.b_column_stride == 1 && task.alpha == 1.0F &&
         task.m <= kTileRows;
}

/// B[0, depth) x [0, columns), strided, times alpha -> [depth, width], zeros past `columns`.
void pack_panel(const float* b, const GemmTask& task, std::int64_t depth, std::int64_t columns,
                std::int64_t width, float* panel) {
  if (task.b_column_stride == 1) {
    const std::int64_t whole = columns / kLanes * kLanes;
    for (std::int64_t k = 0; k < depth; ++k) {
      const float* row = b + k * task.b_row_stride;
      float* to = panel + k * width;
      for (std::int64_t j = 0; j < whole; j += kLanes) store(to + j, task.alpha * load(row + j));
      if (whole < columns) {
        store(to + whole, task.alpha * load_lanes(row + whole, columns - whole));
      }
    }
    return;
  }
  for (std::int64_t j = 0; j < width; ++j) {
    const float* column = b + j * task.b_column_stride;
    for (std::int64_t k = 0; k < depth; ++k) {
      panel[k * width + j] = j < columns ? task.alpha * column[k * task.b_row_stride] : 0.0F;
    }
  }
}

/// Row order(i) of A -> row i of staged.
template <typename T>
void stage_rows(const T* a, const GemmTask& task, const RowTiles& tiles, std::int64_t rows,
                float* staged) {
  if (task.a_column_stride == 1) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const T* from = a + tiles.order(i) * task.a_row_stride;
      float* to = staged + i * task.k;
      std::int64_t k = 0;
      if constexpr (sizeof(T) == 1) {
        for (; k + kLanes <= task.k; k += kLanes) store(to + k, load_bytes(from + k));
      }
      for (; k < task.k; ++k) to[k] = static_cast<float>(from[k]);
    }
    return;
  }
  for (std::int64_t k = 0; k < task.k; ++k) {
    for (std::int64_t i = 0; i < rows; ++i) {
      staged[i * task.k + k] =
          static_cast<float>(a[tiles.order(i) * task.a_row_stride + k * task.a_column_stride]);
    }
  }
}

/// Rows of A and y that pass B together.
struct Block {
  const float* a;
  std::int64_t a_stride;
  std::int64_t row;  ///< Of y, of the first row.
  std::int64_t rows;
  const RowTiles* tiles;  ///< Null: rows as they come, without lists.
};

/// A panel of B's columns.
struct Strip {
  std::int64_t column;
  std::int64_t columns;
};

void run_block(const GemmTask& task, const GemmOperands& operands, const Block& block,
               const Strip& strip, std::int64_t k, std::int64_t depth, const DenseRows& b) {
  const std::int64_t vectors = (strip.columns + kLanes - 1) / kLanes;
  TileTarget target{};
  set_rows(target, task.n);
  for (std::int64_t v = 0; v < vectors; ++v) {
    target.at[v] = v * kLanes;
    target.lanes[v] = smaller(strip.columns - v * kLanes, kLanes);
  }
  float* y = operands.y + block.row * task.n + strip.column;
  for (std::int64_t i = 0; i < block.rows; i += kTileRows) {
    const std::int64_t rows = smaller(block.rows - i, kTileRows);
    const float* a = block.a + i * block.a_stride + k;
    TileEnds ends = gemm_ends(task, operands.bias, block.row + i, strip.column);
    if (block.tiles != nullptr) {
      target.y = y;
      for (std::int64_t r = 0; r < rows; ++r) target.row_at[r] = block.tiles->order(i + r) * task.n;
      tile_function<F32, DenseRows, ListedK>(rows, vectors)(
          a, block.a_stride, b, block.tiles->ks(i), block.tiles->count(i), ends, target);
      continue;
    }
    ends.first = k == 0;
    ends.last = k + depth == task.k;
    target.y = y + i * task.n;
    tile_function<F32, DenseRows>(rows, vectors)(a, block.a_stride, b, EveryK{}, depth, ends,
                                                 target);
  }
}

void run_strip(const GemmTask& task, const GemmOperands& operands, const Block& block,
               const Strip& strip, float* panel) {
  const std::int64_t width = round_up(strip.columns, kLanes);
  const std::int64_t most = task.b_is_packed ? kPackedDepth : kBlockDepth;
  std::int64_t k = 0;
  do {  // Once even for k = 0: y is the bias then.
    const std::int64_t depth = smaller(task.k - k, most);
    DenseRows rows{};
    const std::int64_t b = k * task.b_row_stride + strip.column * task.b_column_stride;
    if (task.b_is_packed) {
      // The panels before this one are made of whole vectors.
      rows = {operands.b + strip.column * task.k + k * width, width};
    } else if (reads_b_in_place(task) && width == strip.columns) {
      rows = {operands.b + b, task.b_row_stride};
    } else {
      pack_panel(operands.b + b, task, depth, strip.columns, width, panel);
      rows = {panel, width};
    }
    run_block(task, operands, block, strip, k, depth, rows);
    k += depth;
  } while (k < task.k);
}

/// body(strip) for each strip of a part of B's columns.
template <typename Body>
PRS_INLINE void for_strips(std::int64_t n, const Part& part, const Body& body) {
  const std::int64_t vectors = (n + kLanes - 1) / kLanes;
  std::int64_t width = 0;
  for (std::int64_t first = 0; first < vectors; first += width) {
    width = strip_vectors(vectors - first, kTileVectors);
    if (!is_strip_of(part, vectors, first, width)) continue;
    body(Strip{first * kLanes, smaller(n - first * kLanes, width * kLanes)});
  }
}

/// Whether rows of `task` may have lists. Several rows: where no block of rows of B ends before all
/// of them.
bool may_list(const GemmTask& task) {
  return task.skips_zeros && (task.m == 1 || (may_arrange(task) && task.k <= kPackedDepth));
}

/// The order and the lists of a block's rows, which are staged in between.
bool arrange_rows(const GemmTask& task, const GemmOperands& operands, std::int64_t first,
                  std::int64_t rows, RowTiles& tiles) {
  if (rows == 1) {
    tiles.keep(rows);
    return true;
  }
  const auto* a = static_cast<const std::uint8_t*>(operands.a) + first * task.a_row_stride;
  return tiles.arrange(a, task.a_row_stride, rows, task.k);
}

void gemm(const GemmTask& task, const GemmOperands& operands) {
  const bool staging = needs_staging(task);
  const std::int64_t pass_rows = staging ? kStagedRows : kPassRows;
  float* panel = operands.scratch;
  float* staged = panel + (task.b_is_packed ? 0 : kBlockDepth * kTileColumns);
  RowTiles tiles;
  for (std::int64_t i = 0; i < task.m; i += pass_rows) {
    const std::int64_t rows = smaller(task.m - i, pass_rows);
    const std::int64_t offset = i * task.a_row_stride;
    Block block{.a = staged,
                .a_stride = staging ? task.k : task.a_row_stride,
                .row = i,
                .rows = rows,
                .tiles = nullptr};
    const bool listing = may_list(task) && arrange_rows(task, operands, i, rows, tiles);
    if (staging && !listing) tiles.keep(rows);
    if (task.a_is_u8) {
      stage_rows(static_cast<const std::uint8_t*>(operands.a) + offset, task, tiles, rows, staged);
    } else if (staging) {
      stage_rows(static_cast<const float*>(operands.a) + offset, task, tiles, rows, staged);
    } else {
      block.a = static_cast<const float*>(operands.a) + offset;
    }
    if (listing) {
      auto* lists = reinterpret_cast<std::int32_t*>(staged + staged_size(task));
      tiles.list(block.a, block.a_stride, rows, task.k, lists);
      block.tiles = &tiles;
    }
    if (listing && rows == 1) {
      run_row<F32>(
          block.a, operands.b, task.k, task.n, operands.part, tiles.ks(0), tiles.count(0),
          [&](std::int64_t column) { return gemm_ends(task, operands.bias, i, column); },
          [&](std::int64_t column) { return operands.y + i * task.n + column; });
      continue;
    }
    for_strips(task.n, operands.part,
               [&](const Strip& strip) { run_strip(task, operands, block, strip, panel); });
  }
}

std::int64_t gemm_scratch(const GemmTask& task) {
  const std::int64_t panel = task.b_is_packed ? 0 : kBlockDepth * kTileColumns;
  return panel + staged_size(task) + (may_list(task) ? lists_size(task.m, task.k) : 0);
}

void pack(const GemmTask& task, const float* b, float* packed) {
  for_strips(task.n, Part{}, [&](const Strip& strip) {
    pack_panel(b + strip.column * task.b_column_stride, task, task.k, strip.columns,
               round_up(strip.columns, kLanes), packed + strip.column * task.k);
  });
}

std::int64_t packed_size(std::int64_t n, std::int64_t k) { return round_up(n, kLanes) * k; }

}  // namespace

const GemmKernels kGemm{
    .lanes = kLanes,
    .tile_rows = kTileRows,
    .tile_columns = kTileColumns,
    .row_columns = kRowVectors * kLanes,
    .gemm = &gemm,
    .gemm_scratch = &gemm_scratch,
    .pack = &pack,
    .packed_size = &packed_size,
    .conv = &conv,
    .conv_scratch = &conv_scratch,
    .max_pool = &max_pool,
    .average_pool = &average_pool,
    .pool_scratch = &pool_scratch,
    .max_planes = &max_planes,
    .average_planes = &average_planes,
};

}  // namespace prs::cpu::PRS_ISA
