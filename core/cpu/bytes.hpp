// Moving and filling raw elements: what the kernels without arithmetic are made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "check.hpp"
#include "cpu/kernel.hpp"

namespace prs::cpu {

/// memcpy that allows null pointers for no bytes.
inline void copy_bytes(std::byte* to, const std::byte* from, std::int64_t size_bytes) {
  if (size_bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(size_bytes));
}

/// Calls body with an unsigned integer of `size_bytes` bytes, the size of an element.
template <typename Body>
decltype(auto) visit_bits(std::int64_t size_bytes, Body&& body) {
  switch (size_bytes) {
    case 1:
      return body(std::uint8_t{});
    case 2:
      return body(std::uint16_t{});
    case 4:
      return body(std::uint32_t{});
    case 8:
      return body(std::uint64_t{});
    default:
      PRS_CHECK(false);
  }
}

/// `count` copies of the element of `size_bytes` bytes at `element`.
inline void fill_elements(std::byte* to, const std::byte* element, std::int64_t size_bytes,
                          std::int64_t count) {
  visit_bits(size_bytes, [&](auto bits) {
    std::memcpy(&bits, element, sizeof bits);
    std::fill_n(reinterpret_cast<decltype(bits)*>(to), count, bits);
  });
}

inline std::int64_t buffer_bytes(const TensorType& type) {
  return prs::buffer_bytes(type.dtype, type.shape);
}

/// Copies input 0 to output 0, whose type is `type`.
inline Plan copy_plan(const TensorType& type) {
  const std::int64_t size_bytes = buffer_bytes(type);
  return {"copy_bytes", [size_bytes](const StepArgs& args) {
            copy_bytes(static_cast<std::byte*>(args.outputs[0]),
                       static_cast<const std::byte*>(args.inputs[0]), size_bytes);
          }};
}

/// For a result without elements.
inline Plan nothing_plan() {
  return {"nothing", [](const StepArgs&) {}};
}

}  // namespace prs::cpu
