#include "backend/memory.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "check.hpp"

namespace prs::cuda {

void* MemoryPool::allocate(std::int64_t bytes) {
  return kind_ == Kind::kDevice ? runtime_->allocate(bytes) : runtime_->allocate_host(bytes);
}

void MemoryPool::free(void* memory) noexcept {
  kind_ == Kind::kDevice ? runtime_->free(memory) : runtime_->free_host(memory);
}

namespace {

/// Sizes between two powers of two come in steps of an eighth, so that little is wasted and blocks
/// still fit other requests.
std::int64_t block_size(std::int64_t bytes) {
  constexpr std::uint64_t kSmallest = 512;
  const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 1));
  const std::uint64_t step = std::max(kSmallest, std::bit_ceil(wanted) / 8);
  return static_cast<std::int64_t>((wanted + step - 1) / step * step);
}

}  // namespace

void* MemoryPool::take(std::int64_t bytes) {
  const std::int64_t size = block_size(bytes);
  const std::lock_guard lock(mutex_);
  const auto found = unused_.lower_bound(size);
  // A block of twice the size is still put to use; a larger one is kept for larger requests.
  if (found != unused_.end() && found->first <= 2 * size) {
    void* memory = found->second;
    taken_.emplace(memory, found->first);
    unused_.erase(found);
    return memory;
  }
  void* memory = nullptr;
  try {
    memory = allocate(size);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory || unused_.empty()) throw;
    for (const auto& [unused_size, unused] : unused_) free(unused);
    unused_.clear();
    memory = allocate(size);
  }
  taken_.emplace(memory, size);
  return memory;
}

void MemoryPool::give(void* memory) noexcept {
  const std::lock_guard lock(mutex_);
  auto node = taken_.extract(memory);
  if (node.empty()) return;
  try {
    unused_.emplace(node.mapped(), memory);
  } catch (const std::bad_alloc&) {
    free(memory);  // No room to remember it.
  }
}

void MemoryPool::release() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& [size, memory] : unused_) free(memory);
  unused_.clear();
}

}  // namespace prs::cuda
