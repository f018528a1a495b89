#include "backend/packed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "check.hpp"

namespace prs::cuda {

std::uint32_t PackedFormat::bits(float value) const {
  switch (precision) {
    case Precision::kFp32:
      return std::bit_cast<std::uint32_t>(value);
    case Precision::kBf16:
      return float_to_bfloat16(value);
    case Precision::kFp16:
      return float_to_half(value);
    case Precision::kTf32: {
      // As cvt.rna does: to 10 stored bits of mantissa, ties away from zero.
      const auto bits = std::bit_cast<std::uint32_t>(value);
      const bool finite = (bits & 0x7F800000U) != 0x7F800000U;
      return (finite ? bits + 0x1000U : bits) & ~0x1FFFU;
    }
    case Precision::kInt8:
      return static_cast<std::uint8_t>(static_cast<std::int8_t>(value));
  }
  fail(ErrorCode::kInternal, "no packed format of {}", precision_name(precision));
}

void PackedFormat::append(std::vector<std::byte>& to, float value) const {
  const std::uint32_t rounded = bits(value);
  for (std::int64_t i = 0; i < bytes(); ++i) {
    to.push_back(static_cast<std::byte>(rounded >> (8 * i)));
  }
}

PackedMatrix pack_matrix(const Constants& constants, const Tensor& tensor, const MatrixView& view,
                         PackedFormat format, std::int64_t columns) {
  const std::int64_t stages =
      std::max<std::int64_t>(1, (view.k + format.depth() - 1) / format.depth());
  const bool is_bytes = format.precision == Precision::kInt8;
  const auto element = [&](std::int64_t i) {
    return is_bytes ? static_cast<float>(tensor.as<std::int8_t>()[i]) : tensor.as<float>()[i];
  };
  const auto make = [&] {
    std::vector<std::byte> packed;
    const std::int64_t columns_in_tiles = (view.n + columns - 1) / columns * columns;
    packed.reserve(static_cast<std::size_t>(view.groups * columns_in_tiles * stages *
                                            format.depth() * format.bytes()));
    for (std::int64_t group = 0; group < view.groups; ++group) {
      for (std::int64_t n0 = 0; n0 < view.n; n0 += columns) {
        for (std::int64_t stage = 0; stage < stages; ++stage) {
          for (std::int64_t n = n0; n < n0 + columns; ++n) {
            for (std::int64_t i = 0; i < format.depth(); ++i) {
              const std::int64_t k = stage * format.depth() + format.element_at(n, i);
              const bool inside = n < view.n && k < view.k;
              format.append(packed, inside ? element(group * view.group_stride + n * view.n_stride +
                                                     k * view.k_stride)
                                           : 0.0F);
            }
          }
        }
      }
    }
    return packed;
  };
  const std::string layout = fmt::format(
      "matrix {} {} {} {} {} {} {} {} {}", precision_name(format.precision), format.depth(),
      columns, view.groups, view.n, view.k, view.group_stride, view.n_stride, view.k_stride);
  return {constants.packed({tensor}, layout, make), stages};
}

}  // namespace prs::cuda
