#include "gpu/pool.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <string>

#include "prs/error.hpp"

namespace prs::gpu {
namespace {

[[noreturn]] void fail_internal(const std::string& what) {
  throw Error(ErrorCode::kInternal, what + " [this is a bug]");
}

}  // namespace

SlotPool::SlotPool(int slots) {
  if (slots < 0) fail_internal(fmt::format("a pool of {} GPU slots", slots));
  held_.assign(static_cast<std::size_t>(slots), false);
}

std::vector<int> SlotPool::acquire(int count) {
  if (count < 0) fail_internal(fmt::format("{} GPU slots wanted", count));
  const auto wanted = count == 0 ? held_.size() : static_cast<std::size_t>(count);
  std::vector<int> free;
  for (std::size_t slot = 0; slot < held_.size() && free.size() < wanted; ++slot) {
    if (!held_[slot]) free.push_back(static_cast<int>(slot));
  }
  if (free.size() < wanted) return {};
  for (const int slot : free) held_[static_cast<std::size_t>(slot)] = true;
  return free;
}

void SlotPool::release(const std::vector<int>& slots) {
  std::vector<bool> held = held_;
  for (const int slot : slots) {
    if (slot < 0 || slot >= this->slots()) {
      fail_internal(fmt::format("GPU slot {} of {} released", slot, this->slots()));
    }
    if (!held[static_cast<std::size_t>(slot)]) {
      fail_internal(fmt::format("GPU slot {} released, but nobody holds it", slot));
    }
    held[static_cast<std::size_t>(slot)] = false;
  }
  held_ = held;
}

}  // namespace prs::gpu
