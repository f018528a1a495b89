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

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

std::int64_t outputs(const ConvTask& task) { return task.out[0] * task.out[1] * task.out[2]; }

std::int64_t staged_row(const ConvTask& task) { return task.stride[2] * task.pitch; }

/// One group's staged input and a vector's width behind it, which the last direct vectors may read.
std::int64_t staged_size(const ConvTask& task) {
  if (!task.staged) return 0;
  const std::int64_t rows = task.channels * task.staged_extent[0] * task.staged_extent[1];
  return (rows * staged_row(task) + 2 * kLanes - 1) / kLanes * kLanes;
}

/// Deals out x[0, count) from padded position `at` into the row's phases.
template <typename T>
void stage_row(const ConvTask& task, const T* x, std::int64_t count, float* row) {
  const std::int64_t stride = task.stride[2];
  const std::int64_t pad = task.pad_begin[2];
  for (std::int64_t phase = 0; phase < stride; ++phase) {
    // The first column of this phase: the smallest i >= 0 with (i + pad) % stride == phase.
    const std::int64_t first = (phase + stride - pad % stride) % stride;
    float* to = row + phase * task.pitch + (first + pad) / stride;
    const std::int64_t n = first < count ? (count - first + stride - 1) / stride : 0;
    if (stride == 1) {
      for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(x[i]);
    } else {
      for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(x[first + i * stride]);
    }
  }
}

/// Copies the parts of one group's input that windows touch; the padding around them is zero
/// already.
template <typename T>
void stage(const ConvTask& task, const T* x, float* staged) {
  const std::int64_t columns = smaller(task.in[2], task.staged_extent[2] - task.pad_begin[2]);
  for (std::int64_t c = 0; c < task.channels; ++c) {
    for (std::int64_t d = 0; d < task.in[0]; ++d) {
      const std::int64_t to_d = d + task.pad_begin[0];
      if (to_d >= task.staged_extent[0]) break;
      for (std::int64_t h = 0; h < task.in[1]; ++h) {
        const std::int64_t to_h = h + task.pad_begin[1];
        if (to_h >= task.staged_extent[1]) break;
        const std::int64_t plane = c * task.staged_extent[0] + to_d;
        stage_row(task, x + ((c * task.in[0] + d) * task.in[1] + h) * task.in[2], columns,
                  staged + (plane * task.staged_extent[1] + to_h) * staged_row(task));
      }
    }
  }
}

/// Where tap shift 0 reads for the first output of an output row (all planes' rows counted).
std::int64_t row_start(const ConvTask& task, std::int64_t output_row) {
  const std::int64_t d = output_row / task.out[1];
  const std::int64_t h = output_row % task.out[1];
  return (d * task.stride[0] * task.staged_extent[1] + h * task.stride[1]) * staged_row(task);
}

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
  const std::int64_t row_vectors = (width + kLanes - 1) / kLanes;
  const std::int64_t total = task.out[0] * task.out[1] * row_vectors;
  ShiftedRows rows{.base = {}, .shifts = shifts};
  TileTarget target{.y = nullptr, .row_stride = outputs(task), .at = {}, .lanes = {}};
  for (std::int64_t first = 0; first < total; first += kTileVectors) {
    const std::int64_t vectors = smaller(total - first, kTileVectors);
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int64_t row = (first + v) / row_vectors;
      // The last vector of a row moves back to end with the row: it computes some outputs again.
      const std::int64_t column =
          larger(smaller((first + v) % row_vectors * kLanes, width - kLanes), 0);
      rows.base[v] = group.x + row_start(task, row) + column;
      target.at[v] = row * width + column;
      target.lanes[v] = smaller(width, kLanes);
    }
    run_filters(task, group, rows, 0, task.k, vectors, target);
  }
}

/// Outputs next to each other in one output row: `count` inputs from `from`, to panel columns `to`.
struct Run {
  std::int64_t from;
  std::int64_t to;
  std::int64_t count;
};

std::int64_t find_runs(const ConvTask& task, std::int64_t first, std::int64_t columns, Run* runs) {
  std::int64_t count = 0;
  for (std::int64_t j = 0; j < columns;) {
    const std::int64_t column = (first + j) % task.out[2];
    const std::int64_t length = smaller(task.out[2] - column, columns - j);
    runs[count++] = {row_start(task, (first + j) / task.out[2]) + column, j, length};
    j += length;
  }
  return count;
}

void run_im2col(const ConvTask& task, const Group& group, const std::int32_t* shifts,
                float* panel) {
  const std::int64_t total = outputs(task);
  TileTarget target{.y = nullptr, .row_stride = total, .at = {}, .lanes = {}};
  for (std::int64_t first = 0; first < total; first += kTileColumns) {
    const std::int64_t columns = smaller(total - first, kTileColumns);
    const std::int64_t vectors = (columns + kLanes - 1) / kLanes;
    const std::int64_t stride = vectors * kLanes;
    for (std::int64_t v = 0; v < vectors; ++v) {
      target.at[v] = first + v * kLanes;
      target.lanes[v] = smaller(columns - v * kLanes, kLanes);
    }
    Run runs[kTileColumns];
    const std::int64_t run_count = find_runs(task, first, columns, runs);
    std::int64_t k = 0;
    do {  // Once even for k = 0: y is the bias then.
      const std::int64_t depth = smaller(task.k - k, kBlockDepth);
      for (std::int64_t i = 0; i < depth; ++i) {
        for (std::int64_t r = 0; r < run_count; ++r) {
          copy(group.x + shifts[k + i] + runs[r].from, panel + i * stride + runs[r].to,
               runs[r].count);
        }
      }
      run_filters(task, group, DenseRows{panel, stride}, k, depth, vectors, target);
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
  if (task.staged) __builtin_memset(staged, 0, static_cast<std::size_t>(staged_size(task)) * 4);
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
