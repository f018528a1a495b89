#include "graph/memory_plan.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <queue>
#include <set>
#include <utility>

#include "check.hpp"

namespace prs {
namespace {

constexpr std::int64_t kLimit = std::int64_t{1} << 60;

/// Beyond that many buffers the greedy plan, which compares each with each, would take seconds.
constexpr std::size_t kGreedyBuffers = 8192;

std::int64_t aligned(std::int64_t size_bytes) {
  if (size_bytes > kLimit) {
    fail(ErrorCode::kOutOfMemory, "an intermediate tensor of {} bytes", size_bytes);
  }
  return (size_bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

void grow(MemoryPlan& plan, std::int64_t offset, std::int64_t size) {
  if (offset > kLimit - size) fail(ErrorCode::kOutOfMemory, "the intermediate tensors overflow");
  plan.arena_bytes = std::max(plan.arena_bytes, offset + size);
}

/// The free parts of an arena.
class FreeBlocks {
 public:
  /// Takes the smallest block that is large enough; -1 when there is none.
  std::int64_t take(std::int64_t size) {
    const auto found = by_size_.lower_bound({size, 0});
    if (found == by_size_.end()) return -1;
    const auto [block, offset] = *found;
    remove(offset, block);
    if (block > size) add(offset + size, block - size);
    return offset;
  }

  /// Takes what is free at the arena's end, whatever its size; returns where it begins.
  std::int64_t take_end(std::int64_t end) {
    if (by_offset_.empty()) return end;
    const auto [offset, size] = *by_offset_.rbegin();
    if (offset + size != end) return end;
    remove(offset, size);
    return offset;
  }

  void give(std::int64_t offset, std::int64_t size) {
    const auto after = by_offset_.lower_bound(offset);
    if (after != by_offset_.end() && after->first == offset + size) {
      const auto [next, next_size] = *after;
      remove(next, next_size);
      size += next_size;
    }
    const auto at = by_offset_.lower_bound(offset);
    if (at != by_offset_.begin()) {
      const auto [before, before_size] = *std::prev(at);
      if (before + before_size == offset) {
        remove(before, before_size);
        offset = before;
        size += before_size;
      }
    }
    add(offset, size);
  }

 private:
  void add(std::int64_t offset, std::int64_t size) {
    by_offset_.emplace(offset, size);
    by_size_.emplace(size, offset);
  }
  void remove(std::int64_t offset, std::int64_t size) {
    by_offset_.erase(offset);
    by_size_.erase({size, offset});
  }

  std::map<std::int64_t, std::int64_t> by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;
};

/// In the order of the steps, each buffer in the smallest free block that holds it.
MemoryPlan plan_in_step_order(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lifetimes[a].first < lifetimes[b].first;
  });
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  FreeBlocks free;
  using Ending = std::pair<int, std::size_t>;  // last step, buffer
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> alive;
  for (const std::size_t index : order) {
    while (!alive.empty() && alive.top().first < lifetimes[index].first) {
      const std::size_t ended = alive.top().second;
      alive.pop();
      free.give(plan.offsets[ended], aligned(lifetimes[ended].size_bytes));
    }
    const std::int64_t size = aligned(lifetimes[index].size_bytes);
    if (size == 0) continue;
    std::int64_t offset = free.take(size);
    if (offset < 0) offset = free.take_end(plan.arena_bytes);
    grow(plan, offset, size);
    plan.offsets[index] = offset;
    alive.emplace(lifetimes[index].last, index);
  }
  return plan;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes) {
  if (lifetimes.size() > kGreedyBuffers) return plan_in_step_order(lifetimes);
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
    const std::int64_t size = aligned(buffer.size_bytes);
    std::int64_t offset = 0;
    for (const std::size_t other_index : placed) {
      const Lifetime& other = lifetimes[other_index];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (offset + size <= plan.offsets[other_index]) break;
      offset = std::max(offset, plan.offsets[other_index] + aligned(other.size_bytes));
    }
    plan.offsets[index] = offset;
    grow(plan, offset, size);
    const auto position = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](std::int64_t value, std::size_t i) { return value < plan.offsets[i]; });
    placed.insert(position, index);
  }
  return plan;
}

}  // namespace prs
