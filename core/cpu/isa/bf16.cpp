// Gemm and Conv with bf16 products: the arithmetic, and how f32 and u8 become words of two bf16.
#include "cpu/isa/begin.hpp"

#include <cstddef>

#include "cpu/isa/bf16.hpp"
#include "cpu/isa/bf16_words.hpp"
#include "cpu/isa/lane_conv.hpp"
#include "cpu/isa/words.hpp"

namespace prs::cpu::PRS_ISA {

extern const Bf16Kernels kBf16;

namespace {

/// Words of B in a block: a panel of them, at most 36 KiB, stays in the first-level cache.
constexpr std::int64_t kBlockWords = 192;

/// The bits of the bf16 nearest to x; a NaN keeps its sign and the bits that fit, one of them set.
PRS_INLINE std::uint32_t round_bits(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? (bits >> 16) | 0x40U : rounded;
}
/// Pixels are bf16 already: 8 digits.
PRS_INLINE std::uint32_t round_bits(std::uint8_t x) {
  return __builtin_bit_cast(std::uint32_t, static_cast<float>(x)) >> 16;
}

#if defined(__AVX512BF16__)
PRS_INLINE Vec load_values(const float* from) { return load(from); }
PRS_INLINE Vec load_values(const std::uint8_t* from) { return load_bytes(from); }
#endif

using HalfVec = std::uint16_t __attribute__((vector_size(kLanes * 2)));

/// to[i] = the words of from[2 i] and from[2 i + 1], i in [0, (count + 1) / 2).
template <typename T>
void pair_row(const T* from, std::int64_t count, std::uint32_t* to) {
  std::int64_t i = 0;
#if defined(__AVX512BF16__)
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const auto low = reinterpret_cast<__m512>(load_values(from + i));
    const auto high = reinterpret_cast<__m512>(load_values(from + i + kLanes));
    store(reinterpret_cast<float*>(to + i / 2),
          reinterpret_cast<Vec>(_mm512_cvtne2ps_pbh(high, low)));
  }
#endif
  // Little-endian: the first of a pair is the low half of its word.
  for (; i + kLanes <= count; i += kLanes) {
    const HalfVec halves = __builtin_convertvector(round_lanes(from + i), HalfVec);
    __builtin_memcpy(to + i / 2, &halves, sizeof(halves));
  }
  for (; i + 1 < count; i += 2) to[i / 2] = round_bits(from[i]) | round_bits(from[i + 1]) << 16;
  if (i < count) to[i / 2] = round_bits(from[i]);
}

/// to[i] = the words of low[i * stride] and high[i * stride]; a null `high` counts as zeros.
template <typename T>
void pair_rows(const T* low, const T* high, std::int64_t stride, std::int64_t count,
               std::uint32_t* to) {
  std::int64_t i = 0;
  if (stride == 1 && count >= kLanes && high != nullptr) {
    for (; i < count; i += kLanes) {
      // The last vector moves back to end with the row.
      const std::int64_t at = smaller(i, count - kLanes);
      const UintVec words = round_lanes(low + at) | round_lanes(high + at) << 16;
      store(reinterpret_cast<float*>(to + at), reinterpret_cast<Vec>(words));
    }
  }
  for (; i < count; ++i) {
    to[i] = round_bits(low[i * stride]);
    if (high != nullptr) to[i] |= round_bits(high[i * stride]) << 16;
  }
}

std::int64_t word_count(const GemmTask& task) { return (task.k + 1) / 2; }

template <typename T>
void gemm_of(const GemmTask& task, const Bf16GemmOperands& operands) {
  const std::int64_t words = word_count(task);
  const T* a = static_cast<const T*>(operands.a);
  const auto stage = [&](std::int64_t row, std::uint32_t* to) {
    const T* from = a + row * task.a_row_stride;
    const std::int64_t step = task.a_column_stride;
    if (step == 1) {
      pair_row(from, task.k, to);
      return;
    }
    pair_rows(from, from + step, 2 * step, task.k / 2, to);
    if (task.k % 2 != 0) to[words - 1] = round_bits(from[(task.k - 1) * step]);
  };
  const auto ends = [&](std::int64_t row, std::int64_t column, bool first, bool last) {
    TileEnds result = gemm_ends(task, operands.bias, row, column);
    result.first = first;
    result.last = last;
    return result;
  };
  const std::uint8_t* bytes = nullptr;
  if constexpr (sizeof(T) == 1) bytes = a;
  gemm_words<Bf16>(
      task, words, kBlockWords, bytes, operands.b, operands.scratch, operands.part, stage, ends,
      [&](std::int64_t row, std::int64_t column) { return operands.y + row * task.n + column; });
}

void gemm(const GemmTask& task, const Bf16GemmOperands& operands) {
  if (task.a_is_u8) {
    gemm_of<std::uint8_t>(task, operands);
  } else {
    gemm_of<float>(task, operands);
  }
}

std::int64_t gemm_scratch(const GemmTask& task) {
  return gemm_words_scratch(task, word_count(task));
}

template <typename T>
void conv_of(const ConvTask& task, const Bf16ConvOperands& operands) {
  const std::int64_t plane = task.in[0] * task.in[1] * task.in[2];
  const auto stage_group = [&](std::int64_t i, std::uint32_t* staged) {
    const T* x = static_cast<const T*>(operands.x) + i * task.unpacked_channels * plane;
    stage(task, [&](std::int64_t word, std::int64_t offset, std::int64_t count, std::int64_t to) {
      const T* low = x + 2 * word * plane + offset;
      const T* high = 2 * word + 1 < task.unpacked_channels ? low + plane : nullptr;
      pair_rows(low, high, task.stride[2], count, staged + to);
    });
  };
  const auto ends = [&](std::int64_t filter, bool first, bool last) {
    return TileEnds{.bias = operands.bias == nullptr ? nullptr : operands.bias + filter,
                    .bias_row_stride = 1,
                    .bias_column_stride = 0,
                    .beta = 1.0F,
                    .activation = task.activation,
                    .first = first,
                    .last = last};
  };
  const std::int64_t group_outputs = task.filters * outputs(task);
  conv_words<Bf16>(task, operands.weights, operands.shifts, kBlockWords, 0, operands.scratch,
                   operands.part, stage_group, ends, [&](std::int64_t i, std::int64_t filter) {
                     return operands.y + i * group_outputs + filter * outputs(task);
                   });
}

void conv(const ConvTask& task, const Bf16ConvOperands& operands) {
  if (task.x_is_u8) {
    conv_of<std::uint8_t>(task, operands);
  } else {
    conv_of<float>(task, operands);
  }
}

std::int64_t conv_scratch(const ConvTask& task) { return conv_words_scratch(task, kBlockWords); }

#if defined(__AVX512BF16__)
void pair_lanes(const float* x, std::int64_t planes, std::int64_t plane, std::uint32_t* y) {
  for (std::int64_t p = 0; p < planes; p += 2) {
    const float* low = x + p * plane * kLanes;
    for (std::int64_t i = 0; i < plane * kLanes; i += kLanes) {
      UintVec words = round_lanes(low + i);
      if (p + 1 < planes) words |= round_lanes(low + plane * kLanes + i) << 16;
      store(reinterpret_cast<float*>(y), reinterpret_cast<Vec>(words));
      y += kLanes;
    }
  }
}

constexpr auto kPairLanes = &pair_lanes;
constexpr auto kLaneConv = &lane_conv<Bf16>;
#else
constexpr std::nullptr_t kPairLanes = nullptr;
constexpr std::nullptr_t kLaneConv = nullptr;
#endif

}  // namespace

const Bf16Kernels kBf16{
    .lanes = kLanes,
    .tile_rows = kTileRows,
    .tile_vectors = kTileVectors,
    .gemm = &gemm,
    .gemm_scratch = &gemm_scratch,
    .conv = &conv,
    .conv_scratch = &conv_scratch,
    .pair_lanes = kPairLanes,
    .lane_conv = kLaneConv,
};

}  // namespace prs::cpu::PRS_ISA
