// Which GPU slots of a node workers keep dying on (G8). Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace prs::gpu {

/// A slot is given up when so many workers in a row have died on it.
inline constexpr std::int64_t kMostDeaths = 3;

/// Not thread-safe.
class SlotHealth {
 public:
  SlotHealth() = default;
  explicit SlotHealth(int slots);

  /// A worker on these slots has finished a mini-batch.
  void succeeded(const std::vector<int>& slots);

  /// A worker on these slots has ended by itself, at that mini-batch (-1: before it had one).
  /// Returns those of them that are given up now: kMostDeaths workers in a row died on the slot,
  /// not all at one mini-batch, which may itself be what kills them; and another slot, not given
  /// up, either has finished a mini-batch since the first of these deaths, or has lost no worker
  /// and is not in `held`. The last slot of a node is never given up.
  std::vector<int> died(const std::vector<int>& slots, std::int64_t mini_batch,
                        const std::vector<int>& held);

  /// Slots that are not given up.
  int usable() const { return usable_; }

 private:
  struct Slot {
    std::int64_t deaths = 0;       ///< Since its last success.
    std::int64_t mini_batch = -1;  ///< At the first of them.
    bool several = false;          ///< They were not all at that one.
    bool outlived = false;         ///< Another slot has succeeded since.
    bool given_up = false;
  };
  bool others_do_well(int slot, const std::vector<int>& held) const;

  std::vector<Slot> slots_;
  int usable_ = 0;
};

}  // namespace prs::gpu
