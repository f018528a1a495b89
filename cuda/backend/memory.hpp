// Memory of a device, owned. A pool keeps what is given back, so that the steady state asks the
// driver for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "runtime.hpp"

namespace prs::cuda {

/// Thread-safe. A block serves any request that fills at least half of it.
class MemoryPool {
 public:
  enum class Kind { kDevice, kPinned };

  MemoryPool(std::shared_ptr<Runtime> runtime, Kind kind)
      : runtime_(std::move(runtime)), kind_(kind) {}
  ~MemoryPool() { release(); }
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  /// When the device is full, gives back what lies unused and tries once more. Throws out of
  /// memory.
  void* take(std::int64_t bytes);
  void give(void* memory) noexcept;

  /// Returns unused blocks to the device.
  void release() noexcept;

 private:
  void* allocate(std::int64_t bytes);
  void free(void* memory) noexcept;

  std::shared_ptr<Runtime> runtime_;
  Kind kind_;
  std::mutex mutex_;
  std::multimap<std::int64_t, void*> unused_;  ///< By size.
  std::map<void*, std::int64_t> taken_;
};

/// Memory of a pool, given back at the end. The work that uses it must be done by then.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<MemoryPool> pool, std::int64_t bytes)
      : pool_(std::move(pool)), memory_(pool_->take(bytes)) {}
  ~Buffer() {
    if (pool_) pool_->give(memory_);
  }
  Buffer(Buffer&& other) noexcept : pool_(std::move(other.pool_)), memory_(other.memory_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(memory_, other.memory_);
    return *this;
  }

  std::byte* data() const noexcept { return static_cast<std::byte*>(memory_); }

 private:
  std::shared_ptr<MemoryPool> pool_;
  void* memory_ = nullptr;
};

}  // namespace prs::cuda
