// Where every value lives during a run: one arena, offsets chosen by lifetime.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace prs {

/// A buffer that is alive from step `first` to step `last`, both included.
struct Lifetime {
  std::int64_t size_bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<std::int64_t> offsets;  ///< One a lifetime, multiples of kArenaAlignment.
  std::int64_t arena_bytes = 0;
};

inline constexpr std::int64_t kArenaAlignment = 64;

/// Places buffers so that two whose lifetimes overlap never share a byte: greedily, largest first,
/// each at the lowest offset that is free (after Pisarchyk and Lee, "Efficient Memory Management
/// for Deep Neural Net Inference", 2020, "greedy by size"). Thousands of buffers are placed in the
/// order of their first steps instead, which takes O(n log n). Throws out of memory on overflow.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes);

}  // namespace prs
