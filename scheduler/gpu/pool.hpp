// The GPU slots of one node: each is held by at most one live worker (G2, G4). Pure.
#pragma once

#include <vector>

namespace prs::gpu {

/// Not thread-safe. Misuse (a slot released twice, say) is our own mistake: throws internal.
class SlotPool {
 public:
  SlotPool() = default;
  explicit SlotPool(int slots);

  /// The `count` lowest free slots (0: all of the node, if all are free), or none when there are
  /// not enough.
  std::vector<int> acquire(int count);
  /// Gives back what acquire() gave; all of `slots` or, when it throws, none.
  void release(const std::vector<int>& slots);
  int slots() const { return static_cast<int>(held_.size()); }

 private:
  std::vector<bool> held_;
};

}  // namespace prs::gpu
