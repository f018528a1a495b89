// The journal's lock, between real processes.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "output/child.hpp"
#include "output/files.hpp"
#include "store/journal.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::store {
namespace {

using test::Child;
using test::expect_error;
using test::TempDir;

/// Holds the journal of `folder` until it is killed or told to end.
auto holder(const std::filesystem::path& folder) {
  return [folder](const Child::Line& line) {
    Journal journal(folder);
    journal.set_job({"run", "{}", "running", "", 1, 0, 0});
    line.say("h");
    line.hear();
  };
}

TEST(JournalLock, ASecondJobOnTheSameOutputIsToldWhoUsesIt) {
  const TempDir dir;
  Child child(holder(dir.path()));
  ASSERT_EQ(child.hear(1), "h");
  expect_error(ErrorCode::kUnavailable,
               fmt::format("{}: another job (pid {}) uses this output",
                           (dir.path() / "job.lock").string(), child.pid()),
               [&] { Journal journal(dir.path()); });
  // Looking is allowed all the same.
  EXPECT_EQ(Journal(dir.path(), true).job()->status, "running");
  child.say();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(Journal(dir.path()).job()->status, "running");
}

TEST(JournalLock, ADeadJobsLockIsNoObstacle) {
  const TempDir dir;
  Child child(holder(dir.path()));
  ASSERT_EQ(child.hear(1), "h");
  const std::string pid = fmt::format("{}\n", child.pid());
  child.kill();
  EXPECT_EQ(child.wait(), -SIGKILL);
  EXPECT_EQ(test::read_file(dir.path() / "job.lock"), pid);
  EXPECT_EQ(Journal(dir.path()).job()->status, "running");
}

TEST(JournalLock, HoldsWithinOneProcessToo) {
  const TempDir dir;
  const Journal journal(dir.path());
  expect_error(ErrorCode::kUnavailable, fmt::format("(pid {})", ::getpid()),
               [&] { Journal again(dir.path()); });
}

TEST(JournalLock, OfManyJobsOneGetsTheOutput) {
  const TempDir dir;
  // Each child holds on to what it got until all have tried.
  const auto contender = [&](const Child::Line& line) {
    try {
      const Journal journal(dir.path());
      line.say("w");
      line.hear();
    } catch (const Error& error) {
      line.say(error.code() == ErrorCode::kUnavailable ? "l" : error.message());
    }
  };
  Child a(contender);
  Child b(contender);
  Child c(contender);
  Child d(contender);
  std::string outcome = a.hear(1) + b.hear(1) + c.hear(1) + d.hear(1);
  std::sort(outcome.begin(), outcome.end());
  EXPECT_EQ(outcome, "lllw");
}

TEST(JournalLock, AFileWithoutAPidIsUnderstood) {
  const TempDir dir;
  const Journal journal(dir.path());
  test::write_file(dir.path() / "job.lock", "what is this?");
  expect_error(ErrorCode::kUnavailable, "another job uses this output",
               [&] { Journal again(dir.path()); });
}

TEST(JournalLock, ReadersWhileAJobBeginsAndWritesSeeItWholeOrNotYet) {
  const TempDir dir;
  for (int round = 0; round < 10; ++round) {
    const auto folder = dir.path() / std::to_string(round);
    Child writer([&](const Child::Line& line) {
      line.say("b");
      Journal journal(folder);
      for (std::int64_t id = 0; id < 200; ++id) {
        journal.accept({id, 1, 1, id + 1, id});
        journal.flush();
      }
    });
    ASSERT_EQ(writer.hear(1), "b");
    for (std::int64_t last = -1; last < 200;) {
      try {
        const Journal reader(folder, true);
        const std::int64_t length = reader.last_output_length();
        ASSERT_GE(length, last);
        if (length >= 0) last = length;
      } catch (const Error& error) {  // The file is not there yet, or empty yet.
        ASSERT_EQ(error.code(), ErrorCode::kIo) << error.message();
        ASSERT_EQ(last, -1) << error.message();
      }
    }
    EXPECT_EQ(writer.hear_all(), "");
    ASSERT_EQ(writer.wait(), 0);
  }
}

}  // namespace
}  // namespace prs::store
