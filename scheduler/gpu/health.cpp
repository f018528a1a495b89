#include "gpu/health.hpp"

#include <algorithm>
#include <cstddef>

namespace prs::gpu {

SlotHealth::SlotHealth(int slots) : slots_(static_cast<std::size_t>(slots)), usable_(slots) {}

void SlotHealth::succeeded(const std::vector<int>& slots) {
  if (slots.empty()) return;  // Says nothing of any GPU.
  for (Slot& slot : slots_) slot.outlived = slot.deaths > 0;
  for (const int slot : slots) slots_[static_cast<std::size_t>(slot)] = {};
}

std::vector<int> SlotHealth::died(const std::vector<int>& slots, std::int64_t mini_batch,
                                  const std::vector<int>& held) {
  for (const int index : slots) {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (slot.deaths++ == 0) {
      slot.mini_batch = mini_batch;
    }
    // What dies before it has any mini-batch was killed by none.
    slot.several = slot.several || mini_batch < 0 || mini_batch != slot.mini_batch;
  }
  std::vector<int> given_up;
  for (const int index : slots) {
    const Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (slot.deaths < kMostDeaths || !slot.several || !others_do_well(index, held)) continue;
    given_up.push_back(index);
  }
  // Slots that are held together may go together, but never all there are.
  if (static_cast<int>(given_up.size()) >= usable_) given_up.clear();
  for (const int index : given_up) slots_[static_cast<std::size_t>(index)].given_up = true;
  usable_ -= static_cast<int>(given_up.size());
  return given_up;
}

bool SlotHealth::others_do_well(int slot, const std::vector<int>& held) const {
  if (slots_[static_cast<std::size_t>(slot)].outlived) return usable_ > 1;
  for (std::size_t other = 0; other < slots_.size(); ++other) {
    const bool free = std::find(held.begin(), held.end(), static_cast<int>(other)) == held.end();
    if (!slots_[other].given_up && slots_[other].deaths == 0 && free) return true;
  }
  return false;
}

}  // namespace prs::gpu
