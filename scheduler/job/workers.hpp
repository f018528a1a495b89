// The live workers of a job and their deadlines. Pure bookkeeping for job.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <vector>

#include "gpu/pool.hpp"
#include "job/job.hpp"

namespace prs::job {

struct Worker {
  WorkerId id;
  WorkerPhase phase = WorkerPhase::kLoading;
  Time since{0};
  std::int64_t mini_batch = -1;
  int attempt = 0;
  std::vector<int> gpu_slots;
  bool init_done = false;
  bool killed = false;
  bool served = false;          ///< Was given a mini-batch at least once.
  bool init_counted = false;    ///< Its failed init stands in the counts.
  std::int64_t generation = 0;  ///< Changes with the phase: older deadlines are void.
};

/// A moment at which something must be looked at. Void when the worker's generation has moved on.
struct Deadline {
  enum class Kind { kHalf, kFull };
  Time at{0};
  WorkerId worker;
  std::int64_t generation = 0;
  Kind kind = Kind::kFull;
  bool operator>(const Deadline& other) const {
    if (at != other.at) return at > other.at;
    if (worker != other.worker) return worker > other.worker;
    return kind > other.kind;
  }
};

struct Node {
  bool ready = false;
  bool lost = false;
  bool banned = false;  ///< W6 (a): no new process here.
  int next_process = 0;
  std::int64_t init_failures = 0;  ///< Since the last success.
  gpu::SlotPool slots;
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

  void set_phase(Worker& worker, WorkerPhase phase, Time now);
  /// After `full` in this phase; and when `half` is wanted, once at half of it.
  void set_deadline(const Worker& worker, Duration full, bool half);

  /// The next deadline that is due and not void.
  std::optional<Deadline> take_due(Time now);
  std::optional<Time> next_deadline();

  /// The worker that has been idle longest.
  Worker* take_idle();

 private:
  void drop_void_deadlines();

  std::vector<Node> nodes_;
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  std::deque<std::pair<WorkerId, std::int64_t>> idle_;  ///< With the generation at that time.
  std::int64_t live_ = 0;
  std::int64_t initialised_ = 0;
  std::int64_t generations_ = 0;
};

}  // namespace prs::job
