// What convolutions share, whatever they multiply: how a group's input is staged, and how the
// inputs under the taps are gathered into panels (im2col). An input is 32 bits: an f32, or a word
// (words.hpp).
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {

inline std::int64_t outputs(const ConvTask& task) {
  return task.out[0] * task.out[1] * task.out[2];
}

inline std::int64_t staged_row(const ConvTask& task) { return task.stride[2] * task.pitch; }

/// One group's staged input and a vector's width behind it, which the last direct vectors may read.
inline std::int64_t staged_size(const ConvTask& task) {
  if (!task.staged) return 0;
  const std::int64_t rows = task.channels * task.staged_extent[0] * task.staged_extent[1];
  return (rows * staged_row(task) + 2 * kLanes - 1) / kLanes * kLanes;
}

inline bool is_padded(const ConvTask& task) {
  for (int i = 0; i < 3; ++i) {
    if (task.pad_begin[i] > 0 || task.staged_extent[i] > task.in[i]) return true;
  }
  return false;
}

/// The inputs of one row that belong to one phase: count of them, from column `first` on, the first
/// of them at position `to` of the phase.
struct Phase {
  std::int64_t first;
  std::int64_t to;
  std::int64_t count;
};

inline Phase find_phase(const ConvTask& task, std::int64_t phase) {
  const std::int64_t stride = task.stride[2];
  const std::int64_t pad = task.pad_begin[2];
  const std::int64_t columns = smaller(task.in[2], task.staged_extent[2] - pad);
  const std::int64_t first = (phase + stride - pad % stride) % stride;
  const std::int64_t count = first < columns ? (columns - first + stride - 1) / stride : 0;
  return {first, phase * task.pitch + (first + pad) / stride, count};
}

/// Copies the columns of one phase, of all rows that windows touch, with
/// copy(channel, offset in its plane, count, to).
template <typename Copy>
void stage_phase(const ConvTask& task, const Phase& phase, const Copy& copy) {
  for (std::int64_t c = 0; c < task.channels; ++c) {
    for (std::int64_t d = 0; d < task.in[0]; ++d) {
      const std::int64_t to_d = d + task.pad_begin[0];
      if (to_d >= task.staged_extent[0]) break;
      for (std::int64_t h = 0; h < task.in[1]; ++h) {
        const std::int64_t to_h = h + task.pad_begin[1];
        if (to_h >= task.staged_extent[1]) break;
        // Rows between windows.
        if (task.extent[1] < task.stride[1] && to_h % task.stride[1] >= task.extent[1]) continue;
        const std::int64_t plane = c * task.staged_extent[0] + to_d;
        copy(c, (d * task.in[1] + h) * task.in[2] + phase.first, phase.count,
             (plane * task.staged_extent[1] + to_h) * staged_row(task) + phase.to);
      }
    }
  }
}

/// Copies one group's input; the padding around it is there already.
template <typename Copy>
void stage(const ConvTask& task, const Copy& copy) {
  // Columns between windows make up the phases that are left out.
  const std::int64_t phases = smaller(task.stride[2], task.extent[2]);
  for (std::int64_t i = 0; i < phases; ++i) {
    const Phase phase = find_phase(task, i);
    if (phase.count > 0) stage_phase(task, phase, copy);
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

inline void fill_panel(const ConvTask& task, RowCursor& cursor, std::int64_t& column,
                       Panel& panel) {
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

inline void gather(const float* x, const std::int32_t* shifts, std::int64_t depth,
                   const Panel& panel, std::int64_t stride, float* gathered) {
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

}  // namespace prs::cpu::PRS_ISA
