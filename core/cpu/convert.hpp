// Conversions of single values between all element types, as Cast defines them (ops/cast.cpp).
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ops/support.hpp"
#include "prs/tensor.hpp"

namespace prs::cpu {

// How elements lie in memory where C++ 20 has no type for it. A bool is read as a byte: bytes other
// than 0 and 1, which callers may hand in, are no valid C++ bool.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};
struct Bool {
  std::uint8_t byte;
};

/// Calls body with a value of the type that stores elements of `dtype`.
template <typename Body>
decltype(auto) visit_storage(DType dtype, Body&& body) {
  if (dtype == DType::kFloat16) return body(Half{});
  if (dtype == DType::kBFloat16) return body(BFloat16{});
  if (dtype == DType::kBool) return body(Bool{});
  return ops::visit_dtype(dtype, std::forward<Body>(body));
}

inline float load_value(Half x) { return half_to_float(x.bits); }
inline float load_value(BFloat16 x) { return bfloat16_to_float(x.bits); }
inline bool load_value(Bool x) { return x.byte != 0; }
template <typename T>
T load_value(T x) {
  return x;
}

// A value is rounded once although it passes through float on its way to a 16-bit float: rounding
// to odd (inexact results get an odd last digit) keeps on which side of a tie it lies, provided
// that the passage has at least two digits more than the result.

inline float to_float_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = nearest;
  if (back == x || std::isnan(x)) return nearest;
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 1U) != 0) return nearest;
  // Of two neighbours one is odd; toward zero is one bit pattern down.
  return std::bit_cast<float>(std::abs(back) > std::abs(x) ? bits - 1 : bits + 1);
}
inline float to_float_odd(float x) { return x; }
inline float to_float_odd(std::uint64_t x) {
  constexpr int kDropped = 64 - std::numeric_limits<double>::digits;
  constexpr std::uint64_t kLow = (std::uint64_t{1} << kDropped) - 1;
  if (x > (std::uint64_t{1} << 53) && (x & kLow) != 0) x = (x & ~kLow) | (kLow + 1);
  return to_float_odd(static_cast<double>(x));
}
inline float to_float_odd(std::int64_t x) {
  const auto bits = static_cast<std::uint64_t>(x);
  return x < 0 ? -to_float_odd(0 - bits) : to_float_odd(bits);
}
template <std::integral T>
float to_float_odd(T x) {
  return to_float_odd(static_cast<std::int64_t>(x));
}

template <std::integral To, std::floating_point From>
To to_integer(From x) {
  using Limits = std::numeric_limits<To>;
  // Both are exact: 0 or powers of two, the second being the first value that is too large.
  constexpr From kMin = static_cast<From>(Limits::min());
  constexpr From kEnd = static_cast<From>(Limits::max() / 2 + 1) * 2;
  if (std::isnan(x)) return 0;
  if (x < kMin) return Limits::min();
  if (x >= kEnd) return Limits::max();
  return static_cast<To>(x);
}

template <typename To, typename From>
To convert_value(From x) {
  if constexpr (std::is_same_v<To, Bool>) {
    return {static_cast<std::uint8_t>(x != From{0})};
  } else if constexpr (std::is_same_v<To, Half>) {
    return {float_to_half(to_float_odd(x))};
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return {float_to_bfloat16(to_float_odd(x))};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return to_integer<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

/// Converts `count` elements.
template <typename From, typename To>
void convert_elements(const void* from, void* to, std::int64_t count) {
  const auto* source = static_cast<const From*>(from);
  auto* target = static_cast<To*>(to);
  for (std::int64_t i = 0; i < count; ++i) target[i] = convert_value<To>(load_value(source[i]));
}

}  // namespace prs::cpu
