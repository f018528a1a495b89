// The f32 kernels with an image in each lane, and their table. Winograd's lies in
// lanes_winograd.cpp.
//
//   conv:  for output rows:                          (taps above and below the input are left out)
//            for runs of positions:                  kTileVectors, or a pool's window
//              for groups of kTileRows filters:      one register tile
#include "cpu/isa/begin.hpp"

#include "cpu/isa/lane_tile.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/isa/transpose.hpp"

namespace prs::cpu::PRS_ISA {

extern const LaneKernels kLaneKernels;

namespace {

// ---- between images in a row and images in lanes
// -------------------------------------------------

/// Elements that are transposed at once.
constexpr std::int64_t kPixelChunk = 16;
constexpr std::int64_t kFloatChunk = kLanes;

/// columns[j] = element j of each row, as f32.
PRS_INLINE void gather_columns(const std::uint8_t* const* rows, Vec* columns) {
  Pixels pixels[kLanes];
  PRS_UNROLL for (int i = 0; i < kLanes; ++i) {
    pixels[i] = *reinterpret_cast<const LoosePixels*>(rows[i]);
  }
  transpose(pixels);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(pixels);
  for (int j = 0; j < kPixelChunk; ++j) columns[j] = load_bytes(bytes + j * kLanes);
}

PRS_INLINE void gather_columns(const float* const* rows, Vec* columns) {
  Vec values[kLanes];
  PRS_UNROLL for (int i = 0; i < kLanes; ++i) values[i] = load(rows[i]);
  transpose(values);
  PRS_UNROLL for (int i = 0; i < kLanes; ++i) columns[i] = values[i];
}

template <typename T, std::int64_t kChunk>
void load_block(const T* x, std::int64_t stride, std::int64_t count, const LaneTensor& shape,
                float* y) {
  const std::int64_t size = shape.channels * shape.height * shape.width;
  float* to = y + shape.pad * kLanes;
  std::int64_t column = 0;
  for (std::int64_t first = 0; first < size; first += kChunk) {
    const std::int64_t filled = smaller(size - first, kChunk);
    const T* rows[kLanes];
    T tail[kLanes][kChunk];
    for (std::int64_t i = 0; i < kLanes; ++i) {
      rows[i] = x + smaller(i, count - 1) * stride + first;
      if (filled < kChunk) {
        // Nothing is read past the last image's end.
        for (std::int64_t j = 0; j < kChunk; ++j) tail[i][j] = j < filled ? rows[i][j] : T{0};
        rows[i] = tail[i];
      }
    }
    Vec columns[kChunk];
    gather_columns(rows, columns);
    for (std::int64_t j = 0; j < filled; ++j) {
      store(to, columns[j]);
      to += kLanes;
      if (++column == shape.width) {
        column = 0;
        to += (shape.pitch - shape.width) * kLanes;
      }
    }
  }
}

void store_block(const float* x, std::int64_t size, std::int64_t count, float* y) {
  for (std::int64_t first = 0; first < size; first += kFloatChunk) {
    const std::int64_t filled = smaller(size - first, kFloatChunk);
    Vec values[kLanes];
    PRS_UNROLL for (int i = 0; i < kLanes; ++i) {
      values[i] = i < filled ? load(x + (first + i) * kLanes) : Vec{};
    }
    transpose(values);
    for (std::int64_t i = 0; i < count; ++i) store_part(y + i * size + first, values[i], filled);
  }
}

void clear_pads(const LaneTensor& shape, float* y) {
  const std::int64_t end = shape.pad + shape.width;
  for (std::int64_t row = 0; row < shape.channels * shape.height; ++row) {
    float* columns = y + row * shape.pitch * kLanes;
    for (std::int64_t w = 0; w < shape.pad; ++w) store(columns + w * kLanes, Vec{});
    for (std::int64_t w = end; w < shape.pitch; ++w) store(columns + w * kLanes, Vec{});
  }
}

// ---- convolution
// ---------------------------------------------------------------------------------

/// The taps [first, end) of one axis that lie inside [0, extent), tap 0 at `start`.
struct TapRange {
  std::int64_t first;
  std::int64_t end;
};

TapRange taps_inside(std::int64_t start, std::int64_t taps, std::int64_t dilation,
                     std::int64_t extent) {
  const std::int64_t first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
  const std::int64_t end = start >= extent ? 0 : (extent - start + dilation - 1) / dilation;
  return {smaller(first, taps), smaller(end, taps)};
}

template <int F, int P>
void lane_tile(const LaneTile& tile) {
  Vec sums[F][P];
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    const Vec bias = tile.bias == nullptr ? Vec{} : broadcast(tile.bias[f]);
    PRS_UNROLL for (int p = 0; p < P; ++p) sums[f][p] = bias;
  }
  const float* weights = tile.weights + tile.first_tap * kTileRows;
  std::int64_t at = tile.at;
  for (std::int64_t c = 0; c < tile.channels; ++c) {
    const float* w = weights;
    for (std::int64_t t = tile.first_tap; t < tile.end_tap; ++t) {
      const float* x = tile.x + (at + tile.shifts[t]);
      Vec values[P];
      PRS_UNROLL for (int p = 0; p < P; ++p) values[p] = load(x + p * tile.step);
      PRS_UNROLL for (int f = 0; f < F; ++f) {
        const Vec weight = broadcast(w[f]);
        PRS_UNROLL for (int p = 0; p < P; ++p) sums[f][p] += weight * values[p];
      }
      w += kTileRows;
    }
    weights += tile.taps * kTileRows;
    at += tile.plane;
  }
  activate_tile(sums, tile.activation.kind, tile.activation);
  float* y = tile.y;
  if (tile.end == LaneTileEnd::kStore) {
    PRS_UNROLL for (int f = 0; f < F; ++f) {
      if (f >= tile.filters) return;
      PRS_UNROLL for (int p = 0; p < P; ++p) store(y + p * kLanes, sums[f][p]);
      y += tile.y_plane;
    }
    return;
  }
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    if (f >= tile.filters) return;
    Vec best = sums[f][0];
    PRS_UNROLL for (int p = 1; p < P; ++p) best = larger_or_nan(best, sums[f][p]);
    if (tile.end == LaneTileEnd::kPoolMore) best = larger_or_nan(load(y), best);
    store(y, best);
    y += tile.y_plane;
  }
}

/// A run of outputs of one row.
struct Run {
  std::int64_t row;     ///< Of the convolution's outputs.
  std::int64_t column;  ///< Of the convolution's outputs.
  std::int64_t positions;
};

void conv_run(const LaneConvTask& task, const LaneConvOperands& operands, const Run& run) {
  const LaneTensor& in = task.in;
  const LaneTensor& out = task.out;
  const std::int64_t above = run.row * task.stride[0] - task.pad[0];
  const std::int64_t before = in.pad - task.pad[1] + run.column * task.stride[1];
  const TapRange rows = taps_inside(above, task.taps[0], task.dilation[0], in.height);
  LaneTile tile{.x = operands.x,
                .at = (above * in.pitch + before) * kLanes,
                .step = task.stride[1] * kLanes,
                .plane = in.height * in.pitch * kLanes,
                .channels = in.channels,
                .first_tap = rows.first * task.taps[1],
                .end_tap = rows.end * task.taps[1],
                .taps = task.taps[0] * task.taps[1],
                .shifts = operands.shifts,
                .weights = operands.weights,
                .bias = operands.bias,
                .y = nullptr,
                .y_plane = out.height * out.pitch * kLanes,
                .positions = run.positions,
                .filters = 0,
                .end = LaneTileEnd::kStore,
                .activation = task.activation};
  if (task.pool > 1) {
    tile.end = run.row % task.pool == 0 ? LaneTileEnd::kPool : LaneTileEnd::kPoolMore;
  }
  const std::int64_t column = out.pad + run.column / task.pool;
  float* y = operands.y + (run.row / task.pool * out.pitch + column) * kLanes;
  for (std::int64_t f = 0; f < out.channels; f += kTileRows) {
    tile.filters = smaller(out.channels - f, kTileRows);
    tile.y = y + f * tile.y_plane;
    run_lane_tile(tile);
    tile.weights += in.channels * tile.taps * kTileRows;
    tile.bias += kTileRows;
  }
}

void conv(const LaneConvTask& task, const LaneConvOperands& operands) {
  const std::int64_t columns = task.out.width * task.pool;
  const std::int64_t length = task.pool > 1 ? task.pool : kTileVectors;
  for (std::int64_t row = 0; row < task.out.height * task.pool; ++row) {
    for (std::int64_t column = 0; column < columns; column += length) {
      conv_run(task, operands, {row, column, smaller(columns - column, length)});
    }
  }
}

// ---- pools
// ---------------------------------------------------------------------------------------

struct Max {
  static Vec fold(Vec best, Vec x) { return larger_or_nan(best, x); }
  static constexpr float kIdentity = -__builtin_inff();
};

struct Sum {
  static Vec fold(Vec sum, Vec x) { return sum + x; }
  static constexpr float kIdentity = 0.0F;
};

template <typename Fold, typename Finish>
void pool(const LanePoolTask& task, const float* x, float* y, Finish finish) {
  const LaneTensor& in = task.in;
  const LaneTensor& out = task.out;
  for (std::int64_t c = 0; c < out.channels; ++c) {
    for (std::int64_t h = 0; h < out.height; ++h) {
      const std::int64_t above = h * task.stride[0] - task.pad[0];
      const TapRange rows = taps_inside(above, task.kernel[0], task.dilation[0], in.height);
      for (std::int64_t w = 0; w < out.width; ++w) {
        const std::int64_t before = w * task.stride[1] - task.pad[1];
        const TapRange columns = taps_inside(before, task.kernel[1], task.dilation[1], in.width);
        // Down each column, then along the row: the order of the pools of single images.
        const float* from = x + ((c * in.height + above) * in.pitch + in.pad + before) * kLanes;
        Vec result = broadcast(Fold::kIdentity);
        for (std::int64_t s = columns.first; s < columns.end; ++s) {
          Vec column = broadcast(Fold::kIdentity);
          for (std::int64_t r = rows.first; r < rows.end; ++r) {
            const std::int64_t tap = r * task.dilation[0] * in.pitch + s * task.dilation[1];
            column = Fold::fold(column, load(from + tap * kLanes));
          }
          result = Fold::fold(result, column);
        }
        const std::int64_t to = (c * out.height + h) * out.pitch + out.pad + w;
        store(y + to * kLanes, finish(result, h, w));
      }
    }
  }
}

void max_pool(const LanePoolTask& task, const float* x, float* y) {
  pool<Max>(task, x, y, [](Vec best, std::int64_t, std::int64_t) { return best; });
}

void average_pool(const LanePoolTask& task, const float* divisors, const float* x, float* y) {
  pool<Sum>(task, x, y, [&](Vec sum, std::int64_t h, std::int64_t w) {
    return sum / broadcast(divisors[h] * divisors[task.out.height + w]);
  });
}

}  // namespace

void run_lane_tile(const LaneTile& tile) {
  using Function = void (*)(const LaneTile&);
  // Tiles of an odd number of filters compute one more, of zero weights. A level with fewer filters
  // or positions has its last tile repeated.
#define PRS_LANE_TILES(f)                                         \
  {                                                               \
    &lane_tile<(f < kTileRows ? f : kTileRows), 1>,               \
        &lane_tile<(f < kTileRows ? f : kTileRows), 2>,           \
        &lane_tile<(f < kTileRows ? f : kTileRows), kTileVectors> \
  }
  static constexpr Function kTiles[4][3] = {PRS_LANE_TILES(2), PRS_LANE_TILES(4), PRS_LANE_TILES(6),
                                            PRS_LANE_TILES(8)};
#undef PRS_LANE_TILES
  kTiles[(tile.filters - 1) / 2][tile.positions - 1](tile);
}

const LaneKernels kLaneKernels{
    .lanes = kLanes,
    .tile_filters = kTileRows,
    .tile_positions = kTileVectors,
    .max_pool_extent = kTileVectors,
    .load_u8 = &load_block<std::uint8_t, kPixelChunk>,
    .load_f32 = &load_block<float, kFloatChunk>,
    .store = &store_block,
    .clear_pads = &clear_pads,
    .conv = &conv,
    .winograd = &winograd,
    .winograd_scratch = &winograd_scratch,
    .tile_winograd = &tile_winograd,
    .tile_winograd_scratch = &tile_winograd_scratch,
    .max_pool = &max_pool,
    .average_pool = &average_pool,
};

}  // namespace prs::cpu::PRS_ISA
