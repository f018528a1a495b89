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
#include "cpu/isa/im2col.hpp"
#include "cpu/isa/linear.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

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

/// Copies one group's input, as f32.
template <typename T>
void stage_f32(const ConvTask& task, const T* x, float* staged) {
  const std::int64_t plane = task.in[0] * task.in[1] * task.in[2];
  stage(task, [&](std::int64_t channel, std::int64_t offset, std::int64_t count, std::int64_t to) {
    copy_strided(x + channel * plane + offset, task.stride[2], count, staged + to);
  });
}

/// One group of one image.
struct Group {
  const float* x;
  const float* weights;
  const float* bias;
  float* y;
  PartRange filters;
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
  for (std::int64_t m = group.filters.first; m < group.filters.end; m += kTileRows) {
    const std::int64_t count = smaller(group.filters.end - m, kTileRows);
    target.y = group.y + m * outputs(task);
    if (group.bias != nullptr) ends.bias = group.bias + m;
    tile_function<F32, Rows>(count, vectors)(group.weights + m * task.k + k, task.k, rows, EveryK{},
                                             depth, ends, target);
  }
}

void run_direct(const ConvTask& task, const Group& group, const std::int32_t* shifts) {
  const std::int64_t width = task.out[2];
  const std::int64_t rows = task.out[0] * task.out[1];
  const std::int64_t wanted = task.filters == 1 ? kRowVectors : kTileVectors;
  ShiftedRows b{.base = {}, .shifts = shifts};
  TileTarget target{};
  set_rows(target, outputs(task));
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

void run_im2col(const ConvTask& task, const Group& group, const std::int32_t* shifts,
                float* gathered) {
  const std::int64_t total = outputs(task);
  TileTarget target{};
  set_rows(target, total);
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
  const PartRange filters = tile_rows_of(task.filters, operands.part);
  if (filters.first >= filters.end) return;
  float* staged = operands.scratch;
  if (task.staged && is_padded(task)) {
    __builtin_memset(staged, 0, static_cast<std::size_t>(staged_size(task)) * sizeof(float));
  }
  for (std::int64_t i = 0; i < task.images * task.groups; ++i) {
    const std::int64_t g = i % task.groups;
    Group group{.x = staged,
                .weights = operands.weights + g * task.filters * task.k,
                .bias = operands.bias == nullptr ? nullptr : operands.bias + g * task.filters,
                .y = operands.y + i * group_outputs,
                .filters = filters};
    const std::int64_t offset = i * group_inputs;
    if (task.x_is_u8) {
      stage_f32(task, static_cast<const std::uint8_t*>(operands.x) + offset, staged);
    } else if (task.staged) {
      stage_f32(task, static_cast<const float*>(operands.x) + offset, staged);
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
