// How several threads cut one kernel call, each computing a part of the outputs. Static, not
// inline: each instruction-set level has functions of its own.
#pragma once

#include <cstdint>

namespace prs::cpu {

/// One of `count` parts.
struct Part {
  std::int64_t index = 0;
  std::int64_t count = 1;
};

/// [first, end)
struct PartRange {
  std::int64_t first;
  std::int64_t end;
};

/// A part's share of `units`, as even as can be.
static constexpr PartRange share_of(std::int64_t units, const Part& part) {
  return {units * part.index / part.count, units * (part.index + 1) / part.count};
}

}  // namespace prs::cpu
