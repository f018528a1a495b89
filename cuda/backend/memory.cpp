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

void* MemoryPool::take(std::int64_t bytes) {
  constexpr std::uint64_t kSmallest = 512;
  const auto size = static_cast<std::int64_t>(
      std::bit_ceil(std::max(static_cast<std::uint64_t>(bytes), kSmallest)));
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
