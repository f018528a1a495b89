// Nested loops over operands with different strides: built once when a call is planned, walked
// without allocation when it runs. Value type.
#pragma once

#include <array>
#include <cstdint>

#include "prs/tensor.hpp"

namespace prs::cpu {

/// Loops, outermost first, with the distance in elements that each operand moves per iteration.
template <std::size_t kOperands>
class LoopNest {
 public:
  using Offsets = std::array<std::int64_t, kOperands>;

  struct Loop {
    std::int64_t extent = 1;
    Offsets strides{};
  };

  /// Adds a loop inside the others; merges it with the one around it when all operands allow.
  void push(std::int64_t extent, const Offsets& strides) {
    if (extent == 1) return;
    if (depth_ > 0) {
      Loop& around = loops_[depth_ - 1];
      bool mergeable = true;
      for (std::size_t k = 0; k < kOperands; ++k) {
        mergeable = mergeable && around.strides[k] == extent * strides[k];
      }
      if (mergeable) {
        around = {around.extent * extent, strides};
        return;
      }
    }
    loops_[depth_++] = {extent, strides};
  }

  std::size_t depth() const noexcept { return depth_; }

  /// The loop that has `inside` loops within it; one of a single iteration past the outermost.
  Loop from_inside(std::size_t inside) const {
    return inside < depth_ ? loops_[depth_ - 1 - inside] : Loop{};
  }

  /// Calls body(offsets) for every iteration of all loops but the innermost `inner` ones; not at
  /// all when any loop, of those too, has no iterations.
  template <typename Body>
  void for_each_outer(std::size_t inner, Body&& body) const {
    const std::size_t outer = depth_ > inner ? depth_ - inner : 0;
    for (std::size_t i = 0; i < depth_; ++i) {
      if (loops_[i].extent == 0) return;
    }
    std::array<std::int64_t, Shape::kMaxRank> index{};
    Offsets offsets{};
    for (;;) {
      body(offsets);
      std::size_t level = outer;
      for (; level > 0; --level) {
        const Loop& loop = loops_[level - 1];
        std::int64_t& position = index[level - 1];
        for (std::size_t k = 0; k < kOperands; ++k) offsets[k] += loop.strides[k];
        if (++position < loop.extent) break;
        for (std::size_t k = 0; k < kOperands; ++k) offsets[k] -= loop.extent * loop.strides[k];
        position = 0;
      }
      if (level == 0) return;
    }
  }

 private:
  std::array<Loop, Shape::kMaxRank> loops_{};
  std::size_t depth_ = 0;
};

}  // namespace prs::cpu
