// Convolution with 3 x 3 taps by Winograd's F(4x4, 3x3), with an image in each lane: 36 products
// for 16 outputs of a tile instead of 144.
//
//   for groups of kTileVectors tiles:
//     V[i, c, p] = (Bt d B)[i]                       for each channel c, tile p; i = 0..35
//     M[i, f, p] = sum over c of U[i, f, c] V[i, c, p]        36 small products, as register tiles
//     y = activation(At M A + bias), pooled          for each filter f, tile p
//
// U = G g Gt was computed from the weights beforehand. With whole images in lanes the transforms
// are plain sums of vectors.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/lane_tile.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

constexpr int kOutputs = 4;  ///< Of a tile, along each axis.
constexpr int kInputs = 6;
constexpr int kProducts = kInputs * kInputs;

/// Floats between two of the 36 matrices. Their size alone is often a multiple of a page, where
/// every store of a tile's 36 values would fall into the same few cache lines.
std::int64_t matrix_stride(std::int64_t rows) { return (rows * kTileVectors + 1) * kLanes; }

/// Bt x
PRS_INLINE void transform_input(const Vec (&x)[kInputs], Vec (&y)[kInputs]) {
  const Vec a = x[4] - 4.0F * x[2];
  const Vec b = x[3] - 4.0F * x[1];
  const Vec c = x[4] - x[2];
  const Vec d = 2.0F * (x[3] - x[1]);
  y[0] = 4.0F * x[0] - 5.0F * x[2] + x[4];
  y[1] = a + b;
  y[2] = a - b;
  y[3] = c + d;
  y[4] = c - d;
  y[5] = 4.0F * x[1] - 5.0F * x[3] + x[5];
}

/// At x
PRS_INLINE void transform_output(const Vec (&x)[kInputs], Vec (&y)[kOutputs]) {
  const Vec sum12 = x[1] + x[2];
  const Vec difference12 = x[1] - x[2];
  const Vec sum34 = x[3] + x[4];
  const Vec difference34 = x[3] - x[4];
  y[0] = x[0] + sum12 + sum34;
  y[1] = difference12 + 2.0F * difference34;
  y[2] = sum12 + 4.0F * sum34;
  y[3] = difference12 + 8.0F * difference34 + x[5];
}

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
  PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
    const std::int64_t h = row - task.pad[0] + i;
    if (h >= 0 && h < task.in.height) {
      const float* from = plane + (h * task.in.pitch + first) * kLanes;
      Vec values[kInputs];
      PRS_UNROLL for (int j = 0; j < kInputs; ++j) values[j] = load(from + j * kLanes);
      transform_input(values, half[i]);
    } else {
      PRS_UNROLL for (int j = 0; j < kInputs; ++j) half[i][j] = Vec{};
    }
  }
  PRS_UNROLL for (int j = 0; j < kInputs; ++j) {
    Vec values[kInputs];
    Vec results[kInputs];
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) values[i] = half[i][j];
    transform_input(values, results);
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
      store(v + (i * kInputs + j) * stride, results[i]);
    }
  }
}

/// M[0..36) of one filter and tile -> up to 4 x 4 outputs, or those of the pool over them, at
/// (row, column) of the filter's plane.
void finish_tile(const LaneConvTask& task, const Grid& grid, const float* m, std::int64_t stride,
                 float bias, std::int64_t row, std::int64_t column, float* plane) {
  Vec half[kInputs][kOutputs];
  PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
    Vec values[kInputs];
    PRS_UNROLL for (int j = 0; j < kInputs; ++j) {
      values[j] = load(m + (i * kInputs + j) * stride);
    }
    transform_output(values, half[i]);
  }
  Vec outputs[kOutputs][kOutputs];
  PRS_UNROLL for (int j = 0; j < kOutputs; ++j) {
    Vec values[kInputs];
    Vec results[kOutputs];
    PRS_UNROLL for (int i = 0; i < kInputs; ++i) values[i] = half[i][j];
    transform_output(values, results);
    PRS_UNROLL for (int i = 0; i < kOutputs; ++i) outputs[i][j] = results[i] + broadcast(bias);
  }
  activate_tile(outputs, task.activation.kind, task.activation);
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
  const std::int64_t groups = (filters + kTileRows - 1) / kTileRows;
  float* v = operands.scratch;
  float* m = v + kProducts * v_stride;
  for (std::int64_t first = 0; first < grid.tiles; first += kTileVectors) {
    const std::int64_t tiles = smaller(grid.tiles - first, kTileVectors);
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* plane = operands.x + c * task.in.height * task.in.pitch * kLanes;
      for (std::int64_t p = 0; p < tiles; ++p) {
        transform_tile(task, plane, (first + p) / grid.tile_columns * kOutputs,
                       (first + p) % grid.tile_columns * kOutputs, v_stride,
                       v + (c * kTileVectors + p) * kLanes);
      }
    }
    LaneTile tile{.x = nullptr,
                  .at = 0,
                  .step = kLanes,
                  .plane = 0,
                  .channels = 1,
                  .first_tap = 0,
                  .end_tap = channels,
                  .taps = channels,
                  .shifts = operands.shifts,
                  .weights = operands.weights,
                  .bias = nullptr,
                  .y = nullptr,
                  .y_plane = kTileVectors * kLanes,
                  .positions = tiles,
                  .filters = 0,
                  .end = LaneTileEnd::kStore,
                  .activation = {}};
    for (std::int64_t i = 0; i < kProducts; ++i) {
      tile.x = v + i * v_stride;
      for (std::int64_t g = 0; g < groups; ++g) {
        tile.filters = smaller(filters - g * kTileRows, kTileRows);
        tile.y = m + i * m_stride + g * kTileRows * tile.y_plane;
        run_lane_tile(tile);
        tile.weights += channels * kTileRows;
      }
    }
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
