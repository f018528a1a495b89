// The GPU slots of one node: each is held by at most one live worker (G2, G4). Pure.
#pragma once

#include <vector>

namespace prs::gpu {

class SlotPool {
 public:
  SlotPool() = default;
  explicit SlotPool(int slots) : held_(static_cast<std::size_t>(slots), false) {}

  /// The `count` lowest free slots (0: all of the node, if all are free), or none when there are
  /// not enough.
  std::vector<int> acquire(int count);
  void release(const std::vector<int>& slots);
  int slots() const { return static_cast<int>(held_.size()); }

 private:
  std::vector<bool> held_;
};

}  // namespace prs::gpu
