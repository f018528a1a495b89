// Cast between all element types: one thread an element. The rules are the reference's
// (ops/cast.cpp): floats saturate to integers and NaN becomes 0, integers wrap, every float is
// rounded once.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// An element of any type, without loss.
struct Number {
  enum class Kind { kFloat, kSigned, kUnsigned } kind;
  double real;
  std::int64_t integer;
  std::uint64_t natural;
};

template <typename T>
PRS_DEVICE T element(const void* x, std::int64_t i) {
  return static_cast<const T*>(x)[i];
}
PRS_DEVICE Number real(double x) { return {Number::Kind::kFloat, x, 0, 0}; }
PRS_DEVICE Number integer(std::int64_t x) { return {Number::Kind::kSigned, 0, x, 0}; }
PRS_DEVICE Number natural(std::uint64_t x) { return {Number::Kind::kUnsigned, 0, 0, x}; }

PRS_DEVICE Number load_number(const void* x, std::int64_t i, Element type) {
  switch (type) {
    case Element::kF32:
      return real(static_cast<double>(element<float>(x, i)));
    case Element::kF64:
      return real(element<double>(x, i));
    case Element::kF16:
      return real(static_cast<double>(to_float(element<Half>(x, i))));
    case Element::kBF16:
      return real(static_cast<double>(to_float(element<BFloat16>(x, i))));
    case Element::kI8:
      return integer(element<std::int8_t>(x, i));
    case Element::kI16:
      return integer(element<std::int16_t>(x, i));
    case Element::kI32:
      return integer(element<std::int32_t>(x, i));
    case Element::kI64:
      return integer(element<std::int64_t>(x, i));
    case Element::kU8:
      return natural(element<std::uint8_t>(x, i));
    case Element::kU16:
      return natural(element<std::uint16_t>(x, i));
    case Element::kU32:
      return natural(element<std::uint32_t>(x, i));
    case Element::kU64:
      return natural(element<std::uint64_t>(x, i));
    case Element::kBool:
      return natural(element<std::uint8_t>(x, i) != 0 ? 1 : 0);
  }
  return real(0);
}

/// To float, inexact results to the neighbour whose last bit is odd: rounded again to a 16-bit
/// float, they end where one rounding would have put them.
PRS_DEVICE float to_float_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double back = static_cast<double>(nearest);
  const std::uint32_t bits = float_bits(nearest);
  if (back == x || x != x || (bits & 1u) != 0) return nearest;
  return bits_float(fabs(back) > fabs(x) ? bits - 1 : bits + 1);
}
PRS_DEVICE float natural_to_float_odd(std::uint64_t x) {
  // A double keeps 53 bits; what is below them only tells that the value is not exact.
  const std::uint64_t low = (std::uint64_t{1} << 11) - 1;
  if (x > (std::uint64_t{1} << 53) && (x & low) != 0) x = (x & ~low) | (low + 1);
  return to_float_odd(static_cast<double>(x));
}
PRS_DEVICE float to_float_odd(const Number& x) {
  switch (x.kind) {
    case Number::Kind::kFloat:
      return to_float_odd(x.real);
    case Number::Kind::kSigned: {
      const std::uint64_t bits = static_cast<std::uint64_t>(x.integer);
      return x.integer < 0 ? -natural_to_float_odd(0 - bits) : natural_to_float_odd(bits);
    }
    case Number::Kind::kUnsigned:
      return natural_to_float_odd(x.natural);
  }
  return 0;
}

template <typename T>
PRS_DEVICE T to_real(const Number& x) {
  if (x.kind == Number::Kind::kFloat) return static_cast<T>(x.real);
  if (x.kind == Number::Kind::kSigned) return static_cast<T>(x.integer);
  return static_cast<T>(x.natural);
}

/// kDigits: T's bits without its sign.
template <typename T, int kDigits, bool kSigned>
PRS_DEVICE T to_integer(const Number& x) {
  if (x.kind == Number::Kind::kSigned) return static_cast<T>(x.integer);
  if (x.kind == Number::Kind::kUnsigned) return static_cast<T>(x.natural);
  const double end = ldexp(1.0, kDigits);
  const std::uint64_t most = ~std::uint64_t{0} >> (64 - kDigits);
  if (x.real != x.real) return 0;
  if (x.real >= end) return static_cast<T>(most);
  if (x.real < (kSigned ? -end : 0.0)) return kSigned ? static_cast<T>(~most) : T{0};
  return static_cast<T>(x.real);
}

template <typename T>
PRS_DEVICE void put(void* y, std::int64_t i, T value) {
  static_cast<T*>(y)[i] = value;
}

PRS_DEVICE void store_number(void* y, std::int64_t i, Element type, const Number& x) {
  switch (type) {
    case Element::kF32:
      return put(y, i, to_real<float>(x));
    case Element::kF64:
      return put(y, i, to_real<double>(x));
    case Element::kF16:
      return put(y, i, to_half(to_float_odd(x)));
    case Element::kBF16:
      return put(y, i, to_bfloat16(to_float_odd(x)));
    case Element::kI8:
      return put(y, i, to_integer<std::int8_t, 7, true>(x));
    case Element::kI16:
      return put(y, i, to_integer<std::int16_t, 15, true>(x));
    case Element::kI32:
      return put(y, i, to_integer<std::int32_t, 31, true>(x));
    case Element::kI64:
      return put(y, i, to_integer<std::int64_t, 63, true>(x));
    case Element::kU8:
      return put(y, i, to_integer<std::uint8_t, 8, false>(x));
    case Element::kU16:
      return put(y, i, to_integer<std::uint16_t, 16, false>(x));
    case Element::kU32:
      return put(y, i, to_integer<std::uint32_t, 32, false>(x));
    case Element::kU64:
      return put(y, i, to_integer<std::uint64_t, 64, false>(x));
    case Element::kBool: {
      const bool zero = x.real == 0 && x.integer == 0 && x.natural == 0;
      return put(y, i, static_cast<std::uint8_t>(zero ? 0 : 1));
    }
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) cast(CastArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    store_number(args.y, i, args.to, load_number(args.x, i, args.from));
  }
}

}  // namespace

void add_cast_kernels(KernelTable& table) { add(table, KernelId::kCast, cast); }

}  // namespace prs::cuda::PRS_CUDA_WORLD
