// A simulated cluster around a Job: seeded faults, simulated time, and a second book-keeping that
// is compared with the job's own at every step.
//
// Faults: workers that crash, hang or are slow in every phase, init failures, exceptions, messages
// that come twice or late, lost nodes, a stop by the user. One seed gives one history.
#pragma once

#include <cstdint>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "job/job.hpp"

namespace prs::job::simulation {

struct Scenario {
  Settings settings;
  int nodes = 1;
  int gpu_slots = 0;
  std::int64_t mini_batches = 10;
  std::int64_t max_items = 10;                            ///< Per mini-batch; at least 1.
  Duration longest_run = std::chrono::milliseconds(200);  ///< Of run() that is not slow.
  double restored = 0;  ///< Part of the mini-batches that a resumed job has already.
  // Probabilities, each per attempt at the thing.
  double init_failure = 0, init_crash = 0, init_hang = 0;
  double run_exception = 0, run_crash = 0, run_hang = 0, load_hang = 0, slow = 0;
  double short_return = 0, long_return = 0;
  double duplicate = 0, late = 0;
  double shutdown_hang = 0;
  double node_loss = 0;  ///< Per mini-batch sent.
  double stop = 0;  ///< That the user stops the job at some moment; `stop_now`: with a second one.
  bool stop_now = false;
  int bad_gpu = -1;  ///< Workers on this slot of any node die in run().

  /// A scenario of up to `most` mini-batches drawn from the seed.
  static Scenario draw(std::uint64_t seed, std::int64_t most);
  std::string describe() const;
};

/// What a run of the simulation came to. `violation` is empty when every invariant held.
struct Result {
  std::string violation;
  Outcome outcome = Outcome::kCompleted;
  std::string reason;
  Counts counts;
  std::int64_t events = 0;
  std::int64_t sent_ahead = 0;
  std::int64_t withdrawn = 0;
  std::int64_t shared_failures = 0;
  std::int64_t gpus_given_up = 0;
  double simulated_s = 0;
};

Result simulate(const Scenario& scenario, std::uint64_t seed);

}  // namespace prs::job::simulation
