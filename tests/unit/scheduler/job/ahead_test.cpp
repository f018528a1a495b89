// W1: mini-batches that are sent to a worker before it needs them, and how it comes to lose them.
#include "driver.hpp"

namespace prs::job::test {
namespace {

constexpr WorkerId kFirst{0, 0};
constexpr WorkerId kSecond{0, 1};

/// A job of 100 mini-batches of one item on two workers, of which the first is ready and has been
/// sent some ahead.
class Ahead : public testing::Test {
 protected:
  explicit Ahead() {
    driver.begin(std::vector<std::int64_t>(100, 1));
    driver.ready(0);
    driver.starts_run(0);
    driver.advance(milliseconds(1));
    driver.feed(RunReturned{kFirst, 0, 1, 1});
  }
  static Settings settings() {
    Settings settings;
    settings.processes_per_node = 2;
    settings.run_max_try = 1;  // A try that counted where none may would show.
    settings.run_invocation_timeout = seconds(10);
    return settings;
  }
  std::int64_t sent_to(WorkerId worker) const {
    std::int64_t count = 0;
    for (const SendMiniBatch& one : driver.all<SendMiniBatch>()) count += one.worker == worker;
    return count;
  }
  /// The answer to the last withdrawal: these had not begun.
  void withdrawn(std::vector<std::int64_t> mini_batches) {
    const std::vector<WithdrawMiniBatches> asked = driver.all<WithdrawMiniBatches>();
    ASSERT_FALSE(asked.empty());
    driver.feed(Withdrawn{asked.back().worker, asked.back().ticket, std::move(mini_batches)});
  }
  std::vector<std::int64_t> from_to(std::int64_t first, std::int64_t last) const {
    std::vector<std::int64_t> ids;
    for (; first <= last; ++first) ids.push_back(first);
    return ids;
  }

  Driver driver{settings()};
};

TEST_F(Ahead, W1_AWorkerIsSentTwentyMillisecondsOfWork) {
  // Mini-batch 0 took 1 ms; 1 runs next and 20 wait behind it.
  EXPECT_EQ(sent_to(kFirst), 22);
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  EXPECT_EQ(sent_to(kFirst), 22) << "no more before half of them are done";
  EXPECT_EQ(driver.counts().mini_batches_done, 2);
}

TEST_F(Ahead, W1_ASlowWorkerIsSentNothingAhead) {
  driver.ready(1);
  driver.advance(milliseconds(21));
  const SendMiniBatch sent = driver.last_sent(1);
  driver.feed(RunReturned{kSecond, sent.mini_batch, 1, 1});
  EXPECT_EQ(sent_to(kSecond), 2);
}

TEST_F(Ahead, W1_TheLastMiniBatchesAreNotSentAhead) {
  Driver short_job(settings());
  short_job.begin({1, 1, 1, 1, 1});
  short_job.ready(0);
  short_job.ready(1);
  short_job.returns(0, 1);
  EXPECT_EQ(short_job.all<SendMiniBatch>().size(), 3U);
}

TEST_F(Ahead, W3_OnlyTheTryThatRanIsUsedUpByACrash) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.exits(0);
  ASSERT_EQ(driver.all<TryFailed>().size(), 1U);
  EXPECT_EQ(driver.all<TryFailed>()[0].mini_batch, 1);
  EXPECT_EQ(driver.counts().mini_batches_failed, 1);
  // The others are the next to run, as first tries.
  driver.ready(1);
  EXPECT_EQ(driver.last_sent(1).mini_batch, 2);
  EXPECT_EQ(driver.last_sent(1).attempt, 1);
}

TEST_F(Ahead, W3_ACrashBetweenTwoMiniBatchesUsesUpNoTry) {
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  // By the books 2 is being loaded; the worker had not taken it up.
  driver.feed(WorkerExited{kFirst, ExitKind::kAbnormal, "signal 9 (Killed)", true});
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  driver.ready(1);
  EXPECT_EQ(driver.last_sent(1).mini_batch, 2);
  // This one was sent to a worker that had nothing else to do.
  driver.feed(WorkerExited{kSecond, ExitKind::kAbnormal, "signal 9 (Killed)", true});
  EXPECT_EQ(driver.all<TryFailed>().size(), 1U);
}

TEST_F(Ahead, W4_TheTimeOfAMiniBatchBeginsWithIt) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.advance(seconds(6));
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  driver.feed(RunStarted{kFirst, 2, 1});
  driver.advance(seconds(9));
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  driver.advance(seconds(1));
  ASSERT_EQ(driver.all<TryFailed>().size(), 1U);
  EXPECT_EQ(driver.all<TryFailed>()[0].mini_batch, 2);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kRunTimeout);
}

TEST_F(Ahead, W1_WhatWaitsBehindALongMiniBatchIsTakenBack) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.advance(milliseconds(99));
  EXPECT_TRUE(driver.all<WithdrawMiniBatches>().empty());
  driver.advance(milliseconds(1));
  EXPECT_EQ(driver.all<WithdrawMiniBatches>().size(), 1U);
  // 2 has been taken up meanwhile.
  withdrawn(from_to(3, 21));
  driver.ready(1);
  EXPECT_EQ(driver.last_sent(1).mini_batch, 3);
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  driver.feed(RunStarted{kFirst, 2, 1});
  driver.feed(RunReturned{kFirst, 2, 1, 1});
  EXPECT_EQ(driver.last_sent(0).mini_batch, 4);
}

TEST_F(Ahead, W4_AResultThatCameWhileTheAgentWasStoppedIsNoTimeout) {
  driver.ready(1);
  driver.starts_run(1);
  driver.feed(RunStarted{kFirst, 1, 1});
  const SendMiniBatch sent = driver.last_sent(1);
  driver.stall(std::chrono::hours(1));
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  driver.feed(RunReturned{kSecond, sent.mini_batch, 1, 1});
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  EXPECT_FALSE(driver.end().has_value()) << "W7: something was finished just now";
  EXPECT_EQ(driver.counts().mini_batches_done, 3);
}

TEST_F(Ahead, W4_WhetherAMiniBatchHasBegunIsAskedBeforeItsTimeIsUp) {
  // By the books 1 is being loaded; with the whole machine stopped the worker has not taken it up.
  driver.advance(seconds(40));
  EXPECT_EQ(driver.all<WithdrawMiniBatches>().size(), 1U);
  withdrawn(from_to(1, 21));
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  int times_sent = 0;
  for (const SendMiniBatch& one : driver.all<SendMiniBatch>()) {
    EXPECT_EQ(one.attempt, 1);
    times_sent += one.mini_batch == 1 ? 1 : 0;
  }
  EXPECT_EQ(times_sent, 2) << "it is to be sent again, as the same try";
}

TEST_F(Ahead, W9_AnAnswerThatComesTwiceCountsOnce) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.advance(milliseconds(100));
  withdrawn(from_to(2, 21));
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  ASSERT_EQ(driver.last_sent(0).mini_batch, 2);
  withdrawn(from_to(2, 21));
  driver.feed(RunReturned{kFirst, 2, 1, 1});
  EXPECT_EQ(driver.counts().mini_batches_done, 3);
}

TEST_F(Ahead, J1_AStopTakesBackWhatHasNotBegun) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.feed(StopRequested{false});
  withdrawn(from_to(2, 21));
  EXPECT_TRUE(driver.all<ShutdownWorker>().empty());
  driver.feed(RunReturned{kFirst, 1, 1, 1});
  EXPECT_EQ(driver.all<ShutdownWorker>().size(), 1U);
  expect_end(driver, Outcome::kCanceled, "stopped by the user");
  EXPECT_EQ(driver.counts().mini_batches_done, 2);
}

TEST_F(Ahead, W8_WhatWaitedOnALostNodeHasLostNoTry) {
  driver.feed(RunStarted{kFirst, 1, 1});
  driver.feed(NodeLost{0});
  EXPECT_EQ(driver.all<TryFailed>().size(), 1U);
  driver.feed(NodeReady{0, 0});
  driver.ready(2);
  EXPECT_EQ(driver.last_sent(2).mini_batch, 1);
  EXPECT_EQ(driver.last_sent(2).attempt, 2);
  driver.feed(RunReturned{{0, 2}, 1, 2, 1});
  EXPECT_EQ(driver.last_sent(2).attempt, 1);
}

TEST_F(Ahead, W4_WhenTimePassesForSeveralRunTogetherNoneHasUsedATry) {
  driver.feed(RunStarted{kFirst, 1, 1, true});
  driver.advance(seconds(10));
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  ASSERT_EQ(driver.all<SharedTryFailed>().size(), 1U);
  EXPECT_EQ(driver.all<SharedTryFailed>()[0].mini_batch, 1);
  ASSERT_EQ(driver.all<KillWorker>().size(), 1U);
  withdrawn(from_to(5, 21));  // 2 to 4 had begun with 1.
  driver.exits(0);
  driver.ready(2);
  std::vector<std::int64_t> alone;
  for (const SendMiniBatch& one : driver.all<SendMiniBatch>()) {
    if (one.alone) alone.push_back(one.mini_batch);
  }
  ASSERT_FALSE(alone.empty());
  EXPECT_EQ(alone[0], 1);
  EXPECT_EQ(driver.last_sent(2).attempt, 1);
}

TEST_F(Ahead, W3_AWorkerThatEndsWhileItRunsSeveralBlamesEachOnlyWhenItRanAlone) {
  driver.feed(RunStarted{kFirst, 1, 1, true});
  driver.exits(0);
  EXPECT_TRUE(driver.all<TryFailed>().empty());
  driver.ready(2);
  const SendMiniBatch again = driver.last_sent(2);
  EXPECT_EQ(again.mini_batch, 1);
  EXPECT_EQ(again.attempt, 1);
  EXPECT_TRUE(again.alone);
  driver.feed(RunStarted{{0, 2}, 1, 1});
  driver.exits(2);
  ASSERT_EQ(driver.all<TryFailed>().size(), 1U);
  EXPECT_EQ(driver.all<TryFailed>()[0].mini_batch, 1);
  EXPECT_EQ(driver.counts().mini_batches_failed, 1);  // run_max_try is 1.
}

TEST_F(Ahead, W4_TheResultsOfSeveralRunTogetherFollowOneAnother) {
  driver.feed(RunStarted{kFirst, 1, 1, true});
  for (std::int64_t id = 1; id <= 4; ++id) driver.feed(RunReturned{kFirst, id, 1, 1});
  EXPECT_EQ(driver.counts().mini_batches_done, 5);
  // One that failed with others and is run again by itself has its own time.
  driver.feed(RunStarted{kFirst, 5, 1, true});
  driver.advance(seconds(6));
  driver.feed(RunStarted{kFirst, 5, 1, false});
  driver.advance(seconds(6));
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.advance(seconds(4));
  ASSERT_EQ(driver.all<TryFailed>().size(), 1U);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kRunTimeout);
}

}  // namespace
}  // namespace prs::job::test
