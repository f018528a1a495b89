#include "store/journal.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "output/child.hpp"
#include "output/files.hpp"
#include "store/sqlite.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::store {
namespace {

using test::expect_error;
using test::TempDir;

JobRecord record(const std::string& status) {
  return {"run-17", R"({"name":"step"})", status, "a reason", 1'700'000'000'000'000, 12, 3};
}

std::vector<AcceptedMiniBatch> accepted_in(const Journal& journal) {
  std::vector<AcceptedMiniBatch> all;
  journal.for_each_accepted([&](const AcceptedMiniBatch& one) { all.push_back(one); });
  return all;
}

TEST(Journal, CanBeReadAfterAKillInTheMiddleOfAChange) {
  const TempDir dir;
  {
    Journal journal(dir.path());
    journal.set_job(record("completed"));
  }
  // As when it is killed while it leaves the write-ahead log: the change of the file has begun,
  // what was there before lies beside it. One page of cache, so that the change reaches the file at
  // once.
  test::Child child([&](const test::Child::Line&) {
    Database database(dir.path() / "job.sqlite", Database::Mode::kWrite, {"", ""});
    database.execute("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN IMMEDIATE");
    for (int i = 0; i < 200; ++i) {
      database.execute(
          fmt::format("INSERT INTO accepted VALUES ({}, 1, 1, 1, 1, 0, '{:0>500}', 1)", i, i)
              .c_str());
    }
    ::raise(SIGKILL);
  });
  child.wait();
  ASSERT_TRUE(std::filesystem::exists(dir.path() / "job.sqlite-journal"));
  const Journal reader(dir.path(), true);
  EXPECT_EQ(reader.job()->status, "completed");
  EXPECT_TRUE(accepted_in(reader).empty());
}

TEST(Journal, X1_HoldsTheJobAndItsAcceptedMiniBatches) {
  const TempDir dir;
  const auto folder = dir.path() / "out/.prs";
  {
    Journal journal(folder);
    EXPECT_FALSE(journal.job());
    EXPECT_EQ(journal.last_output_length(), -1);
    EXPECT_TRUE(accepted_in(journal).empty());
    journal.set_job(record("running"));
    journal.set_job(record("failed"));
    journal.accept({7, 10, 9, 200, 100});
    journal.accept({2, 10, 10, 100, 0});
    journal.accept({5, 10, 0, -1, 0});
    journal.flush();
    journal.flush();
  }
  const Journal journal(folder);
  const JobRecord job = journal.job().value();
  EXPECT_EQ(job.run_id, "run-17");
  EXPECT_EQ(job.step_json, R"({"name":"step"})");
  EXPECT_EQ(job.status, "failed");
  EXPECT_EQ(job.reason, "a reason");
  EXPECT_EQ(job.created_us, 1'700'000'000'000'000);
  EXPECT_EQ(job.finished_us, 12);
  EXPECT_EQ(job.restarts, 3);
  const auto accepted = accepted_in(journal);
  ASSERT_EQ(accepted.size(), 3U);
  EXPECT_EQ(accepted[0].id, 2);
  EXPECT_EQ(accepted[1].id, 5);
  EXPECT_EQ(accepted[1].output_length, -1);
  EXPECT_EQ(accepted[2].id, 7);
  EXPECT_EQ(accepted[2].items, 10);
  EXPECT_EQ(accepted[2].succeeded, 9);
  EXPECT_EQ(accepted[2].output_length, 200);
  EXPECT_EQ(accepted[2].partial_offset, 100);
  EXPECT_EQ(journal.last_output_length(), 200);
}

TEST(Journal, WithoutKeptRowsThereIsNoOutputLength) {
  const TempDir dir;
  Journal journal(dir.path());
  journal.accept({0, 10, 10, -1, 0});
  journal.flush();
  EXPECT_EQ(journal.last_output_length(), -1);
}

/// "time:name", with a '-' behind what was not accepted.
std::string metrics_in(const Journal& journal, bool all_tries) {
  std::string text;
  journal.for_each_metric(all_tries, [&](const Metric& metric) {
    text += fmt::format("{}:{}{} ", metric.time_us, metric.name, metric.accepted ? "" : "-");
  });
  return text;
}

TEST(Journal, E12_KnowsTheMetricsOfTheAcceptedTries) {
  const TempDir dir;
  const auto metric = [](std::int64_t time_us, const char* process, std::int64_t mini_batch,
                         int attempt, const char* name) {
    return Metric{.time_us = time_us,
                  .process = process,
                  .mini_batch = mini_batch,
                  .attempt = attempt,
                  .kind = "value",
                  .name = name,
                  .value = "1"};
  };
  {
    Journal journal(dir.path());
    journal.add_metrics("process000", 100,
                        {metric(1, "process000", -1, 0, "init"), metric(4, "process000", 7, 1, "a"),
                         metric(5, "process000", 8, 1, "b")});
    EXPECT_EQ(journal.metrics_taken("process000"), 100);
    EXPECT_EQ(metrics_in(journal, true), "");
    journal.accept({7, 1, 1, 10, 0, 0, "process000", 1});
    journal.flush();
    // The second try, of another worker; and a third that came too late.
    journal.add_metrics("process001", 30, {metric(3, "process001", 8, 2, "b")});
    journal.accept({8, 1, 1, 20, 10, 0, "process001", 2});
    journal.add_metrics("process001", 60, {metric(6, "process001", 8, 3, "b")});
    journal.flush();
  }
  Journal journal(dir.path());
  EXPECT_EQ(journal.metrics_taken("process000"), 100);
  EXPECT_EQ(journal.metrics_taken("process001"), 60);
  EXPECT_EQ(journal.metrics_taken("process002"), 0);
  EXPECT_EQ(metrics_in(journal, false), "1:init 3:b 4:a ");
  EXPECT_EQ(metrics_in(journal, true), "1:init 3:b 4:a 5:b- 6:b- ");
  EXPECT_EQ(journal.forget_beyond(10), 1);
  EXPECT_EQ(metrics_in(journal, false), "1:init 4:a ");
}

TEST(Journal, WhatIsNotFlushedIsNotInIt) {
  const TempDir dir;
  {
    Journal journal(dir.path());
    journal.accept({0, 10, 10, 5, 0});
    EXPECT_TRUE(accepted_in(journal).empty());
  }
  EXPECT_TRUE(accepted_in(Journal(dir.path())).empty());
}

TEST(Journal, TheJobsEndComesWithEverythingAccepted) {
  const TempDir dir;
  {
    Journal journal(dir.path());
    journal.accept({0, 10, 10, 5, 0});
    journal.set_job(record("completed"));
  }
  EXPECT_EQ(accepted_in(Journal(dir.path())).size(), 1U);
}

TEST(Journal, O4_AMiniBatchIsAcceptedOnce) {
  const TempDir dir;
  Journal journal(dir.path());
  journal.accept({0, 10, 10, 5, 0});
  journal.flush();
  journal.accept({1, 10, 10, 9, 5});
  journal.accept({0, 10, 10, 14, 9});
  expect_error(ErrorCode::kInternal, "job.sqlite: UNIQUE constraint failed: accepted.id",
               [&] { journal.flush(); });
  EXPECT_EQ(accepted_in(journal).size(), 1U);  // The transaction is absent as a whole.
}

TEST(Journal, AVisitorsExceptionEndsTheVisit) {
  const TempDir dir;
  Journal journal(dir.path());
  for (std::int64_t id = 0; id < 3; ++id) journal.accept({id, 1, 1, id, id});
  journal.flush();
  int visits = 0;
  EXPECT_THROW(journal.for_each_accepted([&](const AcceptedMiniBatch&) {
    ++visits;
    throw std::runtime_error("enough");
  }),
               std::runtime_error);
  EXPECT_EQ(visits, 1);
  EXPECT_EQ(accepted_in(journal).size(), 3U);
}

TEST(Journal, X1_ForgetsRowsBeyondALength) {
  const TempDir dir;
  Journal journal(dir.path());
  journal.accept({0, 1, 1, 10, 0});
  journal.accept({1, 1, 0, 10, 10});
  journal.accept({2, 1, 1, 20, 10});
  journal.accept({3, 1, 1, -1, 0});
  journal.flush();
  EXPECT_EQ(journal.forget_beyond(20), 0);
  EXPECT_EQ(journal.forget_beyond(19), 1);
  EXPECT_EQ(journal.last_output_length(), 10);
  EXPECT_EQ(journal.forget_beyond(0), 2);
  EXPECT_EQ(accepted_in(journal).size(), 1U);
}

TEST(Journal, AReaderSeesTheRunningJob) {
  const TempDir dir;
  Journal journal(dir.path());
  journal.set_job(record("running"));
  const Journal reader(dir.path(), true);
  EXPECT_EQ(reader.job()->status, "running");
  EXPECT_EQ(reader.last_output_length(), -1);
  journal.accept({0, 10, 10, 5, 0});
  journal.flush();
  EXPECT_EQ(reader.last_output_length(), 5);
  EXPECT_EQ(accepted_in(reader).size(), 1U);
}

TEST(Journal, AReaderNeedsAJournal) {
  const TempDir dir;
  const auto folder = dir.path() / "none";
  expect_error(ErrorCode::kIo, (folder / "job.sqlite").string(), [&] { Journal(folder, true); });
  EXPECT_FALSE(std::filesystem::exists(folder));
  test::write_file(dir.path() / "job.sqlite", "");
  expect_error(ErrorCode::kIo, "job.sqlite: nothing has been stored in it yet",
               [&] { Journal(dir.path(), true); });
}

TEST(Journal, ItsOwnerAloneMayReadWhatItsMakerWrote) {
  namespace fs = std::filesystem;
  const TempDir dir;
  test::write_file(dir.path() / "job.sqlite", "");
  fs::permissions(dir.path() / "job.sqlite", fs::perms(0644));  // Of an earlier version.
  Journal journal(dir.path());
  journal.set_job(record("running"));
  for (const char* file : {"job.sqlite", "job.sqlite-wal", "job.sqlite-shm"}) {
    EXPECT_EQ(fs::status(dir.path() / file).permissions(), fs::perms(0600)) << file;
  }
}

/// What somebody reads who may read the folder but not write to it.
std::string read_by_another_user(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  for (const auto& entry : fs::directory_iterator(folder)) {
    fs::permissions(entry, fs::perms(0644));
  }
  fs::permissions(folder, fs::perms(0555));
  test::Child child([&](const test::Child::Line& line) {
    // Permissions do not bind root.
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) throw std::runtime_error("uid");
    line.say(Journal(folder, true).job()->status);
  });
  const std::string said = child.hear_all();
  EXPECT_EQ(child.wait(), 0);
  fs::permissions(folder, fs::perms(0755));
  return said;
}

TEST(Journal, AnotherUserReadsAnEndedJobs) {
  const TempDir dir;
  Journal(dir.path()).set_job(record("completed"));
  EXPECT_EQ(read_by_another_user(dir.path()), "completed");
}

TEST(Journal, AnotherUserReadsARunningAndAKilledJobs) {
  const TempDir dir;
  test::Child job([&](const test::Child::Line& line) {
    Journal journal(dir.path());
    journal.set_job(record("running"));
    line.say("k");
    line.hear();
  });
  ASSERT_EQ(job.hear(1), "k");
  EXPECT_EQ(read_by_another_user(dir.path()), "running");
  job.kill();
  job.wait();
  EXPECT_EQ(read_by_another_user(dir.path()), "running");
}

TEST(Journal, AReaderCannotWrite) {
  const TempDir dir;
  Journal(dir.path()).set_job(record("running"));
  Journal reader(dir.path(), true);
  expect_error(ErrorCode::kIo, "readonly", [&] { reader.set_job(record("failed")); });
}

TEST(Journal, OfANewerVersionIsRefused) {
  const TempDir dir;
  Journal(dir.path()).set_job(record("running"));
  Database(dir.path() / "job.sqlite", Database::Mode::kWrite, {})
      .execute("PRAGMA user_version = 7");
  for (const bool read_only : {false, true}) {
    expect_error(ErrorCode::kUnsupported,
                 "job.sqlite: has format 7, written by a newer prs-gpu; this one knows formats up "
                 "to 2",
                 [&] { Journal(dir.path(), read_only); });
  }
}

TEST(Journal, AFullDiskIsAnErrorAndTheBufferIsKept) {
  const TempDir dir;
  Journal journal(dir.path());
  journal.set_job(record("running"));
  for (std::int64_t id = 0; id < 20'000; ++id) journal.accept({id, 1, 1, id, id});
  {
    const test::FileSizeLimit limit(100'000);
    expect_error(ErrorCode::kIo, (dir.path() / "job.sqlite").string(), [&] { journal.flush(); });
  }
  EXPECT_TRUE(accepted_in(journal).empty());
  journal.flush();
  EXPECT_EQ(accepted_in(journal).size(), 20'000U);
  EXPECT_EQ(journal.job()->status, "running");
}

TEST(Journal, TextsOfAnyContentComeBack) {
  const TempDir dir;
  Journal journal(dir.path());
  JobRecord job = record("failed");
  job.reason = std::string("line 1\nl\0ine '2' \"\xC3\xA4\"", 22);
  job.step_json = std::string(3'000'000, 'x');
  journal.set_job(job);
  EXPECT_EQ(journal.job()->reason, job.reason);
  EXPECT_EQ(journal.job()->step_json, job.step_json);
}

}  // namespace
}  // namespace prs::store
