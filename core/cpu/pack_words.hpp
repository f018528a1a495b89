// Operands as the word kernels (isa/words.hpp) take them. Constants: words of two 16-bit or four
// 8-bit numbers, the first in the lowest bits, zeros where there is no number.
#pragma once

#include <cstdint>

#include "cpu/isa/strips.hpp"
#include "cpu/pack_cache.hpp"
#include "prs/tensor.hpp"

namespace prs::cpu {

/// Flips of the bits of each 8-bit activation: what turns an i8 into a u8 with 128 added, and back.
inline std::uint8_t flip_of(DType dtype) { return dtype == DType::kInt8 ? 0x80 : 0; }

template <typename Bits>
inline constexpr std::int64_t kPerWord = 4 / static_cast<std::int64_t>(sizeof(Bits));

/// B [k, n] in strips of columns: for each, words [k / kPerWord, columns rounded up to vectors].
/// element(k, n) gives the bits of a number.
template <typename Bits, typename Element>
Tensor pack_gemm_words(std::int64_t n, std::int64_t k, std::int64_t lanes,
                       std::int64_t tile_vectors, const Element& element) {
  constexpr std::int64_t kEach = kPerWord<Bits>;
  const std::int64_t words = (k + kEach - 1) / kEach;
  const std::int64_t vectors = (n + lanes - 1) / lanes;
  Tensor packed(DType::kUint32, Shape{words, vectors * lanes});
  auto* to = packed.as<std::uint32_t>();
  std::int64_t strip = 0;
  for (std::int64_t first = 0; first < vectors; first += strip) {
    strip = strip_vectors(vectors - first, tile_vectors);
    for (std::int64_t w = 0; w < words; ++w) {
      for (std::int64_t column = first * lanes; column < (first + strip) * lanes; ++column) {
        std::uint32_t word = 0;
        for (std::int64_t i = 0; i < kEach && w * kEach + i < k && column < n; ++i) {
          const Bits bits = static_cast<Bits>(element(w * kEach + i, column));
          word |= std::uint32_t{bits} << (32 / kEach * i);
        }
        *to++ = word;
      }
    }
  }
  return packed;
}

/// Weights [filters, channels, taps] as words [filters, channels / kPerWord, taps]. element(i)
/// gives the bits of number i.
template <typename Bits, typename Element>
Tensor pack_conv_words(std::int64_t filters, std::int64_t channels, std::int64_t taps,
                       const Element& element) {
  constexpr std::int64_t kEach = kPerWord<Bits>;
  const std::int64_t words = (channels + kEach - 1) / kEach;
  Tensor packed(DType::kUint32, Shape{filters, words, taps});
  auto* to = packed.as<std::uint32_t>();
  for (std::int64_t f = 0; f < filters; ++f) {
    for (std::int64_t w = 0; w < words; ++w) {
      for (std::int64_t t = 0; t < taps; ++t) {
        std::uint32_t word = 0;
        for (std::int64_t i = 0; i < kEach && w * kEach + i < channels; ++i) {
          const Bits bits = static_cast<Bits>(element((f * channels + w * kEach + i) * taps + t));
          word |= std::uint32_t{bits} << (32 / kEach * i);
        }
        *to++ = word;
      }
    }
  }
  return packed;
}

}  // namespace prs::cpu
