// Constants in a kernel's own order, shared by the executables of one backend.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "constant_pool.hpp"
#include "prs/tensor.hpp"

namespace prs::cpu {

/// A model is compiled once for each batch size; its weights are packed once. Holds nothing alive:
/// a packed constant goes with the last plan that uses it. Thread-safe.
class PackCache {
 public:
  /// From now on constants are packed into that pool; null: each into memory of its own.
  void share_through(std::shared_ptr<ConstantPool> pool) {
    const std::lock_guard lock(mutex_);
    pool_ = std::move(pool);
  }

  /// `constant` as make() packs it. `layout` tells apart the ways to pack one constant.
  template <typename Make>
  std::shared_ptr<const Tensor> get(const Tensor& constant, const std::string& layout, Make make) {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<const Entry>& slot = entries_[{constant.data(), layout}];
    std::shared_ptr<const Entry> entry = slot.lock();
    if (!entry) {
      entry = std::make_shared<const Entry>(Entry{constant, shared(make())});
      slot = entry;
      drop_expired();
    }
    return {entry, &entry->packed};
  }

 private:
  struct Entry {
    Tensor constant;  ///< Keeps its address from being used for another one.
    Tensor packed;
  };

  Tensor shared(Tensor packed) const { return pool_ ? pool_->share(packed) : packed; }

  /// Rarely enough to cost nothing, often enough to keep the map small.
  void drop_expired() {
    if (entries_.size() < next_sweep_) return;
    std::erase_if(entries_, [](const auto& entry) { return entry.second.expired(); });
    next_sweep_ = 2 * entries_.size() + kFirstSweep;
  }

  static constexpr std::size_t kFirstSweep = 64;

  std::mutex mutex_;
  std::shared_ptr<ConstantPool> pool_;
  std::map<std::pair<const void*, std::string>, std::weak_ptr<const Entry>> entries_;
  std::size_t next_sweep_ = kFirstSweep;
};

/// From the cache, or on its own when there is none.
template <typename Make>
std::shared_ptr<const Tensor> pack_constant(PackCache* cache, const Tensor& constant,
                                            const std::string& layout, Make make) {
  if (cache == nullptr) return std::make_shared<const Tensor>(make());
  return cache->get(constant, layout, make);
}

}  // namespace prs::cpu
