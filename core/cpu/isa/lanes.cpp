// The f32 kernels with an image in each lane, and their table. Winograd's lies in
// lanes_winograd.cpp.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/lane_conv.hpp"
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

void run_lane_tile(const LaneTile& tile) { run_lane_tile_of<F32>(tile); }

const LaneKernels kLaneKernels{
    .lanes = kLanes,
    .tile_filters = kTileRows,
    .tile_positions = kTileVectors,
    .max_pool_extent = kTileVectors,
    .load_u8 = &load_block<std::uint8_t, kPixelChunk>,
    .load_f32 = &load_block<float, kFloatChunk>,
    .store = &store_block,
    .clear_pads = &clear_pads,
    .conv = &lane_conv<F32>,
    .winograd = &winograd,
    .winograd_scratch = &winograd_scratch,
    .tile_winograd = &tile_winograd,
    .tile_winograd_scratch = &tile_winograd_scratch,
    .max_pool = &max_pool,
    .average_pool = &average_pool,
};

}  // namespace prs::cpu::PRS_ISA
