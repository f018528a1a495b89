// The 8-bit integer kernels with an image in each lane, and their table.
//
//   conv:  for output rows, after the pool:
//            for runs of positions:                kTileVectors, or a pool's window
//              for groups of kTileRows filters:    one register tile for each row of the window
//
// Compiled without contraction to fused operations, so that all levels round alike.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/byte_lanes.hpp"
#include "cpu/isa/int8_words.hpp"
#include "cpu/isa/transpose.hpp"

namespace prs::cpu::PRS_ISA {

extern const ByteLaneKernels kByteLanes;

namespace {

PRS_INLINE Vec load_words(const std::uint32_t* from) {
  return load(reinterpret_cast<const float*>(from));
}

PRS_INLINE void store_words(std::uint32_t* to, UintVec words) {
  store(reinterpret_cast<float*>(to), reinterpret_cast<Vec>(words));
}

// ---- between images in a row and images in lanes ------------------------------------------------

void fill(std::uint32_t* to, std::int64_t vectors, UintVec words) {
  for (std::int64_t i = 0; i < vectors; ++i) store_words(to + i * kLanes, words);
}

void fill_padding(const ByteTensor& shape, std::uint32_t* y) {
  const UintVec words = 0x01010101U * shape.padding + UintVec{};
  const std::int64_t above = shape.pad[0] * shape.pitch;
  const std::int64_t below = (shape.rows - shape.pad[0] - shape.height) * shape.pitch;
  const std::int64_t after = shape.pitch - shape.pad[1] - shape.width;
  for (std::int64_t g = 0; g < word_groups(shape); ++g) {
    std::uint32_t* to = y + g * shape.rows * shape.pitch * kLanes;
    fill(to, above, words);
    to += above * kLanes;
    for (std::int64_t h = 0; h < shape.height; ++h) {
      fill(to, shape.pad[1], words);
      fill(to + (shape.pad[1] + shape.width) * kLanes, after, words);
      to += shape.pitch * kLanes;
    }
    fill(to, below, words);
  }
}

/// Bytes that are transposed at once.
constexpr std::int64_t kChunk = 16;

/// x of each image -> y [elements, kLanes].
void transpose_bytes(const std::uint8_t* x, const ByteImages& images, std::int64_t size,
                     std::uint8_t* y) {
  for (std::int64_t first = 0; first < size; first += kChunk) {
    const std::int64_t filled = smaller(size - first, kChunk);
    Pixels rows[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const std::uint8_t* from = x + smaller(i, images.count - 1) * images.stride + first;
      if (filled == kChunk) {
        rows[i] = *reinterpret_cast<const LoosePixels*>(from);
      } else {
        // Nothing is read past the last image's end.
        rows[i] = Pixels{};
        __builtin_memcpy(&rows[i], from, static_cast<std::size_t>(filled));
      }
    }
    transpose(rows);
    for (std::int64_t i = 0; i < kLanes; ++i) rows[i] ^= images.flip;
    __builtin_memcpy(y + first * kLanes, rows, sizeof(rows));
  }
}

/// One row of bytes -> words of each byte and the three after it.
void make_pixel_words(const ByteTensor& shape, const std::uint8_t* bytes, std::uint32_t* to) {
  const UintVec padding = std::uint32_t{shape.padding} + UintVec{};
  UintVec word = 0x01010101U * shape.padding + UintVec{};
  for (std::int64_t i = 0; i < shape.pitch + 3; ++i) {
    const std::int64_t w = i - shape.pad[1];
    const bool inside = w >= 0 && w < shape.width;
    const UintVec byte = inside ? load_byte_words(bytes + w * kLanes) : padding;
    word = word >> 8 | byte << 24;
    if (i >= 3) store_words(to + (i - 3) * kLanes, word);
  }
}

/// Positions of four planes of bytes -> words.
void make_channel_words(const std::uint8_t* const (&planes)[4], std::int64_t positions,
                        std::uint32_t* to) {
  for (std::int64_t i = 0; i < positions * kLanes; i += kLanes) {
    store_words(to + i, load_byte_words(planes[0] + i) | load_byte_words(planes[1] + i) << 8 |
                            load_byte_words(planes[2] + i) << 16 |
                            load_byte_words(planes[3] + i) << 24);
  }
}

void load_block(const std::uint8_t* x, const ByteImages& images, const ByteTensor& shape,
                std::uint8_t* scratch, std::uint32_t* y) {
  const std::int64_t plane = shape.height * shape.width;
  transpose_bytes(x, images, shape.channels * plane, scratch);
  fill_padding(shape, y);
  for (std::int64_t g = 0; g < word_groups(shape); ++g) {
    for (std::int64_t h = 0; h < shape.height; ++h) {
      std::uint32_t* row = y + ((g * shape.rows + shape.pad[0] + h) * shape.pitch) * kLanes;
      if (shape.pixels) {
        make_pixel_words(shape, scratch + h * shape.width * kLanes, row);
        continue;
      }
      const std::uint8_t* planes[4];
      for (std::int64_t j = 0; j < 4; ++j) {
        const std::int64_t channel = smaller(4 * g + j, shape.channels - 1);
        planes[j] = scratch + (channel * plane + h * shape.width) * kLanes;
      }
      make_channel_words(planes, shape.width, row + shape.pad[1] * kLanes);
    }
  }
}

void store_block(const std::uint32_t* x, const ByteTensor& shape, const ByteImages& images,
                 std::uint8_t* y) {
  const std::int64_t plane = shape.height * shape.width;
  const UintVec flip = 0x01010101U * images.flip + UintVec{};
  for (std::int64_t c = 0; c < shape.channels; c += 4) {
    const std::uint32_t* from = x + c / 4 * plane * kLanes;
    for (std::int64_t first = 0; first < plane; first += kLanes) {
      const std::int64_t filled = smaller(plane - first, kLanes);
      Vec words[kLanes];
      PRS_UNROLL for (int i = 0; i < kLanes; ++i) {
        words[i] = i < filled ? load_words(from + (first + i) * kLanes) : Vec{};
      }
      transpose(words);
      for (std::int64_t i = 0; i < images.count; ++i) {
        const UintVec word = reinterpret_cast<UintVec>(words[i]) ^ flip;
        std::uint8_t* to = y + i * images.stride + c * plane + first;
        for (std::int64_t j = 0; j < smaller(shape.channels - c, 4); ++j) {
          store_bytes(to + j * plane, reinterpret_cast<IntVec>(word >> static_cast<int>(8 * j)),
                      filled);
        }
      }
    }
  }
}

// ---- convolution --------------------------------------------------------------------------------

struct ByteTile {
  const ByteConvTask* task;
  const std::uint32_t* x;  ///< Where the first window begins.
  const std::int32_t* shifts;
  const std::uint32_t* weights;  ///< [groups, taps, kTileRows]
  const std::int32_t* start;     ///< [kTileRows], as are the next two.
  const float* multiplier;
  const float* offset;
  std::byte* y;  ///< Of the first filter and position.
  std::int64_t filters;
};

PRS_INLINE IntVec larger_of(IntVec a, IntVec b) { return a > b ? a : b; }

/// One row of P windows: sums[f][p] = start[f] + sum over groups and taps.
template <int F, int P>
PRS_INLINE void add_windows(const ByteTile& tile, const std::uint32_t* x, IntVec (&sums)[F][P]) {
  const ByteConvTask& task = *tile.task;
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    PRS_UNROLL for (int p = 0; p < P; ++p) sums[f][p] = tile.start[f] + IntVec{};
  }
  const std::int64_t step = task.stride[1] * kLanes;
  const std::int64_t plane = task.in.rows * task.in.pitch * kLanes;
  const std::int64_t groups = word_groups(task.in);
  const std::uint32_t* weights = tile.weights;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t t = 0; t < task.taps; ++t) {
      const std::uint32_t* at = x + tile.shifts[t];
      Vec values[P];
      PRS_UNROLL for (int p = 0; p < P; ++p) values[p] = load_words(at + p * step);
      PRS_UNROLL for (int f = 0; f < F; ++f) {
        const Vec weight = spread_word(weights[f]);
        PRS_UNROLL for (int p = 0; p < P; ++p) add_products(sums[f][p], values[p], weight);
      }
      weights += kTileRows;
    }
    x += plane;
  }
}

/// Requantises the sums of F filters at one position and stores them.
template <int F>
PRS_INLINE void finish_position(const ByteTile& tile, const IntVec (&sums)[F], std::byte* y) {
  const ByteConvTask& task = *tile.task;
  const std::int64_t plane = task.out.rows * task.out.pitch * kLanes * 4;
  UintVec word{};
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    const Vec product = __builtin_convertvector(sums[f], Vec) * broadcast(tile.multiplier[f]);
    const Vec value = clamp(product + broadcast(tile.offset[f]), task.low, task.high);
    if (!task.to_bytes) {
      if (f < tile.filters) store(reinterpret_cast<float*>(y + f * plane), value);
      continue;
    }
    const UintVec byte = reinterpret_cast<UintVec>(round_to_int(value) + task.zero_point);
    word = f % 4 == 0 ? byte : word | byte << (8 * (f % 4));
    if (f % 4 == 3) store_words(reinterpret_cast<std::uint32_t*>(y + f / 4 * plane), word);
  }
}

template <int F, int P>
void byte_tile(const ByteTile& tile) {
  IntVec sums[F][P];
  add_windows(tile, tile.x, sums);
  PRS_UNROLL for (int p = 0; p < P; ++p) {
    IntVec position[F];
    PRS_UNROLL for (int f = 0; f < F; ++f) position[f] = sums[f][p];
    finish_position(tile, position, tile.y + p * kLanes * 4);
  }
}

/// The same for one pool's window of P x P positions. Requantisation keeps the order of sums, so
/// that only the largest is requantised.
template <int F, int P>
void pooled_byte_tile(const ByteTile& tile) {
  const ByteConvTask& task = *tile.task;
  const std::int64_t row = task.stride[0] * task.in.pitch * kLanes;
  IntVec best[F];
  for (std::int64_t r = 0; r < P; ++r) {
    IntVec sums[F][P];
    add_windows(tile, tile.x + r * row, sums);
    PRS_UNROLL for (int f = 0; f < F; ++f) {
      best[f] = r == 0 ? sums[f][0] : larger_of(best[f], sums[f][0]);
      PRS_UNROLL for (int p = 1; p < P; ++p) best[f] = larger_of(best[f], sums[f][p]);
    }
  }
  finish_position(tile, best, tile.y);
}

using TileFunction = void (*)(const ByteTile&);

/// By whether more than 4 filters are wanted, and positions or the pool's extent. A level with
/// fewer filters or positions has its last tile repeated.
#define PRS_BYTE_TILES(tile, f)                                                           \
  {                                                                                       \
    &tile<(f < kTileRows ? f : kTileRows), 1>, &tile<(f < kTileRows ? f : kTileRows), 2>, \
        &tile<(f < kTileRows ? f : kTileRows), kTileVectors>                              \
  }
constexpr TileFunction kTiles[2][3] = {PRS_BYTE_TILES(byte_tile, 4), PRS_BYTE_TILES(byte_tile, 8)};
constexpr TileFunction kPooledTiles[2][3] = {PRS_BYTE_TILES(pooled_byte_tile, 4),
                                             PRS_BYTE_TILES(pooled_byte_tile, 8)};
#undef PRS_BYTE_TILES

void conv(const ByteConvTask& task, const ByteConvOperands& operands) {
  const ByteTensor& in = task.in;
  const ByteTensor& out = task.out;
  const std::int64_t length = task.pool > 1 ? 1 : kTileVectors;
  const std::int64_t step = task.pool * task.stride[1] * kLanes;
  ByteTile tile{.task = &task,
                .x = nullptr,
                .shifts = operands.shifts,
                .weights = nullptr,
                .start = nullptr,
                .multiplier = nullptr,
                .offset = nullptr,
                .y = nullptr,
                .filters = 0};
  const std::int64_t y_plane = out.rows * out.pitch * kLanes;
  // A part is some of the rows, or where there is one, some of the filters.
  const bool by_rows = out.height > 1;
  const PartRange rows = share_of(out.height, by_rows ? operands.part : Part{});
  const PartRange filters = tile_rows_of(out.channels, by_rows ? Part{} : operands.part);
  for (std::int64_t row = rows.first; row < rows.end; ++row) {
    const std::uint32_t* x = operands.x + row * task.pool * task.stride[0] * in.pitch * kLanes;
    const std::int64_t to = (out.pad[0] + row) * out.pitch + out.pad[1];
    for (std::int64_t column = 0; column < out.width; column += length) {
      const std::int64_t positions = smaller(out.width - column, length);
      tile.x = x + column * step;
      for (std::int64_t f = filters.first; f < filters.end; f += kTileRows) {
        tile.weights = operands.weights + f * word_groups(in) * task.taps;
        tile.start = operands.start + f;
        tile.multiplier = operands.multiplier + f;
        tile.offset = operands.offset + f;
        tile.filters = smaller(filters.end - f, kTileRows);
        const std::int64_t planes = task.to_bytes ? f / 4 : f;
        tile.y =
            static_cast<std::byte*>(operands.y) + (planes * y_plane + (to + column) * kLanes) * 4;
        const int wide = tile.filters > 4 ? 1 : 0;
        const TileFunction run =
            task.pool > 1 ? kPooledTiles[wide][task.pool - 1] : kTiles[wide][positions - 1];
        run(tile);
      }
    }
  }
}

// ---- pool ---------------------------------------------------------------------------------------

using WideBytes = std::uint8_t __attribute__((vector_size(kLanes * 4)));

void max_pool(const BytePoolTask& task, const std::uint32_t* x, std::uint32_t* y) {
  const ByteTensor& in = task.in;
  const ByteTensor& out = task.out;
  for (std::int64_t g = 0; g < word_groups(in); ++g) {
    for (std::int64_t h = 0; h < out.height; ++h) {
      for (std::int64_t w = 0; w < out.width; ++w) {
        WideBytes best{};
        for (std::int64_t r = 0; r < task.kernel[0]; ++r) {
          const std::int64_t row = h * task.stride[0] - task.pad[0] + r * task.dilation[0];
          if (row < 0 || row >= in.height) continue;
          for (std::int64_t s = 0; s < task.kernel[1]; ++s) {
            const std::int64_t column = w * task.stride[1] - task.pad[1] + s * task.dilation[1];
            if (column < 0 || column >= in.width) continue;
            const auto value = reinterpret_cast<WideBytes>(
                load_words(x + ((g * in.rows + row) * in.pitch + column) * kLanes));
            best = best > value ? best : value;
          }
        }
        const std::int64_t row = g * out.rows + out.pad[0] + h;
        store_words(y + (row * out.pitch + out.pad[1] + w) * kLanes,
                    reinterpret_cast<UintVec>(best));
      }
    }
  }
}

}  // namespace

const ByteLaneKernels kByteLanes{
    .lanes = kLanes,
    .tile_filters = kTileRows,
    .tile_positions = kTileVectors,
    .max_pool_extent = kTileVectors,
    .load = &load_block,
    .store = &store_block,
    .fill_padding = &fill_padding,
    .conv = &conv,
    .max_pool = &max_pool,
};

}  // namespace prs::cpu::PRS_ISA
