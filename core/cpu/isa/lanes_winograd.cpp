// Winograd's convolution with an image in each lane: the transforms are plain sums of vectors.
//
//   for groups of kTileVectors tiles:  inputs of each channel -> V, M from V, M -> outputs, pooled
#include "cpu/isa/begin.hpp"

#include "cpu/isa/winograd.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

struct Grid {
  std::int64_t rows;  ///< Of the convolution's outputs that are wanted.
  std::int64_t columns;
  std::int64_t tile_columns;
  std::int64_t tiles;
};

Grid make_grid(const LaneConvTask& task) {
  const std::int64_t rows = task.out.height * task.pool;
  const std::int64_t columns = task.out.width * task.pool;
  const std::int64_t tile_columns = (columns + kOutputs - 1) / kOutputs;
  return {rows, columns, tile_columns, (rows + kOutputs - 1) / kOutputs * tile_columns};
}

/// One channel's 6 x 6 inputs of the tile whose outputs begin at (row, column) -> V[0..36).
void transform_tile(const LaneConvTask& task, const float* plane, std::int64_t row,
                    std::int64_t column, std::int64_t stride, float* v) {
  Vec half[kInputs][kInputs];
  const std::int64_t first = task.in.pad - task.pad[1] + column;
  PRS_UNROLL for (int j = 0; j < kInputs; ++j) {
    Vec values[kInputs];
    Vec results[kInputs];
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
      const std::int64_t h = row - task.pad[0] + i;
      const bool inside = h >= 0 && h < task.in.height;
      values[i] = inside ? load(plane + (h * task.in.pitch + first + j) * kLanes) : Vec{};
    }
    transform_input(values, results);
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) half[i][j] = results[i];
  }
  PRS_UNROLL for (int i = 0; i < kInputs; ++i) store_input_row(half[i], i, stride, v);
}

/// M[0..36) of one filter and tile -> up to 4 x 4 outputs, or those of the pool over them, at
/// (row, column) of the filter's plane.
void finish_tile(const LaneConvTask& task, const Grid& grid, const float* m, std::int64_t stride,
                 float bias, std::int64_t row, std::int64_t column, float* plane) {
  Vec outputs[kOutputs][kOutputs];
  transform_products(m, stride, bias, task.activation, outputs);
  const LaneTensor& out = task.out;
  const std::int64_t at = row / task.pool * out.pitch + out.pad + column / task.pool;
  float* y = plane + at * kLanes;
  const std::int64_t rows = smaller(grid.rows - row, kOutputs);
  const std::int64_t columns = smaller(grid.columns - column, kOutputs);
  if (task.pool == 2) {
    PRS_UNROLL for (int i = 0; i < kOutputs; i += 2) {
      PRS_UNROLL for (int j = 0; j < kOutputs; j += 2) {
        const Vec upper = larger_or_nan(outputs[i][j], outputs[i][j + 1]);
        const Vec lower = larger_or_nan(outputs[i + 1][j], outputs[i + 1][j + 1]);
        if (i < rows && j < columns) {
          store(y + (i / 2 * out.pitch + j / 2) * kLanes, larger_or_nan(upper, lower));
        }
      }
    }
  } else {
    PRS_UNROLL for (int i = 0; i < kOutputs; ++i) {
      PRS_UNROLL for (int j = 0; j < kOutputs; ++j) {
        if (i < rows && j < columns) store(y + (i * out.pitch + j) * kLanes, outputs[i][j]);
      }
    }
  }
}

}  // namespace

std::int64_t winograd_scratch(const LaneConvTask& task) {
  return kProducts * (matrix_stride(task.in.channels) + matrix_stride(task.out.channels));
}

void winograd(const LaneConvTask& task, const LaneConvOperands& operands) {
  const Grid grid = make_grid(task);
  const std::int64_t channels = task.in.channels;
  const std::int64_t filters = task.out.channels;
  const std::int64_t v_stride = matrix_stride(channels);
  const std::int64_t m_stride = matrix_stride(filters);
  float* v = operands.scratch;
  float* m = v + kProducts * v_stride;
  const PartRange groups = share_of((grid.tiles + kTileVectors - 1) / kTileVectors, operands.part);
  for (std::int64_t group = groups.first; group < groups.end; ++group) {
    const std::int64_t first = group * kTileVectors;
    const std::int64_t tiles = smaller(grid.tiles - first, kTileVectors);
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* plane = operands.x + c * task.in.height * task.in.pitch * kLanes;
      for (std::int64_t p = 0; p < tiles; ++p) {
        transform_tile(task, plane, (first + p) / grid.tile_columns * kOutputs,
                       (first + p) % grid.tile_columns * kOutputs, v_stride,
                       v + (c * kTileVectors + p) * kLanes);
      }
    }
    multiply_transformed(operands.weights, operands.shifts, channels, filters, {0, filters}, tiles,
                         v, m);
    for (std::int64_t f = 0; f < filters; ++f) {
      float* plane = operands.y + f * task.out.height * task.out.pitch * kLanes;
      for (std::int64_t p = 0; p < tiles; ++p) {
        finish_tile(task, grid, m + (f * kTileVectors + p) * kLanes, m_stride, operands.bias[f],
                    (first + p) / grid.tile_columns * kOutputs,
                    (first + p) % grid.tile_columns * kOutputs, plane);
      }
    }
  }
}

}  // namespace prs::cpu::PRS_ISA
