// 64 bytes at a time: which of them equal a character, as a bit mask (bit i is byte i).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace prs::dataset {

class ByteBlock {
 public:
  static constexpr std::size_t kSize = 64;

  /// The first 64 bytes of `bytes`; what is missing counts as spaces.
  explicit ByteBlock(std::string_view bytes) {
    if (bytes.size() >= kSize) {
      load(bytes.data());
      return;
    }
    char padded[kSize];
    std::memset(padded, ' ', kSize);
    if (!bytes.empty()) std::memcpy(padded, bytes.data(), bytes.size());
    load(padded);
  }

#ifdef __SSE2__
  std::uint64_t equal_to(char c) const {
    const __m128i wanted = _mm_set1_epi8(c);
    std::uint64_t mask = 0;
    for (int i = 0; i < 4; ++i) {
      const int part = _mm_movemask_epi8(_mm_cmpeq_epi8(parts_[i], wanted));
      mask |= std::uint64_t{static_cast<std::uint32_t>(part)} << (16 * i);
    }
    return mask;
  }

 private:
  void load(const char* bytes) {
    for (int i = 0; i < 4; ++i) {
      parts_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
    }
  }
  __m128i parts_[4];
#else
  std::uint64_t equal_to(char c) const {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < kSize; ++i) mask |= std::uint64_t{bytes_[i] == c} << i;
    return mask;
  }

 private:
  void load(const char* bytes) { std::memcpy(bytes_, bytes, kSize); }
  char bytes_[kSize];
#endif
};

}  // namespace prs::dataset
