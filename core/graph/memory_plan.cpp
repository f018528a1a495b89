#include "graph/memory_plan.hpp"

#include <algorithm>
#include <numeric>

#include "check.hpp"

namespace prs {

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 60;
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lifetimes[a].size_bytes > lifetimes[b].size_bytes;
  });
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t index : order) {
    const Lifetime& buffer = lifetimes[index];
    if (buffer.size_bytes > kLimit) {
      fail(ErrorCode::kOutOfMemory, "an intermediate tensor of {} bytes", buffer.size_bytes);
    }
    const std::int64_t size =
        (buffer.size_bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    std::int64_t offset = 0;
    for (const std::size_t other_index : placed) {
      const Lifetime& other = lifetimes[other_index];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (offset + size <= plan.offsets[other_index]) break;
      const std::int64_t other_size =
          (other.size_bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
      offset = std::max(offset, plan.offsets[other_index] + other_size);
    }
    plan.offsets[index] = offset;
    if (offset > kLimit - size) fail(ErrorCode::kOutOfMemory, "the intermediate tensors overflow");
    plan.arena_bytes = std::max(plan.arena_bytes, offset + size);
    const auto position = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](std::int64_t value, std::size_t i) { return value < plan.offsets[i]; });
    placed.insert(position, index);
  }
  return plan;
}

}  // namespace prs
