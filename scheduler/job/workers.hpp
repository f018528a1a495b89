// The live workers of a job and their deadlines. Pure bookkeeping for job.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <vector>

#include "gpu/health.hpp"
#include "gpu/pool.hpp"
#include "job/job.hpp"

namespace prs::job {

/// A mini-batch sent to a worker.
struct Assignment {
  std::int64_t mini_batch = -1;
  int attempt = 0;
};

inline constexpr Time kNever = Time::max();

struct Worker {
  WorkerId id;
  WorkerPhase phase = WorkerPhase::kLoading;
  Time since{0};
  std::int64_t mini_batch = -1;
  int attempt = 0;
  bool was_ahead = false;         ///< It was sent mini_batch before it needed one.
  bool shared = false;            ///< By its last RunStarted it runs mini-batches together.
  std::vector<Assignment> ahead;  ///< Sent to be run after mini_batch, in this order.
  std::int64_t withdrawal = 0;    ///< Ticket of the withdrawal that is not answered yet; 0: none.
  Time began{0};                  ///< When mini_batch could begin.
  Duration pace = kNever;         ///< From one mini-batch to the next, of late.
  std::vector<int> gpu_slots;
  bool init_done = false;
  bool killed = false;
  bool served = false;          ///< Was given a mini-batch at least once.
  bool init_counted = false;    ///< Its failed init stands in the counts.
  std::int64_t generation = 0;  ///< Changes with the phase.
  // Deadlines of the phase; kNever: none.
  Time half = kNever;
  Time full = kNever;
  Time recall = kNever;
  Time watched = kNever;  ///< The entry in Workers' queue that stands for this worker.

  Time next_deadline() const { return std::min({half, full, recall}); }
};

/// A moment at which something must be looked at.
struct Deadline {
  enum class Kind {
    kHalf,    ///< Half of the phase's time has passed.
    kFull,    ///< All of it.
    kRecall,  ///< The mini-batches behind the running one have waited long enough.
  };
  Time at{0};
  WorkerId worker;
  Kind kind = Kind::kFull;
};

struct Node {
  bool ready = false;
  bool lost = false;
  bool banned = false;  ///< W6 (a): no new process here.
  int next_process = 0;
  std::int64_t init_failures = 0;  ///< Since the last success.
  gpu::SlotPool slots;
  gpu::SlotHealth health;       ///< G8. Slots given up stay held in `slots`.
  std::vector<Worker> workers;  ///< Live ones.
};

class Workers {
 public:
  Node& node(int index);
  std::vector<Node>& nodes() { return nodes_; }
  const std::vector<Node>& nodes() const { return nodes_; }

  /// Null when there is no such live worker.
  Worker* find(WorkerId id);
  Worker& start(int node, std::vector<int> gpu_slots, Time now);
  /// Forgets the worker and frees its GPU slots (G4).
  void remove(WorkerId id);
  /// Forgets all workers of the node.
  void clear(Node& node);

  std::int64_t live() const { return live_; }
  /// Live ones whose init has succeeded.
  std::int64_t initialised() const { return initialised_; }
  void set_init_done(Worker& worker);

  /// The deadlines of the phase before are void.
  void set_phase(Worker& worker, WorkerPhase phase, Time now);
  /// After `full` in this phase; and when `half` is wanted, once at half of it.
  void set_deadline(Worker& worker, Duration full, bool half);
  /// Once, after `patience` in this phase; nothing when nothing waits behind its mini-batch.
  void set_recall(Worker& worker, Duration patience);

  /// The next deadline that is due.
  std::optional<Deadline> take_due(Time now);
  std::optional<Time> next_deadline();

  /// The worker that has been idle longest.
  Worker* take_idle();

 private:
  /// Where a worker's next deadline may be found. Deadlines mostly move away before they are
  /// reached, so an entry stays where it is until it is the first, and is then put right: the queue
  /// holds about one entry a worker, however many mini-batches run.
  struct Watch {
    Time at;
    WorkerId worker;
    bool operator>(const Watch& other) const {
      return at != other.at ? at > other.at : worker > other.worker;
    }
  };
  void watch(Worker& worker);
  /// The worker with the next deadline, which the first entry then tells rightly; null: none.
  Worker* first_watched();

  std::vector<Node> nodes_;
  std::priority_queue<Watch, std::vector<Watch>, std::greater<>> watches_;
  std::deque<std::pair<WorkerId, std::int64_t>> idle_;  ///< With the generation at that time.
  std::int64_t live_ = 0;
  std::int64_t initialised_ = 0;
  std::int64_t generations_ = 0;
};

}  // namespace prs::job
