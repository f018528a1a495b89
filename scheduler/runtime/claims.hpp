// Who has a mini-batch that was sent to a worker: the worker, once it has taken it up, or the
// agent, once it has withdrawn it; never both. A number in memory that the two processes share, so
// that the agent gets its answer at once even while the worker is within a long run() or stopped.
//
// Mini-batches sent to a worker are numbered 0, 1, 2, ... in the order in which it takes them up.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/fd.hpp"

namespace prs::runtime {

class Claims {
 public:
  /// The agent's side. Throws io.
  static Claims create();
  /// The worker's side: what it has inherited. Throws io.
  static Claims inherited(int fd);
  ~Claims();
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  int fd() const { return fd_.get(); }

  /// The worker takes up mini-batch `number`. False: it has been withdrawn.
  bool take(std::uint64_t number) { return decided_->compare_exchange_strong(number, number + 1); }
  /// The agent withdraws all that the worker has not taken up, of `sent` so far. Returns the number
  /// of the first of these; `sent` when there is none.
  std::uint64_t withdraw(std::uint64_t sent);

 private:
  explicit Claims(Fd fd);

  Fd fd_;
  /// Below it every mini-batch is taken up or withdrawn.
  std::atomic<std::uint64_t>* decided_;
};

}  // namespace prs::runtime
