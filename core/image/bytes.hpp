// Reading integers of a given byte order from untrusted bytes. The caller checks the bounds.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace prs::image {

static_assert(std::endian::native == std::endian::little, "the file readers assume little-endian");

template <typename T>
T load_little(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
T load_big(const std::byte* at) noexcept {
  std::byte reversed[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) reversed[i] = at[sizeof(T) - 1 - i];
  return load_little<T>(reversed);
}

inline bool starts_with(std::span<const std::byte> bytes, std::string_view prefix) noexcept {
  return bytes.size() >= prefix.size() &&
         std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

}  // namespace prs::image
