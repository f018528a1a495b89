// Constant matrices as the tensor-core kernels take them: rounded to a precision and cut into
// tiles.
#pragma once

#include <memory>
#include <string>

#include "backend/plan.hpp"

namespace prs::cuda {

/// What a precision means to the packing: 16-bit elements, or 32-bit ones for tf32.
struct PackedFormat {
  explicit PackedFormat(Precision chosen) : precision(chosen) {}

  std::int64_t bytes() const { return precision == Precision::kTf32 ? 4 : 2; }
  /// Elements of k of a stage.
  std::int64_t depth() const { return precision == Precision::kTf32 ? 16 : 32; }
  /// `value`, rounded: its bits in the low ones.
  std::uint32_t bits(float value) const;
  /// Appends them.
  void append(std::vector<std::byte>& bytes, float value) const;

  Precision precision;
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

/// For tiles of `columns` (GemmMmaArgs); shared with other plans of the same constant.
PackedMatrix pack_matrix(const Constants& constants, const Tensor& tensor, const MatrixView& view,
                         PackedFormat format, std::int64_t columns);

}  // namespace prs::cuda
