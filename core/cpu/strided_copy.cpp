#include "cpu/strided_copy.hpp"

#include <algorithm>

#include "cpu/bytes.hpp"

namespace prs::cpu {
namespace {

/// to[r * row_stride + c] = from[r + c * column_stride], tile by tile.
template <typename T>
void transpose_tiles(const T* from, T* to, std::int64_t rows, std::int64_t columns,
                     std::int64_t row_stride, std::int64_t column_stride) {
  constexpr std::int64_t kTile = 32;
  for (std::int64_t row = 0; row < rows; row += kTile) {
    const std::int64_t row_end = std::min(row + kTile, rows);
    for (std::int64_t column = 0; column < columns; column += kTile) {
      const std::int64_t column_end = std::min(column + kTile, columns);
      for (std::int64_t r = row; r < row_end; ++r) {
        for (std::int64_t c = column; c < column_end; ++c) {
          to[r * row_stride + c] = from[r + c * column_stride];
        }
      }
    }
  }
}

}  // namespace

StridedCopy::StridedCopy(std::span<const std::int64_t> extents,
                         std::span<const std::int64_t> strides, std::int64_t offset,
                         std::int64_t element_bytes)
    : offset_(offset), element_bytes_(element_bytes) {
  const auto append = [this](std::int64_t extent, std::int64_t stride) {
    const auto last = static_cast<std::size_t>(rank_ - 1);
    if (rank_ > 0 && from_strides_[last] == stride * extent) {
      extents_[last] *= extent;
      from_strides_[last] = stride;
      return;
    }
    extents_[static_cast<std::size_t>(rank_)] = extent;
    from_strides_[static_cast<std::size_t>(rank_++)] = stride;
  };
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] != 1) append(extents[axis], strides[axis]);
  }
  if (rank_ == 0) append(1, 1);

  std::int64_t to_stride = 1;
  for (std::int64_t axis = rank_ - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    to_strides_[i] = to_stride;
    to_stride *= extents_[i];
    if (from_strides_[i] == 1) dense_axis_ = axis;
  }
  if (dense_axis_ < 0) {
    algorithm_ = Algorithm::kStrided;
  } else if (dense_axis_ != rank_ - 1) {
    algorithm_ = Algorithm::kBlocked;
  }
}

std::string StridedCopy::name() const {
  const std::string bits = "b" + std::to_string(8 * element_bytes_);
  switch (algorithm_) {
    case Algorithm::kRows:
      return bits + "_rows";
    case Algorithm::kBlocked:
      return bits + "_blocked_32x32";
    case Algorithm::kStrided:
      return bits + "_strided";
  }
  PRS_CHECK(false);
}

template <typename Body>
void StridedCopy::for_each_outer(Body&& body) const {
  const std::int64_t skipped = algorithm_ == Algorithm::kBlocked ? dense_axis_ : -1;
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::int64_t from = offset_;
  std::int64_t to = 0;
  for (;;) {
    body(from, to);
    std::int64_t axis = rank_ - 2;
    for (; axis >= 0; --axis) {
      if (axis == skipped) continue;
      const auto i = static_cast<std::size_t>(axis);
      from += from_strides_[i];
      to += to_strides_[i];
      if (++index[i] < extents_[i]) break;
      from -= extents_[i] * from_strides_[i];
      to -= extents_[i] * to_strides_[i];
      index[i] = 0;
    }
    if (axis < 0) return;
  }
}

template <typename T>
void StridedCopy::run_blocked(const T* from, T* to) const {
  const auto last = static_cast<std::size_t>(rank_ - 1);
  const auto dense = static_cast<std::size_t>(dense_axis_);
  for_each_outer([&](std::int64_t from_offset, std::int64_t to_offset) {
    transpose_tiles(from + from_offset, to + to_offset, extents_[dense], extents_[last],
                    to_strides_[dense], from_strides_[last]);
  });
}

template <typename T>
void StridedCopy::run_strided(const T* from, T* to) const {
  const auto last = static_cast<std::size_t>(rank_ - 1);
  for_each_outer([&](std::int64_t from_offset, std::int64_t to_offset) {
    const std::int64_t extent = extents_[last];
    const std::int64_t stride = from_strides_[last];
    for (std::int64_t i = 0; i < extent; ++i) to[to_offset + i] = from[from_offset + i * stride];
  });
}

void StridedCopy::run(const std::byte* from, std::byte* to) const {
  if (algorithm_ == Algorithm::kRows) {
    const std::int64_t row_bytes = extents_[static_cast<std::size_t>(rank_ - 1)] * element_bytes_;
    for_each_outer([&](std::int64_t from_offset, std::int64_t to_offset) {
      copy_bytes(to + to_offset * element_bytes_, from + from_offset * element_bytes_, row_bytes);
    });
    return;
  }
  visit_bits(element_bytes_, [&](auto bits) {
    using T = decltype(bits);
    const auto* typed_from = reinterpret_cast<const T*>(from);
    auto* typed_to = reinterpret_cast<T*>(to);
    if (algorithm_ == Algorithm::kBlocked) {
      run_blocked(typed_from, typed_to);
    } else {
      run_strided(typed_from, typed_to);
    }
  });
}

}  // namespace prs::cpu
