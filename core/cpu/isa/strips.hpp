// How the word kernels (words.hpp) cut the columns of a product into strips, which who packs a
// constant has to know. Static, not inline: each level has functions of its own.
#pragma once

#include <cstdint>

#include "cpu/isa/part.hpp"

namespace prs::cpu {

/// The vectors of the next strip when `left` are left and a tile has `most`: as even as can be,
/// since a strip of one vector would leave most of a register tile idle.
static constexpr std::int64_t strip_vectors(std::int64_t left, std::int64_t most) {
  const std::int64_t strips = (left + most - 1) / most;
  return strips == 0 ? 0 : (left + strips - 1) / strips;
}

/// Whether the strip [first, first + width) of so many vectors is in this part: its middle is.
static constexpr bool is_strip_of(const Part& part, std::int64_t vectors, std::int64_t first,
                                  std::int64_t width) {
  const PartRange range = share_of(2 * vectors, part);
  return 2 * first + width >= range.first && 2 * first + width < range.end;
}

}  // namespace prs::cpu
