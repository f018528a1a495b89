// Seeded histories of jobs with faults. A failing seed is printed and reproduces alone:
//
//   PRS_SIMULATION_SEED=4711 simulation_job --gtest_filter=JobSimulation.HoldsItsInvariants
//
// PRS_SIMULATION_SEEDS says how many seeds run (1000).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "world.hpp"

namespace prs::job::simulation {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(JobSimulation, HoldsItsInvariants) {
  const bool single = std::getenv("PRS_SIMULATION_SEED") != nullptr;
  const std::uint64_t first = number_from("PRS_SIMULATION_SEED", 1);
  const std::uint64_t count = single ? 1 : number_from("PRS_SIMULATION_SEEDS", 1000);
  std::map<Outcome, std::int64_t> outcomes;
  std::int64_t sent_ahead = 0;
  std::int64_t withdrawn = 0;
  std::int64_t shared_failures = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Scenario scenario = Scenario::draw(seed, seed % 50 == 0 ? 20000 : 2000);
    const Result result = simulate(scenario, seed);
    ++outcomes[result.outcome];
    sent_ahead += result.sent_ahead;
    withdrawn += result.withdrawn;
    shared_failures += result.shared_failures;
    ASSERT_EQ(result.violation, "") << "seed " << seed << ": " << scenario.describe() << "\nafter "
                                    << result.events << " events, " << result.simulated_s << " s";
  }
  if (single) return;
  // The scenarios reach every way a job can end.
  for (const Outcome outcome : {Outcome::kCompleted, Outcome::kLimitExceeded,
                                Outcome::kInitOrProgress, Outcome::kCanceled}) {
    EXPECT_GT(outcomes[outcome], 0) << "outcome " << static_cast<int>(outcome);
  }
  EXPECT_GT(withdrawn, 0);
  EXPECT_GT(shared_failures, 0);
  EXPECT_GT(sent_ahead, withdrawn);
}

TEST(JobSimulation, G8_GoesOnWithoutAGpuThatKillsItsWorkers) {
  Scenario scenario;
  scenario.nodes = 3;
  scenario.gpu_slots = 4;
  scenario.bad_gpu = 2;
  scenario.mini_batches = 2000;
  scenario.settings.node_count = scenario.nodes;
  scenario.settings.processes_per_node = 4;
  scenario.settings.run_max_try = 5;
  const Result result = simulate(scenario, 3);
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(result.outcome, Outcome::kCompleted) << result.reason;
  EXPECT_EQ(result.gpus_given_up, 3);
  EXPECT_EQ(result.counts.mini_batches_done, scenario.mini_batches);
}

TEST(JobSimulation, CarriesAMillionMiniBatchesOnAThousandNodes) {
  Scenario scenario;
  scenario.nodes = 1000;
  scenario.gpu_slots = 4;
#ifdef PRS_SANITIZED
  scenario.mini_batches = 100'000;
#else
  scenario.mini_batches = 1'000'000;
#endif
  scenario.max_items = 20;
  scenario.run_exception = 0.001;
  scenario.run_crash = 0.0005;
  scenario.node_loss = 1e-6;
  scenario.settings.node_count = scenario.nodes;
  scenario.settings.processes_per_node = 8;
  scenario.settings.run_max_try = 5;
  const Result result = simulate(scenario, 1);
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(result.outcome, Outcome::kCompleted) << result.reason;
  EXPECT_EQ(result.counts.mini_batches_done + result.counts.mini_batches_failed,
            scenario.mini_batches);
}

TEST(JobSimulation, OneSeedGivesOneHistory) {
  const Scenario scenario = Scenario::draw(7, 500);
  const Result first = simulate(scenario, 7);
  const Result second = simulate(scenario, 7);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.reason, second.reason);
  EXPECT_EQ(first.simulated_s, second.simulated_s);
}

}  // namespace
}  // namespace prs::job::simulation
