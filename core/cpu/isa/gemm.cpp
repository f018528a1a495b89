// GEMM for f32, and the table of this directory's linear kernels.
//
//   for blocks of rows of A:                  staged as f32 rows when A is u8 or transposed
//     for panels of kTileColumns columns of B:
//       for blocks of kBlockDepth rows of B:  packed, unless they are already
//         for groups of kTileRows rows of A:  one register tile
//
// A is read where it lies: each row of a tile is one stream. B's panels are packed so that a tile
// reads one stream there, too.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/linear.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {

extern const GemmKernels kGemm;

namespace {

/// Rows of A that are staged at once.
constexpr std::int64_t kStagedRows = 64;
/// Rows of A between two passes over B: few enough that they stay in the second-level cache.
constexpr std::int64_t kPassRows = 512;

constexpr std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }

bool needs_staging(const GemmTask& task) { return task.a_is_u8 || task.a_column_stride != 1; }

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

template <typename T>
void stage_rows(const T* a, const GemmTask& task, std::int64_t rows, float* staged) {
  if (task.a_column_stride == 1) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const T* from = a + i * task.a_row_stride;
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
          static_cast<float>(a[i * task.a_row_stride + k * task.a_column_stride]);
    }
  }
}

/// A panel of B's columns, and the rows of A and y that it meets.
struct Strip {
  const float* a;
  std::int64_t a_stride;
  std::int64_t row;  ///< Of y, of the first row.
  std::int64_t rows;
  std::int64_t column;
  std::int64_t columns;
};

void run_block(const GemmTask& task, const GemmOperands& operands, const Strip& strip,
               std::int64_t k, std::int64_t depth, const DenseRows& b) {
  const std::int64_t vectors = (strip.columns + kLanes - 1) / kLanes;
  TileEnds ends{.bias = nullptr,
                .bias_row_stride = task.bias_row_stride,
                .bias_column_stride = task.bias_column_stride,
                .beta = task.beta,
                .activation = task.activation,
                .first = k == 0,
                .last = k + depth == task.k};
  TileTarget target{.y = nullptr, .row_stride = task.n, .at = {}, .lanes = {}};
  for (std::int64_t v = 0; v < vectors; ++v) {
    target.at[v] = v * kLanes;
    target.lanes[v] = smaller(strip.columns - v * kLanes, kLanes);
  }
  for (std::int64_t i = 0; i < strip.rows; i += kTileRows) {
    const std::int64_t rows = smaller(strip.rows - i, kTileRows);
    const std::int64_t row = strip.row + i;
    target.y = operands.y + row * task.n + strip.column;
    if (operands.bias != nullptr) {
      ends.bias =
          operands.bias + row * task.bias_row_stride + strip.column * task.bias_column_stride;
    }
    tile_function<F32, DenseRows>(rows, vectors)(strip.a + i * strip.a_stride + k, strip.a_stride,
                                                 b, depth, ends, target);
  }
}

void run_strip(const GemmTask& task, const GemmOperands& operands, const Strip& strip,
               float* panel) {
  const std::int64_t width = round_up(strip.columns, kLanes);
  std::int64_t k = 0;
  do {  // Once even for k = 0: y is the bias then.
    const std::int64_t depth = smaller(task.k - k, kBlockDepth);
    DenseRows rows{};
    const std::int64_t b = k * task.b_row_stride + strip.column * task.b_column_stride;
    if (task.b_is_packed) {
      // The panels before this one are all full.
      rows = {operands.b + strip.column * task.k + k * width, width};
    } else if (reads_b_in_place(task) && width == strip.columns) {
      rows = {operands.b + b, task.b_row_stride};
    } else {
      pack_panel(operands.b + b, task, depth, strip.columns, width, panel);
      rows = {panel, width};
    }
    run_block(task, operands, strip, k, depth, rows);
    k += depth;
  } while (k < task.k);
}

void gemm(const GemmTask& task, const GemmOperands& operands) {
  const bool staging = needs_staging(task);
  const std::int64_t pass_rows = staging ? kStagedRows : kPassRows;
  float* panel = operands.scratch;
  float* staged = panel + (task.b_is_packed ? 0 : kBlockDepth * kTileColumns);
  for (std::int64_t i = 0; i < task.m; i += pass_rows) {
    const std::int64_t rows = smaller(task.m - i, pass_rows);
    const std::int64_t offset = i * task.a_row_stride;
    const float* a = staged;
    if (task.a_is_u8) {
      stage_rows(static_cast<const std::uint8_t*>(operands.a) + offset, task, rows, staged);
    } else if (staging) {
      stage_rows(static_cast<const float*>(operands.a) + offset, task, rows, staged);
    } else {
      a = static_cast<const float*>(operands.a) + offset;
    }
    for (std::int64_t j = 0; j < task.n; j += kTileColumns) {
      run_strip(task, operands,
                {.a = a,
                 .a_stride = staging ? task.k : task.a_row_stride,
                 .row = i,
                 .rows = rows,
                 .column = j,
                 .columns = smaller(task.n - j, kTileColumns)},
                panel);
    }
  }
}

std::int64_t gemm_scratch(const GemmTask& task) {
  const std::int64_t panel = task.b_is_packed ? 0 : kBlockDepth * kTileColumns;
  return panel + (needs_staging(task) ? smaller(task.m, kStagedRows) * task.k : 0);
}

void pack(const GemmTask& task, const float* b, float* packed) {
  for (std::int64_t j = 0; j < task.n; j += kTileColumns) {
    const std::int64_t columns = smaller(task.n - j, kTileColumns);
    pack_panel(b + j * task.b_column_stride, task, task.k, columns, round_up(columns, kLanes),
               packed + j * task.k);
  }
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
