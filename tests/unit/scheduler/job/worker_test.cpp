// Sections W, G and J: workers, their tries, timeouts and GPUs, and the end of a job.
#include "driver.hpp"

namespace prs::job::test {
namespace {

Settings workers(int processes) {
  Settings settings;
  settings.processes_per_node = processes;
  return settings;
}

TEST(Job, W1_EveryWorkerPullsOneMiniBatchAtATime) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1});
  driver.ready(0);
  driver.ready(1);
  EXPECT_EQ(driver.all<SendMiniBatch>().size(), 2u);
  driver.returns(1, 1);
  ASSERT_EQ(driver.all<SendMiniBatch>().size(), 3u);
  EXPECT_EQ(driver.last_sent(1).mini_batch, 2);
}

TEST(Job, W1_NoMoreWorkersThanMiniBatches) {
  Driver driver(workers(8));
  driver.begin({1, 1, 1});
  EXPECT_EQ(driver.all<StartWorker>().size(), 3u);
}

TEST(Job, W2_AReplacementTakesTheNextNumber) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1, 1});
  driver.ready(0);
  driver.ready(1);
  driver.exits(0);
  ASSERT_EQ(driver.all<StartWorker>().size(), 3u);
  EXPECT_EQ(process_name(driver.all<StartWorker>()[2].worker), "process002");
}

TEST(Job, W3_ACrashFailsTheTryAndAnotherWorkerTakesIt) {
  Driver driver(workers(1));
  driver.begin({1, 1});
  driver.ready(0);
  driver.exits(0);
  ASSERT_EQ(driver.all<TryFailed>().size(), 1u);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kRunCrashed);
  EXPECT_TRUE(driver.all<TryFailed>()[0].will_retry);
  driver.ready(1);
  EXPECT_EQ(driver.last_sent(1).mini_batch, 0);
  EXPECT_EQ(driver.last_sent(1).attempt, 2);
  driver.exits(1, ExitKind::kOutOfMemory);
  EXPECT_EQ(driver.all<TryFailed>()[1].status, TryStatus::kRunOom);
}

Settings with_gpus(int processes) {
  Settings settings = workers(processes);
  settings.run_max_try = 10;
  return settings;
}

TEST(Job, G8_AGpuThatKillsThreeWorkersInARowIsGivenUp) {
  Driver driver(with_gpus(2), 2);
  driver.begin(std::vector<std::int64_t>(20, 1));
  driver.ready(0);
  driver.ready(1);
  driver.exits(1);
  driver.returns(0, 1);  // The other one does well meanwhile.
  driver.ready(2);
  driver.exits(2);
  EXPECT_TRUE(driver.all<GiveUpGpus>().empty());
  driver.exits(3);  // Before its init: no mini-batch is to blame.
  ASSERT_EQ(driver.all<GiveUpGpus>().size(), 1u);
  EXPECT_EQ(driver.all<GiveUpGpus>()[0].slots, std::vector<int>{1});
  // Nobody takes its place: there is no other GPU for it.
  EXPECT_EQ(driver.all<StartWorker>().size(), 4u);
  driver.exits(0);
  EXPECT_EQ(driver.all<StartWorker>().back().gpu_slots, std::vector<int>{0});
}

TEST(Job, G8_AWorkerMovesToAGpuThatNobodyUses) {
  Driver driver(with_gpus(1), 2);
  driver.begin(std::vector<std::int64_t>(20, 1));
  const auto three_die_from = [&](int process) {
    driver.ready(process);
    for (int i = 0; i < 3; ++i) driver.exits(process + i);
  };
  three_die_from(0);
  ASSERT_EQ(driver.all<GiveUpGpus>().size(), 1u);
  EXPECT_EQ(driver.all<StartWorker>().back().gpu_slots, std::vector<int>{1});
  // It is the last one: it stays, whatever happens on it.
  three_die_from(3);
  EXPECT_EQ(driver.all<GiveUpGpus>().size(), 1u);
}

TEST(Job, G8_AMiniBatchThatKillsEveryWorkerIsNoFaultOfAGpu) {
  Driver driver(with_gpus(2), 2);
  driver.begin(std::vector<std::int64_t>(1, 1));
  driver.ready(0);
  const auto kills = [&](int process) {
    driver.ready(process);
    driver.exits(process);
  };
  driver.exits(0);
  for (int process = 1; process < 6; ++process) kills(process);
  EXPECT_TRUE(driver.all<GiveUpGpus>().empty());
}

TEST(Job, G8_ASuccessClearsAGpu) {
  Driver driver(with_gpus(2), 2);
  driver.begin(std::vector<std::int64_t>(40, 1));
  driver.ready(0);
  for (int process = 1; process < 8; ++process) {
    driver.ready(process);
    if (process % 3 == 0) driver.returns(process, 1);
    driver.returns(0, 1);
    driver.exits(process);
  }
  EXPECT_TRUE(driver.all<GiveUpGpus>().empty());
}

TEST(Job, W4_RunPastItsTimeoutIsCutAndRetried) {
  Settings settings = workers(1);
  settings.run_invocation_timeout = seconds(10);
  Driver driver(settings);
  driver.begin({1});
  driver.ready(0);
  driver.starts_run(0);
  driver.advance(milliseconds(9'999));
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.advance(milliseconds(1));
  ASSERT_EQ(driver.all<KillWorker>().size(), 1u);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kRunTimeout);
  EXPECT_NE(driver.all<KillWorker>()[0].reason.find("run_invocation_timeout (10 s)"),
            std::string::npos);
  // What the old worker says now comes too late.
  driver.returns(0, 1);
  EXPECT_TRUE(driver.all<Accept>().empty());
  driver.exits(0);
  driver.ready(1);
  driver.returns(1, 1);
  expect_end(driver, Outcome::kCompleted, "");
}

TEST(Job, W4_LoadingHasItsOwnTimeout) {
  Settings settings = workers(1);
  settings.task_overhead_timeout = seconds(5);
  Driver driver(settings);
  driver.begin({1});
  driver.ready(0);
  driver.advance(seconds(5));
  ASSERT_EQ(driver.all<TryFailed>().size(), 1u);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kLoadTimeout);
}

TEST(Job, W5_NoMoreThanRunMaxTryTriesWhoeverTakesThem) {
  Settings settings = workers(2);
  settings.run_max_try = 3;
  Driver driver(settings);
  driver.begin({1, 1});
  driver.ready(0);
  driver.fails(0);
  driver.fails(0);
  driver.exits(0);
  const std::vector<TryFailed> failed = driver.all<TryFailed>();
  ASSERT_EQ(failed.size(), 3u);
  EXPECT_TRUE(failed[1].will_retry);
  EXPECT_FALSE(failed[2].will_retry);
  EXPECT_EQ(driver.all<MiniBatchFailed>().size(), 1u);
}

TEST(Job, W6a_NoNewProcessOnANodeWhereInitOnlyFails) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1});
  for (int process = 0; process < 6; ++process) driver.init_fails(process);
  EXPECT_TRUE(driver.noted("node 0: init failed 6 times"));
  driver.exits(6);
  driver.exits(7);
  // All nodes are stopped: the job fails at once.
  expect_end(driver, Outcome::kInitOrProgress, "init failed on every node");
}

TEST(Job, W6b_InitThatOnlyFailsEndsTheJobAfterTwoMinutes) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1});
  for (int process = 0; process < 4; ++process) driver.init_fails(process);
  driver.advance(seconds(119));
  EXPECT_FALSE(driver.end());
  EXPECT_EQ(driver.all<KillWorker>().size(), 4u) << "only those whose init failed";
  driver.advance(seconds(1));
  expect_end(driver, Outcome::kInitOrProgress, "init failed 4 times");
}

TEST(Job, W6_OneSuccessResetsTheCount) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1, 1});
  for (int process = 0; process < 5; ++process) driver.init_fails(process);
  driver.ready(5);
  for (int process = 6; process < 11; ++process) driver.init_fails(process);
  EXPECT_FALSE(driver.noted("no new process"));
}

TEST(Job, W6c_AllWorkersStuckInInitEndTheJob) {
  Driver driver(workers(2));
  driver.begin({1, 1});
  driver.feed(WorkerLoaded{{0, 0}});
  driver.advance(seconds(209));
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.advance(seconds(1));
  expect_end(driver, Outcome::kInitOrProgress, "in init for 210 s");
}

TEST(Job, W7_NoProgressEndsTheJobAndNamesTheOption) {
  Settings settings = workers(1);
  settings.run_invocation_timeout = seconds(10'000);
  settings.progress_update_timeout = seconds(300);
  Driver driver(settings);
  driver.begin({1, 1});
  driver.ready(0);
  driver.advance(seconds(20));
  driver.returns(0, 1);
  driver.starts_run(0);
  driver.advance(seconds(299));
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.advance(seconds(1));
  expect_end(driver, Outcome::kInitOrProgress, "progress_update_timeout (300 s)");
}

TEST(Job, W7_NoFirstMiniBatchEndsTheJob) {
  Settings settings = workers(1);
  settings.first_task_creation_timeout = seconds(60);
  Driver driver(settings);
  driver.feed(NodeReady{0, 0});
  driver.ready(0);
  driver.advance(seconds(60));
  expect_end(driver, Outcome::kInitOrProgress, "first_task_creation_timeout (60 s)");
}

TEST(Job, W8_ATryLostWithItsNodeIsNotUsedUp) {
  Settings settings = workers(1);
  settings.run_max_try = 1;
  Driver driver(settings);
  driver.begin({1});
  for (int loss = 0; loss < 2; ++loss) {
    driver.ready(loss);
    driver.feed(NodeLost{0});
    EXPECT_TRUE(driver.all<TryFailed>().back().will_retry);
    driver.feed(NodeReady{0, 0});
  }
  driver.ready(2);
  driver.feed(NodeLost{0});
  EXPECT_FALSE(driver.all<TryFailed>().back().will_retry) << "three lost nodes";
  EXPECT_EQ(driver.all<MiniBatchFailed>().size(), 1u);
}

TEST(Job, W9_AMessageThatComesTwiceIsAcceptedOnce) {
  Driver driver(workers(1));
  driver.begin({1, 1});
  driver.ready(0);
  const SendMiniBatch sent = driver.last_sent(0);
  driver.feed(RunReturned{{0, 0}, sent.mini_batch, sent.attempt, 1});
  driver.feed(RunReturned{{0, 0}, sent.mini_batch, sent.attempt, 1});
  EXPECT_EQ(driver.all<Accept>().size(), 1u);
}

TEST(Job, U2_HalfOfATimeoutAsksForTheStack) {
  Settings settings = workers(1);
  settings.run_invocation_timeout = seconds(10);
  Driver driver(settings);
  driver.begin({1});
  driver.ready(0);
  driver.starts_run(0);
  driver.advance(seconds(5));
  EXPECT_EQ(driver.all<DumpStacks>().size(), 1u);
  driver.advance(seconds(1));
  EXPECT_EQ(driver.all<DumpStacks>().size(), 1u);
}

TEST(Job, G2_EachWorkerGetsOneGpuUntilAllAreUsed) {
  Driver driver(workers(4), 2);
  driver.begin({1, 1, 1, 1});
  const std::vector<StartWorker> started = driver.all<StartWorker>();
  ASSERT_EQ(started.size(), 4u);
  EXPECT_EQ(started[0].gpu_slots, std::vector<int>{0});
  EXPECT_EQ(started[1].gpu_slots, std::vector<int>{1});
  EXPECT_TRUE(started[2].gpu_slots.empty());
  EXPECT_TRUE(started[3].gpu_slots.empty());
}

TEST(Job, G4_TheNextProcessStartedGetsTheFreedGpu) {
  Driver driver(workers(4), 2);
  driver.begin({1, 1, 1, 1, 1});
  driver.ready(0);
  driver.exits(0);
  const StartWorker replacement = driver.all<StartWorker>().back();
  EXPECT_EQ(process_name(replacement.worker), "process004");
  EXPECT_EQ(replacement.gpu_slots, std::vector<int>{0});
}

TEST(Job, J1_TheFirstStopLetsRunningMiniBatchesEnd) {
  Driver driver(workers(2));
  driver.begin({1, 1, 1});
  driver.ready(0);
  driver.feed(StopRequested{false});
  EXPECT_EQ(driver.all<KillWorker>().size(), 1u) << "process001, which is loading";
  driver.returns(0, 1);
  EXPECT_EQ(driver.all<Accept>().size(), 1u);
  EXPECT_EQ(driver.all<SendMiniBatch>().size(), 1u);
  expect_end(driver, Outcome::kCanceled, "stopped by the user");
}

TEST(Job, J1_TheSecondStopKills) {
  Driver driver(workers(1));
  driver.begin({1, 1});
  driver.ready(0);
  driver.feed(StopRequested{false});
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.feed(StopRequested{true});
  EXPECT_EQ(driver.all<KillWorker>().size(), 1u);
  expect_end(driver, Outcome::kCanceled, "killed");
  EXPECT_EQ(driver.counts().items_failed, 0);
}

TEST(Job, AHangingShutdownIsKilled) {
  Settings settings = workers(1);
  settings.task_overhead_timeout = seconds(30);
  Driver driver(settings);
  driver.begin({1});
  driver.ready(0);
  driver.returns(0, 1);
  EXPECT_EQ(driver.all<ShutdownWorker>().size(), 1u);
  driver.advance(seconds(30));
  EXPECT_EQ(driver.all<KillWorker>().size(), 1u);
  expect_end(driver, Outcome::kCompleted, "");
}

TEST(Job, AWorkerThatEndsBeforeItServesIsNotReplacedForEver) {
  Driver driver(workers(1));
  driver.begin({1});
  for (int process = 0; process < 3; ++process) driver.exits(process);
  expect_end(driver, Outcome::kInitOrProgress, "init failed on every node (3 times)");
}

}  // namespace
}  // namespace prs::job::test
