// Winograd's convolution of single images, with a tile in each lane.
//
//   for images, bands of tile rows:
//     for channels:  t = Bt d along columns, with vectors along rows of the image; then rows of t
//                    dealt out by 4, so that a vector holds the same column of 16 tiles -> V
//     for groups of kTileVectors vectors of tiles:  M from V; M -> outputs, dealt back into rows
//
// Each row of tiles is followed by a tile that nobody wants: then the last two of a tile's six
// columns are the first two of the next tile's, wherever the row ends.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/winograd.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

constexpr std::int64_t kGroupTiles = kTileVectors * kLanes;

std::int64_t ceil_div(std::int64_t x, std::int64_t y) { return (x + y - 1) / y; }

/// How an image is cut.
struct Bands {
  std::int64_t row_tiles;  ///< Tiles of a row and the unwanted one.
  std::int64_t rows;       ///< Rows of tiles in a band.
  std::int64_t groups;     ///< Of kTileVectors vectors, for a whole band.
  std::int64_t line;       ///< Floats of a band's row of t.
};

Bands make_bands(const WinogradTask& task) {
  const std::int64_t row_tiles = ceil_div(task.out[1], kOutputs) + 1;
  const std::int64_t rows =
      smaller(larger(kGroupTiles / row_tiles, 1), ceil_div(task.out[0], kOutputs));
  const std::int64_t groups = ceil_div(rows * row_tiles, kGroupTiles);
  // The last tiles' last columns lie a vector further.
  return {row_tiles, rows, groups, (groups * kGroupTiles + kLanes) * kOutputs};
}

PRS_INLINE Vec load_some(const float* p, std::int64_t count) { return load_part(p, count); }
PRS_INLINE Vec load_some(const std::uint8_t* p, std::int64_t count) {
  if (count == kLanes) return load_bytes(p);
  std::uint8_t bytes[kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) bytes[i] = p[i];
  return load_bytes(bytes);
}

/// t = Bt d of one channel for `rows` rows of tiles from `first` on: [6, line]. What lies beside
/// the image's columns is zero and stays so.
template <typename T>
void transform_columns(const WinogradTask& task, const Bands& bands, const T* plane,
                       std::int64_t first, std::int64_t rows, float* t) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t above = (first + r) * kOutputs - task.pad[0];
    float* to = t + r * bands.row_tiles * kOutputs + task.pad[1];
    for (std::int64_t w = 0; w < task.in[1]; w += kLanes) {
      const std::int64_t count = smaller(task.in[1] - w, kLanes);
      Vec values[kInputs];
      Vec results[kInputs];
      PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
        const std::int64_t h = above + i;
        const bool inside = h >= 0 && h < task.in[0];
        values[i] = inside ? load_some(plane + h * task.in[1] + w, count) : Vec{};
      }
      transform_input(values, results);
      PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
        store_part(to + i * bands.line + w, results[i], count);
      }
    }
  }
}

/// columns[j] = element j of every four, from p on; j = 0..3.
PRS_INLINE void deal_out(const float* p, Vec* columns) {
  const Vec even_low = even_lanes(load(p), load(p + kLanes));
  const Vec even_high = even_lanes(load(p + 2 * kLanes), load(p + 3 * kLanes));
  const Vec odd_low = odd_lanes(load(p), load(p + kLanes));
  const Vec odd_high = odd_lanes(load(p + 2 * kLanes), load(p + 3 * kLanes));
  columns[0] = even_lanes(even_low, even_high);
  columns[1] = even_lanes(odd_low, odd_high);
  columns[2] = odd_lanes(even_low, even_high);
  columns[3] = odd_lanes(odd_low, odd_high);
}

/// The reverse.
PRS_INLINE void deal_back(const Vec* columns, float* p) {
  const Vec even_low = zip_low(columns[0], columns[2]);
  const Vec even_high = zip_high(columns[0], columns[2]);
  const Vec odd_low = zip_low(columns[1], columns[3]);
  const Vec odd_high = zip_high(columns[1], columns[3]);
  store(p, zip_low(even_low, odd_low));
  store(p + kLanes, zip_high(even_low, odd_low));
  store(p + 2 * kLanes, zip_low(even_high, odd_high));
  store(p + 3 * kLanes, zip_high(even_high, odd_high));
}

/// One vector of tiles: t from p on -> V[0..36).
void transform_rows(const float* p, std::int64_t line, std::int64_t stride, float* v) {
  PRS_UNROLL for (int i = 0; i < kInputs; ++i) {
    Vec columns[2 * kOutputs];
    deal_out(p + i * line, columns);
    deal_out(p + i * line + kOutputs, columns + kOutputs);
    const Vec values[kInputs] = {columns[0], columns[1], columns[2],
                                 columns[3], columns[4], columns[5]};
    store_input_row(values, i, stride, v);
  }
}

/// M -> the outputs of one filter, of the group's tiles, which are [first_tile, end_tile) of a band
/// whose first output row is `row`. lines: [4, kGroupTiles * 4]
void finish_group(const WinogradTask& task, const Bands& bands, const float* m, float bias,
                  std::int64_t row, std::int64_t first_tile, std::int64_t end_tile, float* lines,
                  float* plane) {
  constexpr std::int64_t kLine = kGroupTiles * kOutputs;
  const std::int64_t stride = matrix_stride(task.filters);
  for (std::int64_t p = 0; first_tile + p * kLanes < end_tile; ++p) {
    Vec outputs[kOutputs][kOutputs];
    transform_products(m + p * kLanes, stride, bias, task.activation, outputs);
    PRS_UNROLL for (int i = 0; i < kOutputs; ++i) {
      deal_back(outputs[i], lines + i * kLine + p * kLanes * kOutputs);
    }
  }
  for (std::int64_t tile = first_tile; tile < end_tile;) {
    const std::int64_t tile_row = tile / bands.row_tiles;
    const std::int64_t next = smaller((tile_row + 1) * bands.row_tiles, end_tile);
    const std::int64_t column = (tile - tile_row * bands.row_tiles) * kOutputs;
    const std::int64_t count = smaller((next - tile) * kOutputs, task.out[1] - column);
    const std::int64_t top = row + tile_row * kOutputs;
    for (std::int64_t i = 0; count > 0 && i < smaller(task.out[0] - top, kOutputs); ++i) {
      copy(lines + i * kLine + (tile - first_tile) * kOutputs,
           plane + (top + i) * task.out[1] + column, count);
    }
    tile = next;
  }
}

struct Scratch {
  float* t;      // [6, line]
  float* v;      // [groups, 36 matrices]
  float* m;      // [36 matrices]
  float* lines;  // [4, kGroupTiles * 4]
};

template <typename T>
void convolve_band(const WinogradTask& task, const WinogradOperands& operands, const Bands& bands,
                   const T* x, std::int64_t first, float* y, const Scratch& scratch) {
  const PartRange filters = tile_rows_of(task.filters, operands.part);
  const std::int64_t rows = smaller(ceil_div(task.out[0], kOutputs) - first, bands.rows);
  const std::int64_t tiles = rows * bands.row_tiles;
  const std::int64_t v_stride = matrix_stride(task.channels);
  for (std::int64_t c = 0; c < task.channels; ++c) {
    transform_columns(task, bands, x + c * task.in[0] * task.in[1], first, rows, scratch.t);
    for (std::int64_t tile = 0; tile < tiles; tile += kLanes) {
      float* v = scratch.v + tile / kGroupTiles * kProducts * v_stride;
      transform_rows(scratch.t + tile * kOutputs, bands.line, v_stride,
                     v + c * kGroupTiles + tile % kGroupTiles);
    }
  }
  for (std::int64_t tile = 0; tile < tiles; tile += kGroupTiles) {
    const std::int64_t end = smaller(tiles, tile + kGroupTiles);
    multiply_transformed(operands.weights, operands.rows, task.channels, task.filters, filters,
                         ceil_div(end - tile, kLanes),
                         scratch.v + tile / kGroupTiles * kProducts * v_stride, scratch.m);
    for (std::int64_t f = filters.first; f < filters.end; ++f) {
      finish_group(task, bands, scratch.m + f * kGroupTiles, operands.bias[f], first * kOutputs,
                   tile, end, scratch.lines, y + f * task.out[0] * task.out[1]);
    }
  }
}

template <typename T>
void convolve(const WinogradTask& task, const WinogradOperands& operands) {
  const Bands bands = make_bands(task);
  Scratch scratch{.t = operands.scratch, .v = nullptr, .m = nullptr, .lines = nullptr};
  scratch.v = scratch.t + kInputs * bands.line;
  scratch.m = scratch.v + bands.groups * kProducts * matrix_stride(task.channels);
  scratch.lines = scratch.m + kProducts * matrix_stride(task.filters);
  __builtin_memset(scratch.t, 0, static_cast<std::size_t>(kInputs * bands.line) * sizeof(float));
  for (std::int64_t image = 0; image < task.images; ++image) {
    const T* x =
        static_cast<const T*>(operands.x) + image * task.channels * task.in[0] * task.in[1];
    float* y = operands.y + image * task.filters * task.out[0] * task.out[1];
    for (std::int64_t row = 0; row * kOutputs < task.out[0]; row += bands.rows) {
      convolve_band(task, operands, bands, x, row, y, scratch);
    }
  }
}

}  // namespace

void multiply_transformed(const float* weights, const std::int32_t* rows, std::int64_t channels,
                          std::int64_t filters, const PartRange& wanted, std::int64_t vectors,
                          const float* v, float* m) {
  const std::int64_t rounded = ceil_div(filters, kTileRows) * kTileRows;
  LaneTile tile{.x = nullptr,
                .at = 0,
                .step = kLanes,
                .plane = 0,
                .channels = 1,
                .first_tap = 0,
                .end_tap = channels,
                .taps = channels,
                .shifts = rows,
                .weights = nullptr,
                .bias = nullptr,
                .y = nullptr,
                .y_plane = kGroupTiles,
                .positions = vectors,
                .filters = 0,
                .end = LaneTileEnd::kStore,
                .activation = {}};
  for (std::int64_t i = 0; i < kProducts; ++i) {
    tile.x = v + i * matrix_stride(channels);
    for (std::int64_t f = wanted.first; f < wanted.end; f += kTileRows) {
      tile.filters = smaller(wanted.end - f, kTileRows);
      tile.weights = weights + (i * rounded + f) * channels;
      tile.y = m + i * matrix_stride(filters) + f * tile.y_plane;
      run_lane_tile(tile);
    }
  }
}

std::int64_t tile_winograd_scratch(const WinogradTask& task) {
  const Bands bands = make_bands(task);
  return kInputs * bands.line + bands.groups * kProducts * matrix_stride(task.channels) +
         kProducts * matrix_stride(task.filters) + kOutputs * kGroupTiles * kOutputs;
}

void tile_winograd(const WinogradTask& task, const WinogradOperands& operands) {
  if (task.x_is_u8) {
    convolve<std::uint8_t>(task, operands);
  } else {
    convolve<float>(task, operands);
  }
}

}  // namespace prs::cpu::PRS_ISA
