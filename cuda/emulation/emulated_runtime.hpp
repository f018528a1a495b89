// The emulated device as a Runtime: device memory is host memory. Streams do their work when it is
// waited for, no earlier: who looks at results before sees what was there.
#pragma once

#include <memory>

#include "emulation/execution.hpp"
#include "runtime.hpp"

namespace prs::cuda::emulated {

/// What a runtime has done; for tests of what must not happen in steady state.
struct Counts {
  std::int64_t allocations = 0;  ///< Device and page-locked.
  std::int64_t live = 0;         ///< Of those, not freed yet.
  std::int64_t launches = 0;
  std::int64_t copies = 0;
  std::int64_t recordings = 0;
};

class EmulatedRuntime : public Runtime {
 public:
  virtual Counts counts() const = 0;
  /// Allocations beyond that total, device memory only, throw out of memory.
  virtual void limit_memory(std::int64_t bytes) = 0;
  /// After so many launches more every call fails as after a sticky error, which the last one made.
  virtual void lose_after(std::int64_t launches) = 0;
  /// From here on every call does.
  void lose() { lose_after(0); }
};

/// Device memory starts as NaN patterns; what is written next to an allocation is told when it is
/// freed (under AddressSanitizer at once).
std::shared_ptr<EmulatedRuntime> make_runtime(const Schedule& schedule = {},
                                              const DeviceLimits& limits = {});

}  // namespace prs::cuda::emulated
