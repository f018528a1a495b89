// Gemm and Conv of 8-bit integers: the arithmetic, and how bytes become words; QuantizeLinear and
// pooling of bytes.
//
// Compiled without contraction to fused operations, so that all levels round alike.
#include "cpu/isa/begin.hpp"

#include "cpu/isa/int8.hpp"
#include "cpu/isa/int8_words.hpp"
#include "cpu/isa/words.hpp"

namespace prs::cpu::PRS_ISA {

extern const Int8Kernels kInt8;

namespace {

/// The ends at a tile's first element.
struct TileInt8Ends {
  const Int8Ends* all;
  std::int64_t channel;
};

struct ByteTarget {
  std::byte* y;
  std::int64_t row_at[kTileRows];  ///< In elements, as `at`.
  std::int64_t at[kMaxVectors];
  std::int64_t lanes[kMaxVectors];
};

/// kChannelsAreRows: the rows of A are filters, whose weights are spread, and vectors hold
/// activations; otherwise vectors hold the weights of neighbouring columns.
template <bool kChannelsAreRows>
struct Int8 {
  using Element = std::uint32_t;
  using Sum = IntVec;
  using Ends = TileInt8Ends;
  using Target = ByteTarget;
  static constexpr bool kHasWideRow = false;

  PRS_INLINE static Vec spread(std::uint32_t word) { return spread_word(word); }
  PRS_INLINE static void add_product(IntVec& sum, Vec a, Vec b) {
    if constexpr (kChannelsAreRows) {
      add_products(sum, b, a);
    } else {
      add_products(sum, a, b);
    }
  }

  template <int R, int V>
  PRS_INLINE static void begin(IntVec (&sums)[R][V], const Ends& ends, const Target& target) {
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        if constexpr (kChannelsAreRows) {
          sums[r][v] = ends.all->start[ends.channel + r] + IntVec{};
        } else {
          const auto* start = reinterpret_cast<const float*>(ends.all->start + ends.channel);
          sums[r][v] = reinterpret_cast<IntVec>(load_part(start + target.at[v], target.lanes[v]));
        }
      }
    }
  }

  template <int R, int V>
  PRS_INLINE static void end(IntVec (&sums)[R][V], const Ends& ends, const Target& target) {
    // In registers: what is stored might be these.
    const Int8Ends all = *ends.all;
    PRS_UNROLL for (int r = 0; r < R; ++r) {
      Vec multiplier = broadcast(0.0F);
      Vec offset = broadcast(0.0F);
      if constexpr (kChannelsAreRows) {
        multiplier = broadcast(all.multiplier[ends.channel + r]);
        offset = broadcast(all.offset[ends.channel + r]);
      }
      PRS_UNROLL for (int v = 0; v < V; ++v) {
        if constexpr (!kChannelsAreRows) {
          const std::int64_t at = ends.channel + target.at[v];
          multiplier = load_part(all.multiplier + at, target.lanes[v]);
          offset = load_part(all.offset + at, target.lanes[v]);
        }
        const Vec product = __builtin_convertvector(sums[r][v], Vec) * multiplier;
        const Vec value = clamp(product + offset, all.low, all.high);
        const std::int64_t to = target.row_at[r] + target.at[v];
        if (all.to_bytes) {
          store_bytes(reinterpret_cast<std::uint8_t*>(target.y) + to,
                      round_to_int(value) + all.zero_point, target.lanes[v]);
        } else {
          store_part(reinterpret_cast<float*>(target.y) + to, value, target.lanes[v]);
        }
      }
    }
  }
};

/// Sums of integers do not wait in y for the next block: there is one block.
constexpr std::int64_t kAllWords = std::int64_t{1} << 40;

std::int64_t output_bytes(const Int8Ends& ends) { return ends.to_bytes ? 1 : 4; }

std::int64_t word_count(const GemmTask& task) { return (task.k + 3) / 4; }

/// from[0, count) -> the bytes of words, each flipped.
void copy_flipped(const std::uint8_t* from, std::int64_t count, std::uint8_t flip,
                  std::uint32_t* to) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(to);
  if (flip == 0) {
    __builtin_memcpy(bytes, from, static_cast<std::size_t>(count));
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) bytes[i] = from[i] ^ flip;
}

void gemm(const GemmTask& task, const Int8Ends& ends, const Int8GemmOperands& operands) {
  const std::int64_t words = word_count(task);
  const auto stage = [&](std::int64_t row, std::uint32_t* to) {
    // Bytes past k meet weights of 0.
    if (words > 0) to[words - 1] = 0;
    copy_flipped(operands.x + row * task.k, task.k, ends.x_flip, to);
  };
  gemm_words<Int8<false>>(
      task, words, kAllWords, nullptr, operands.b, operands.scratch, operands.part, stage,
      [&](std::int64_t, std::int64_t column, bool, bool) {
        return TileInt8Ends{&ends, column};
      },
      [&](std::int64_t row, std::int64_t column) {
        return static_cast<std::byte*>(operands.y) + (row * task.n + column) * output_bytes(ends);
      });
}

std::int64_t gemm_scratch(const GemmTask& task) {
  return gemm_words_scratch(task, word_count(task));
}

/// to[i] = the word of rows[j][i * stride], j = 0 .. 3, each byte flipped.
void interleave(const std::uint8_t* const (&rows)[4], std::int64_t count, std::int64_t stride,
                std::uint32_t flip, std::uint32_t* to) {
  std::int64_t i = 0;
  if (stride == 1 && count >= kLanes) {
    for (; i < count; i += kLanes) {
      // The last vector moves back to end with the row.
      const std::int64_t at = smaller(i, count - kLanes);
      const UintVec words = load_byte_words(rows[0] + at) | load_byte_words(rows[1] + at) << 8 |
                            load_byte_words(rows[2] + at) << 16 |
                            load_byte_words(rows[3] + at) << 24;
      store(reinterpret_cast<float*>(to + at), reinterpret_cast<Vec>(words ^ flip));
    }
  }
  for (; i < count; ++i) {
    const std::int64_t at = i * stride;
    to[i] = (std::uint32_t{rows[0][at]} | std::uint32_t{rows[1][at]} << 8 |
             std::uint32_t{rows[2][at]} << 16 | std::uint32_t{rows[3][at]} << 24) ^
            flip;
  }
}

void conv(const ConvTask& task, const Int8Ends& ends, const Int8ConvOperands& operands) {
  const std::int64_t plane = task.in[0] * task.in[1] * task.in[2];
  const std::uint32_t flip = 0x01010101U * ends.x_flip;
  const auto stage_group = [&](std::int64_t i, std::uint32_t* staged) {
    const std::uint8_t* x = operands.x + i * task.unpacked_channels * plane;
    stage(task, [&](std::int64_t word, std::int64_t offset, std::int64_t count, std::int64_t to) {
      const std::uint8_t* rows[4];
      // Weights are 0 where channels are missing: any row does.
      for (std::int64_t j = 0; j < 4; ++j) {
        rows[j] = x + smaller(4 * word + j, task.unpacked_channels - 1) * plane + offset;
      }
      interleave(rows, count, task.stride[2], flip, staged + to);
    });
  };
  const std::int64_t group_outputs = task.filters * outputs(task);
  conv_words<Int8<true>>(
      task, operands.weights, operands.shifts, kAllWords, ends.x_padding, operands.scratch,
      operands.part, stage_group,
      [&](std::int64_t filter, bool, bool) {
        return TileInt8Ends{&ends, filter};
      },
      [&](std::int64_t i, std::int64_t filter) {
        return static_cast<std::byte*>(operands.y) +
               (i * group_outputs + filter * outputs(task)) * output_bytes(ends);
      });
}

std::int64_t conv_scratch(const ConvTask& task) { return conv_words_scratch(task, kAllWords); }

void quantize(const QuantizeRun& run, const float* x, std::int64_t count, std::uint8_t* y) {
  const auto low = static_cast<float>(run.low - run.zero_point);
  const auto high = static_cast<float>(run.high - run.zero_point);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const std::int64_t lanes = smaller(count - i, kLanes);
    const Vec steps = load_part(x + i, lanes) / broadcast(run.scale);
    store_bytes(y + i, round_to_int(clamp(steps, low, high)) + run.zero_point, lanes);
  }
}

using PairVec = std::uint16_t __attribute__((vector_size(kLanes * 2)));
/// The same at any address; may alias anything.
using LoosePairs __attribute__((vector_size(kLanes * 2), aligned(1), may_alias)) = std::uint16_t;
using LooseBytes __attribute__((vector_size(kLanes * 2), aligned(1), may_alias)) = std::uint8_t;

std::uint8_t largest(const std::uint8_t* above, const std::uint8_t* below, std::uint8_t flip) {
  std::uint8_t best = 0;
  for (const std::uint8_t* row : {above, below}) {
    for (std::int64_t i = 0; i < 2; ++i) {
      const auto value = static_cast<std::uint8_t>(row[i] ^ flip);
      if (value > best) best = value;
    }
  }
  return best ^ flip;
}

void max_pool_2x2(const PoolTask& task, std::uint8_t flip, const std::uint8_t* x, std::uint8_t* y) {
  const std::int64_t width = task.in[2];
  const std::int64_t wide = width / 2;
  const std::int64_t rows = task.planes * (task.in[1] / 2);
  const std::int64_t height = task.in[1] / 2;
  const std::uint8_t* const x_end = x + task.planes * task.in[1] * width;
  const std::uint8_t* const y_end = y + rows * wide;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* above = x + (r / height * task.in[1] + r % height * 2) * width;
    const std::uint8_t* below = above + width;
    std::uint8_t* to = y + r * wide;
    std::int64_t i = 0;
    // A vector may reach over the row's end: what it writes there is written again with the rows
    // to come.
    for (; i < wide && below + 2 * i + 2 * kLanes <= x_end && to + i + kLanes <= y_end;
         i += kLanes) {
      const LooseBytes a = *reinterpret_cast<const LooseBytes*>(above + 2 * i) ^ flip;
      const LooseBytes b = *reinterpret_cast<const LooseBytes*>(below + 2 * i) ^ flip;
      const PairVec pairs = reinterpret_cast<PairVec>(a > b ? a : b);
      const PairVec first = pairs & 0xFF;
      const PairVec second = pairs >> 8;
      const ByteVec best = __builtin_convertvector(first > second ? first : second, ByteVec) ^ flip;
      __builtin_memcpy(to + i, &best, sizeof(best));
    }
    for (; i < wide; ++i) to[i] = largest(above + 2 * i, below + 2 * i, flip);
  }
}

}  // namespace

const Int8Kernels kInt8{
    .lanes = kLanes,
    .tile_rows = kTileRows,
    .tile_vectors = kTileVectors,
    .gemm = &gemm,
    .gemm_scratch = &gemm_scratch,
    .conv = &conv,
    .conv_scratch = &conv_scratch,
    .quantize = &quantize,
    .max_pool_2x2 = &max_pool_2x2,
};

}  // namespace prs::cpu::PRS_ISA
