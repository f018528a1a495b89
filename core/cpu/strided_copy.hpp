// Copies between a strided source and a dense destination; Transpose and Slice are both that:
//
//   for i0 in [0, e0): for i1 in [0, e1): ..: to[next++] = from[offset + i0 * s0 + i1 * s1 + ..]
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "prs/tensor.hpp"

namespace prs::cpu {

/// The loop nest above with as few axes as possible. Immutable after planning.
class StridedCopy {
 public:
  /// Extents of the destination, none 0, with the source's stride for each in elements.
  StridedCopy(std::span<const std::int64_t> extents, std::span<const std::int64_t> strides,
              std::int64_t offset, std::int64_t element_bytes);

  /// "b<bits of an element>_<algorithm>":
  ///   rows           the innermost axis is dense in the source: memcpy of rows
  ///   blocked_32x32  another axis is: tiles of that axis and the innermost one, so that both
  ///                  sides use whole cache lines
  ///   strided        none is: element by element
  std::string name() const;

  void run(const std::byte* from, std::byte* to) const;

 private:
  enum class Algorithm { kRows, kBlocked, kStrided };

  /// Calls body(source, destination), offsets in elements, for every index of the axes that are
  /// neither innermost nor dense_axis_.
  template <typename Body>
  void for_each_outer(Body&& body) const;
  template <typename T>
  void run_blocked(const T* from, T* to) const;
  template <typename T>
  void run_strided(const T* from, T* to) const;

  Algorithm algorithm_ = Algorithm::kRows;
  std::int64_t rank_ = 0;
  std::int64_t dense_axis_ = -1;  ///< kBlocked: the axis of stride 1 in the source.
  std::int64_t offset_;
  std::int64_t element_bytes_;
  std::array<std::int64_t, Shape::kMaxRank> extents_{};
  std::array<std::int64_t, Shape::kMaxRank> from_strides_{};
  std::array<std::int64_t, Shape::kMaxRank> to_strides_{};
};

}  // namespace prs::cpu
