// Convolution for f32 as products of the filters, [filters, k], with the input under each tap,
// [k, outputs]: the latter either read in place (direct) or gathered into panels (im2col).
//
//   for images, groups:
//     stage the group's input (where needed)
//     direct:  for runs of kTileVectors vectors of outputs:
//                for groups of kTileRows filters:  one register tile, all of k
//     im2col:  for panels of kTileColumns outputs:
//                for blocks of kBlockDepth taps:   gather the panel
//                  for groups of kTileRows filters:  one register tile
#include "cpu/isa/begin.hpp"

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/linear.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

std::int64_t outputs(const ConvTask& task) { return task.out[0] * task.out[1] * task.out[2]; }

std::int64_t staged_row(const ConvTask& task) { return task.stride[2] * task.pitch; }

/// One group's staged input and a vector's width behind it, which the last direct vectors may read.
std::int64_t staged_size(const ConvTask& task) {
  if (!task.staged) return 0;
  const std::int64_t rows = task.channels * task.staged_extent[0] * task.staged_extent[1];
  return (rows * staged_row(task) + 2 * kLanes - 1) / kLanes * kLanes;
}

bool is_padded(const ConvTask& task) {
  for (int i = 0; i < 3; ++i) {
    if (task.pad_begin[i] > 0 || task.staged_extent[i] > task.in[i]) return true;
  }
  return false;
}

/// to[i] = from[i * stride]
template <typename T>
void copy_strided(const T* from, std::int64_t stride, std::int64_t count, float* to) {
  if (stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
  } else if (stride == 2) {  // A constant, so that the compiler shuffles vectors.
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[2 * i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i * stride]);
  }
}

/// The inputs of one row that belong to one phase: count of them, from column `first` on, the first
/// of them at position `to` of the phase.
struct Phase {
  std::int64_t first;
  std::int64_t to;
  std::int64_t count;
};

Phase find_phase(const ConvTask& task, std::int64_t phase) {
  const std::int64_t stride = task.stride[2];
  const std::int64_t pad = task.pad_begin[2];
  const std::int64_t columns = smaller(task.in[2], task.staged_extent[2] - pad);
  const std::int64_t first = (phase + stride - pad % stride) % stride;
  const std::int64_t count = first < columns ? (columns - first + stride - 1) / stride : 0;
  return {first, phase * task.pitch + (first + pad) / stride, count};
}

/// Copies the columns of one phase, of all rows that windows touch.
template <typename T>
void stage_phase(const ConvTask& task, const T* x, const Phase& phase, float* staged) {
  for (std::int64_t c = 0; c < task.channels; ++c) {
    for (std::int64_t d = 0; d < task.in[0]; ++d) {
      const std::int64_t to_d = d + task.pad_begin[0];
      if (to_d >= task.staged_extent[0]) break;
      for (std::int64_t h = 0; h < task.in[1]; ++h) {
        const std::int64_t to_h = h + task.pad_begin[1];
        if (to_h >= task.staged_extent[1]) break;
        // Rows between windows.
        if (task.extent[1] < task.stride[1] && to_h % task.stride[1] >= task.extent[1]) continue;
        const T* row = x + ((c * task.in[0] + d) * task.in[1] + h) * task.in[2];
        const std::int64_t plane = c * task.staged_extent[0] + to_d;
        copy_strided(row + phase.first, task.stride[2], phase.count,
                     staged + (plane * task.staged_extent[1] + to_h) * staged_row(task) + phase.to);
      }
    }
  }
}

/// Copies one group's input; the padding around it is zero already.
template <typename T>
void stage(const ConvTask& task, const T* x, float* staged) {
  // Columns between windows make up the phases that are left out.
  const std::int64_t phases = smaller(task.stride[2], task.extent[2]);
  for (std::int64_t i = 0; i < phases; ++i) {
    const Phase phase = find_phase(task, i);
    if (phase.count > 0) stage_phase(task, x, phase, staged);
  }
}

/// Walks over the output rows of all planes.
class RowCursor {
 public:
  explicit RowCursor(const ConvTask& task) : task_(task) {}

  std::int64_t row() const { return row_; }
  /// Where shift 0 reads for the row's first output.
  std::int64_t input() const {
    return (plane_ * task_.stride[0] * task_.staged_extent[1] + height_ * task_.stride[1]) *
           staged_row(task_);
  }
  void advance() {
    ++row_;
    if (++height_ == task_.out[1]) {
      height_ = 0;
      ++plane_;
    }
  }

 private:
  const ConvTask& task_;
  std::int64_t row_ = 0;
  std::int64_t plane_ = 0;
  std::int64_t height_ = 0;
};

/// One group of one image.
struct Group {
  const float* x;
  const float* weights;
  const float* bias;
  float* y;
};

template <typename Rows>
void run_filters(const ConvTask& task, const Group& group, const Rows& rows, std::int64_t k,
                 std::int64_t depth, std::int64_t vectors, TileTarget& target) {
  TileEnds ends{.bias = nullptr,
                .bias_row_stride = 1,
                .bias_column_stride = 0,
                .beta = 1.0F,
                .activation = task.activation,
                .first = k == 0,
                .last = k + depth == task.k};
  for (std::int64_t m = 0; m < task.filters; m += kTileRows) {
    const std::int64_t count = smaller(task.filters - m, kTileRows);
    target.y = group.y + m * target.row_stride;
    if (group.bias != nullptr) ends.bias = group.bias + m;
    tile_function<Rows>(count, vectors)(group.weights + m * task.k + k, task.k, rows, depth, ends,
                                        target);
  }
}

void run_direct(const ConvTask& task, const Group& group, const std::int32_t* shifts) {
  const std::int64_t width = task.out[2];
  const std::int64_t rows = task.out[0] * task.out[1];
  const std::int64_t wanted = task.filters == 1 ? kRowVectors : kTileVectors;
  ShiftedRows b{.base = {}, .shifts = shifts};
  TileTarget target{.y = nullptr, .row_stride = outputs(task), .at = {}, .lanes = {}};
  RowCursor cursor(task);
  std::int64_t column = 0;
  while (cursor.row() < rows) {
    std::int64_t vectors = 0;
    for (; vectors < wanted && cursor.row() < rows; ++vectors) {
      // The last vector of a row moves back to end with the row: it computes some outputs again.
      const std::int64_t start = larger(smaller(column, width - kLanes), 0);
      b.base[vectors] = group.x + cursor.input() + start;
      target.at[vectors] = cursor.row() * width + start;
      target.lanes[vectors] = smaller(width, kLanes);
      column += kLanes;
      if (column >= width) {
        column = 0;
        cursor.advance();
      }
    }
    run_filters(task, group, b, 0, task.k, vectors, target);
  }
}

/// Neighbouring outputs of one row, at most a vector of them: `count` inputs from `from` on go to
/// panel columns from `to` on.
struct Piece {
  std::int64_t from;
  std::int64_t to;
  std::int64_t count;
};

/// A panel's columns: the outputs from the cursor on.
struct Panel {
  std::int64_t columns = 0;
  std::int64_t piece_count = 0;
  Piece pieces[kTileColumns];  ///< Each adds a column at least.
};

void fill_panel(const ConvTask& task, RowCursor& cursor, std::int64_t& column, Panel& panel) {
  const std::int64_t rows = task.out[0] * task.out[1];
  panel.columns = 0;
  panel.piece_count = 0;
  while (panel.columns < kTileColumns && cursor.row() < rows) {
    const std::int64_t count = smaller(task.out[2] - column, kTileColumns - panel.columns);
    const std::int64_t from = cursor.input() + column;
    for (std::int64_t i = 0; i < count; i += kLanes) {
      // The last vector moves back to end with the row: it copies some columns again.
      const std::int64_t start = larger(smaller(i, count - kLanes), 0);
      panel.pieces[panel.piece_count++] = {from + start, panel.columns + start,
                                           smaller(count, kLanes)};
    }
    panel.columns += count;
    column += count;
    if (column == task.out[2]) {
      column = 0;
      cursor.advance();
    }
  }
}

void gather(const float* x, const std::int32_t* shifts, std::int64_t depth, const Panel& panel,
            std::int64_t stride, float* gathered) {
  for (std::int64_t i = 0; i < panel.piece_count; ++i) {
    const Piece piece = panel.pieces[i];
    const float* from = x + piece.from;
    float* to = gathered + piece.to;
    if (piece.count == kLanes) {
      for (std::int64_t k = 0; k < depth; ++k) store(to + k * stride, load(from + shifts[k]));
    } else {
      for (std::int64_t k = 0; k < depth; ++k) {
        store_lanes(to + k * stride, load_lanes(from + shifts[k], piece.count), piece.count);
      }
    }
  }
}

void run_im2col(const ConvTask& task, const Group& group, const std::int32_t* shifts,
                float* gathered) {
  const std::int64_t total = outputs(task);
  TileTarget target{.y = nullptr, .row_stride = total, .at = {}, .lanes = {}};
  RowCursor cursor(task);
  std::int64_t column = 0;
  Panel panel;
  for (std::int64_t first = 0; first < total; first += panel.columns) {
    fill_panel(task, cursor, column, panel);
    const std::int64_t vectors = (panel.columns + kLanes - 1) / kLanes;
    const std::int64_t stride = vectors * kLanes;
    for (std::int64_t v = 0; v < vectors; ++v) {
      target.at[v] = first + v * kLanes;
      target.lanes[v] = smaller(panel.columns - v * kLanes, kLanes);
    }
    std::int64_t k = 0;
    do {  // Once even for k = 0: y is the bias then.
      const std::int64_t depth = smaller(task.k - k, kBlockDepth);
      gather(group.x, shifts + k, depth, panel, stride, gathered);
      run_filters(task, group, DenseRows{gathered, stride}, k, depth, vectors, target);
      k += depth;
    } while (k < task.k);
  }
}

}  // namespace

std::int64_t conv_scratch(const ConvTask& task) {
  return staged_size(task) + (task.direct ? 0 : kBlockDepth * kTileColumns);
}

void conv(const ConvTask& task, const ConvOperands& operands) {
  const std::int64_t group_inputs = task.channels * task.in[0] * task.in[1] * task.in[2];
  const std::int64_t group_outputs = task.filters * outputs(task);
  float* staged = operands.scratch;
  if (task.staged && is_padded(task)) {
    __builtin_memset(staged, 0, static_cast<std::size_t>(staged_size(task)) * sizeof(float));
  }
  for (std::int64_t i = 0; i < task.images * task.groups; ++i) {
    const std::int64_t g = i % task.groups;
    Group group{.x = staged,
                .weights = operands.weights + g * task.filters * task.k,
                .bias = operands.bias == nullptr ? nullptr : operands.bias + g * task.filters,
                .y = operands.y + i * group_outputs};
    const std::int64_t offset = i * group_inputs;
    if (task.x_is_u8) {
      stage(task, static_cast<const std::uint8_t*>(operands.x) + offset, staged);
    } else if (task.staged) {
      stage(task, static_cast<const float*>(operands.x) + offset, staged);
    } else {
      group.x = static_cast<const float*>(operands.x) + offset;
    }
    if (task.direct) {
      run_direct(task, group, operands.shifts);
    } else {
      run_im2col(task, group, operands.shifts, staged + staged_size(task));
    }
  }
}

}  // namespace prs::cpu::PRS_ISA
