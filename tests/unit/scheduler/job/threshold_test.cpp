// Sections E and T: what counts as failed, and when a job is aborted.
#include "driver.hpp"

namespace prs::job::test {
namespace {

TEST(Job, E6_SuccessIsCountedByLengthAlone) {
  Driver driver;
  driver.begin({10, 10, 10});
  driver.ready(0);
  driver.returns(0, 10);
  driver.returns(0, 7);
  driver.returns(0, 0);
  const std::vector<Accept> accepted = driver.all<Accept>();
  ASSERT_EQ(accepted.size(), 3u);
  EXPECT_EQ(accepted[1].succeeded, 7);
  EXPECT_EQ(accepted[1].failed, 3);
  EXPECT_EQ(accepted[2].failed, 10);
  EXPECT_EQ(driver.counts().items_succeeded, 17);
  EXPECT_EQ(driver.counts().items_failed, 13);
  EXPECT_EQ(driver.counts().mini_batches_failed, 0);
  expect_end(driver, Outcome::kCompleted, "");
}

TEST(Job, E6_SurplusRowsAreKeptAndReportedOnce) {
  Driver driver;
  driver.begin({2, 2});
  driver.ready(0);
  driver.returns(0, 5);
  driver.returns(0, 5);
  EXPECT_EQ(driver.counts().items_succeeded, 4);
  int notes = 0;
  for (const Note& note : driver.all<Note>())
    notes += note.text.find("strict_return_length") != std::string::npos;
  EXPECT_EQ(notes, 1);
}

TEST(Job, E6_StrictReturnLengthMakesSurplusRowsAFailure) {
  Settings settings;
  settings.strict_return_length = true;
  settings.run_max_try = 1;
  Driver driver(settings);
  driver.begin({2, 2});
  driver.ready(0);
  driver.returns(0, 3);
  ASSERT_EQ(driver.all<TryFailed>().size(), 1u);
  EXPECT_EQ(driver.all<TryFailed>()[0].status, TryStatus::kRunException);
  EXPECT_EQ(driver.counts().items_failed, 2);
}

TEST(Job, E7_AShortReturnFailsTheMiniBatchOnlyUnderStrict) {
  for (const Compat compat : {Compat::kOurs, Compat::kV1, Compat::kV2, Compat::kStrict}) {
    Settings settings;
    settings.compat = compat;
    settings.allowed_failed_count = 0;
    Driver driver(settings);
    driver.begin({2, 2});
    driver.ready(0);
    driver.returns(0, 1);
    EXPECT_EQ(driver.all<Accept>().size(), 1u) << "the rows are kept";
    if (compat == Compat::kStrict) {
      expect_end(driver, Outcome::kLimitExceeded, "allowed_failed_count 0");
    } else {
      EXPECT_FALSE(driver.all<SendMiniBatch>().empty());
      EXPECT_TRUE(driver.all<KillWorker>().empty());
    }
  }
}

TEST(Job, T1_OnlyMoreThanTheLimitAborts) {
  Settings settings;
  settings.error_threshold = 3;
  Driver driver(settings);
  driver.begin({4, 4, 4});
  driver.ready(0);
  driver.returns(0, 1);
  EXPECT_TRUE(driver.all<KillWorker>().empty()) << "3 failed items do not exceed 3";
  driver.returns(0, 3);
  expect_end(driver, Outcome::kLimitExceeded, "4 failed items exceed error_threshold 3");
}

TEST(Job, T1_ZeroAbortsAtTheFirstFailureAndMinusOneNever) {
  Settings settings;
  settings.error_threshold = 0;
  Driver zero(settings);
  zero.begin({1, 1});
  zero.ready(0);
  zero.returns(0, 0);
  expect_end(zero, Outcome::kLimitExceeded, "error_threshold 0");

  Settings off;
  off.append_row = false;
  Driver never(off);
  never.begin({1, 1});
  never.ready(0);
  never.returns(0, 0);
  never.returns(0, 0);
  expect_end(never, Outcome::kCompleted, "");
}

TEST(Job, T2_AMiniBatchCountsAsFailedAfterAllItsTries) {
  Settings settings;
  settings.allowed_failed_count = 0;
  settings.run_max_try = 2;
  Driver driver(settings);
  driver.begin({1});
  driver.ready(0);
  driver.fails(0);
  EXPECT_TRUE(driver.all<KillWorker>().empty());
  driver.returns(0, 1);
  expect_end(driver, Outcome::kCompleted, "");
}

TEST(Job, T2_UnderV1ItCountsWhileItsLatestTryFailed) {
  Settings settings;
  settings.compat = Compat::kV1;
  settings.allowed_failed_count = 0;
  Driver driver(settings);
  driver.begin({1, 1});
  driver.ready(0);
  driver.fails(0);
  expect_end(driver, Outcome::kLimitExceeded, "1 failed mini-batches exceed");

  settings.allowed_failed_count = 1;
  Driver taken_back(settings);
  taken_back.begin({1, 1, 1});
  taken_back.ready(0);
  taken_back.fails(0);       // mini-batch 0 counts,
  taken_back.returns(0, 1);  // and no longer does;
  taken_back.fails(0);       // mini-batch 1 does now
  EXPECT_TRUE(taken_back.all<KillWorker>().empty());
}

TEST(Job, T3_ThePercentLimitWaitsForTheWholeListing) {
  Settings settings;
  settings.allowed_failed_percent = 50;
  settings.run_max_try = 1;
  Driver driver(settings);
  driver.feed(MiniBatchCreated{1});
  driver.feed(NodeReady{0, 0});
  driver.ready(0);
  driver.fails(0);
  EXPECT_TRUE(driver.all<KillWorker>().empty()) << "1 of 1, but the listing goes on";
  driver.feed(MiniBatchCreated{1});
  driver.feed(ListingDone{});
  EXPECT_TRUE(driver.all<KillWorker>().empty()) << "1 of 2 is not more than 50 %";
  driver.fails(0);
  expect_end(driver, Outcome::kLimitExceeded, "2 of 2 mini-batches failed");
}

TEST(Job, T4_OnlyTheLastTryCountsItems) {
  Settings settings;
  settings.error_threshold = 9;
  settings.run_max_try = 3;
  Driver driver(settings);
  driver.begin({10, 10});
  driver.ready(0);
  driver.fails(0);
  driver.fails(0);
  EXPECT_EQ(driver.counts().items_failed, 0);
  driver.fails(0);
  EXPECT_EQ(driver.counts().items_failed, 10);
  EXPECT_EQ(driver.all<MiniBatchFailed>().size(), 1u);
  expect_end(driver, Outcome::kLimitExceeded, "10 failed items");
}

TEST(Job, T5_AppendRowWithoutASucceededItemFailsAtTheEnd) {
  Driver driver;
  driver.begin({3});
  driver.ready(0);
  driver.returns(0, 0);
  expect_end(driver, Outcome::kLimitExceeded, "no result to append");
}

TEST(Job, D10_AnEmptyInputCompletesWithAWarning) {
  Driver driver;
  driver.begin({});
  expect_end(driver, Outcome::kCompleted, "");
  EXPECT_TRUE(driver.noted("the input is empty"));
  EXPECT_TRUE(driver.all<StartWorker>().empty());

  Settings settings;
  settings.fail_on_empty = true;
  Driver strict(settings);
  strict.begin({});
  expect_end(strict, Outcome::kSystemError, "the input is empty");
}

TEST(Job, U4_TheFirstReturnIsReportedAtOnce) {
  Driver driver;
  driver.begin({10, 10});
  driver.ready(0);
  driver.returns(0, 9);
  EXPECT_TRUE(driver.noted("the first mini-batch returned 9 rows for 10 items"));
}

TEST(Job, X1_AcceptedMiniBatchesAreNotRunAgain) {
  Driver driver;
  driver.feed(MiniBatchCreated{4, true, 3});
  driver.feed(MiniBatchCreated{4});
  driver.feed(ListingDone{});
  driver.feed(NodeReady{0, 0});
  driver.ready(0);
  EXPECT_EQ(driver.last_sent(0).mini_batch, 1);
  driver.returns(0, 4);
  EXPECT_EQ(driver.counts().items_succeeded, 7);
  EXPECT_EQ(driver.counts().items_failed, 1);
  expect_end(driver, Outcome::kCompleted, "");
}

}  // namespace
}  // namespace prs::job::test
