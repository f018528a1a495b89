// Constant matrices as the tensor-core kernels take them: rounded to a precision and cut into
// tiles.
#pragma once

#include <memory>
#include <string>

#include "backend/plan.hpp"

namespace prs::cuda {

/// What a precision means to the packing: elements of 16 bits, of tf32 32, of int8 8.
struct PackedFormat {
  explicit PackedFormat(Precision chosen, bool for_wgmma = false)
      : precision(chosen), wgmma(for_wgmma) {}

  std::int64_t bytes() const {
    if (precision == Precision::kInt8) return 1;
    return precision == Precision::kTf32 ? 4 : 2;
  }
  /// Elements of k of a stage, which has 64 bytes of them, for wgmma kWgmmaRowBytes.
  std::int64_t depth() const { return (wgmma ? kWgmmaRowBytes : 64) / bytes(); }
  /// Which element of a stage's row n is stored as number i.
  std::int64_t element_at(std::int64_t n, std::int64_t i) const {
    if (!wgmma) return i;
    const std::int64_t in_chunk = 16 / bytes();
    return (i / in_chunk ^ n % 8) * in_chunk + i % in_chunk;
  }
  /// `value`, rounded: its bits in the low ones.
  std::uint32_t bits(float value) const;
  /// Appends them.
  void append(std::vector<std::byte>& bytes, float value) const;

  Precision precision;
  bool wgmma;  ///< Chunks of 16 bytes swizzled.
};

/// `groups` matrices [n, k] in one constant: element (group, n, k) is at group * group_stride +
/// n * n_stride + k * k_stride.
struct MatrixView {
  std::int64_t groups, n, k;
  std::int64_t group_stride, n_stride, k_stride;
};

struct PackedMatrix {
  std::shared_ptr<const void> memory;
  std::int64_t stages;
};

/// Of an f32 tensor, or an i8 one for int8, for tiles of `columns` (GemmMmaArgs); at least one
/// stage. Shared with other plans of the same constant.
PackedMatrix pack_matrix(const Constants& constants, const Tensor& tensor, const MatrixView& view,
                         PackedFormat format, std::int64_t columns);

}  // namespace prs::cuda
