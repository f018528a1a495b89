#include "store/history.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "output/child.hpp"
#include "output/files.hpp"
#include "store/sqlite.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::store {
namespace {

using test::Child;
using test::expect_error;
using test::TempDir;

RunRecord run(const std::string& run_id, const std::string& status, std::int64_t created_us,
              const std::string& identity = "") {
  return {run_id,          "digits", status, "", "/out/" + run_id, identity, created_us,
          created_us + 50, 10,       100,    3};
}

std::vector<std::string> ids(const std::vector<RunRecord>& runs) {
  std::vector<std::string> all;
  for (const RunRecord& one : runs) all.push_back(one.run_id);
  return all;
}

using Ids = std::vector<std::string>;

TEST(History, ListsRunsNewestFirst) {
  const TempDir dir;
  History history(dir.path() / "made/on/demand");
  EXPECT_TRUE(history.recent(10).empty());
  history.put(run("b", "completed", 200));
  history.put(run("a", "running", 100));
  history.put(run("c", "failed", 300));
  history.put(run("a", "canceled", 100));
  EXPECT_EQ(ids(history.recent(10)), (Ids{"c", "b", "a"}));
  EXPECT_EQ(ids(history.recent(2)), (Ids{"c", "b"}));
  const RunRecord last = history.recent(10).back();
  EXPECT_EQ(last.name, "digits");
  EXPECT_EQ(last.status, "canceled");
  EXPECT_EQ(last.output, "/out/a");
  EXPECT_EQ(last.created_us, 100);
  EXPECT_EQ(last.finished_us, 150);
  EXPECT_EQ(last.mini_batches, 10);
  EXPECT_EQ(last.items, 100);
  EXPECT_EQ(last.failed_items, 3);
}

TEST(History, R1_TellsWhetherAnyCompletedRunBeginsSo) {
  const TempDir dir;
  History history(dir.path());
  history.put(run("a", "completed", 100, "settings-inputs"));
  history.put(run("b", "failed", 200, "others-inputs"));
  EXPECT_TRUE(history.any_completed("settings"));
  EXPECT_FALSE(history.any_completed("others"));
  EXPECT_FALSE(history.any_completed("inputs"));
  EXPECT_FALSE(history.any_completed("settings-z"));
}

TEST(History, R1_FindsTheNewestCompletedRunOfAnIdentity) {
  const TempDir dir;
  History history(dir.path());
  history.put(run("newer", "completed", 200, "x"));
  history.put(run("older", "completed", 100, "x"));
  history.put(run("failed", "failed", 300, "x"));
  history.put(run("other", "completed", 400, "y"));
  history.put(run("never", "completed", 500, ""));
  EXPECT_EQ(history.find_completed("x")->run_id, "newer");
  EXPECT_EQ(history.find_completed("x")->identity, "x");
  EXPECT_EQ(history.find_completed("y")->run_id, "other");
  EXPECT_FALSE(history.find_completed("z"));
  EXPECT_FALSE(history.find_completed(""));
}

TEST(History, X1_FindsARunByItsId) {
  const TempDir dir;
  History history(dir.path());
  history.put(run("a", "failed", 100));
  history.put(run("b", "completed", 200));
  ASSERT_TRUE(history.find("a"));
  EXPECT_EQ(history.find("a")->output, "/out/a");
  EXPECT_FALSE(history.find("c"));
}

TEST(History, SeveralProcessesUseItAtOnce) {
  const TempDir dir;
  const auto folder = dir.path() / "home";  // All of them come to create it.
  constexpr int kProcesses = 4;
  constexpr int kRuns = 25;
  std::vector<std::unique_ptr<Child>> children;
  for (int child = 0; child < kProcesses; ++child) {
    children.push_back(std::make_unique<Child>([&, child](const Child::Line& line) {
      line.hear();
      for (int i = 0; i < kRuns; ++i) {
        History history(folder);
        const std::string id = fmt::format("{}-{}", child, i);
        history.put(run(id, "running", i, id));
        history.put(run(id, "completed", i, id));
        if (!history.find_completed(id)) line.say(id + " is lost");
      }
    }));
  }
  for (const auto& child : children) child->say();
  for (const auto& child : children) {
    EXPECT_EQ(child->hear_all(), "");
    EXPECT_EQ(child->wait(), 0);
  }
  const auto runs = History(folder).recent(1000);
  EXPECT_EQ(runs.size(), static_cast<std::size_t>(kProcesses * kRuns));
  for (const RunRecord& one : runs) EXPECT_EQ(one.status, "completed");
}

TEST(History, SurvivesAKilledWriter) {
  const TempDir dir;
  for (int round = 0; round < 10; ++round) {
    Child child([&](const Child::Line& line) {
      History history(dir.path());
      for (int i = 0;; ++i) {
        history.put(run(fmt::format("{}-{}", round, i), "completed", i));
        line.say(".");
      }
    });
    const std::size_t reported = child.hear(static_cast<std::size_t>(1 + round % 4)).size();
    child.kill();
    child.wait();
    std::size_t found = 0;
    for (const RunRecord& one : History(dir.path()).recent(100'000)) {
      if (one.run_id.starts_with(fmt::format("{}-", round))) ++found;
    }
    EXPECT_GE(found, reported);
  }
}

TEST(History, OfANewerVersionIsRefused) {
  const TempDir dir;
  History(dir.path()).put(run("a", "completed", 1));
  Database(dir.path() / "runs.sqlite", Database::Mode::kWrite, {})
      .execute("PRAGMA user_version = 2");
  expect_error(ErrorCode::kUnsupported, "runs.sqlite: has format 2, written by a newer prs-gpu",
               [&] { History history(dir.path()); });
}

TEST(History, AHomeThatCannotBeWrittenNamesPrsHome) {
  const TempDir dir;
  test::write_file(dir.path() / "file", "");
  const auto folder = dir.path() / "file/home";
  expect_error(ErrorCode::kIo,
               folder.string() + ": cannot create the folder: ", [&] { History history(folder); });
  expect_error(ErrorCode::kIo, "set PRS_HOME to a folder that you may write to",
               [&] { History history(folder); });
  std::filesystem::create_directories(dir.path() / "home/runs.sqlite");
  expect_error(ErrorCode::kIo, "set PRS_HOME to a folder that you may write to",
               [&] { History history(dir.path() / "home"); });
}

TEST(History, AFullDiskIsAnErrorThatNamesTheFile) {
  const TempDir dir;
  History history(dir.path());
  RunRecord large = run("large", "completed", 1);
  large.reason = std::string(200'000, 'x');
  {
    const test::FileSizeLimit limit(100'000);
    expect_error(ErrorCode::kIo, (dir.path() / "runs.sqlite").string(),
                 [&] { history.put(large); });
  }
  EXPECT_TRUE(history.recent(10).empty());
  history.put(large);
  EXPECT_EQ(history.recent(10).size(), 1U);
}

/// Sets environment variables and puts them back.
class HistoryFolder : public testing::Test {
 protected:
  HistoryFolder() {
    for (const char* name : {"PRS_HOME", "XDG_STATE_HOME", "HOME"}) {
      const char* value = ::getenv(name);
      before_[name] = value != nullptr ? std::make_unique<std::string>(value) : nullptr;
      ::unsetenv(name);
    }
  }
  ~HistoryFolder() override {
    for (const auto& [name, value] : before_) {
      ::unsetenv(name.c_str());
      if (value) ::setenv(name.c_str(), value->c_str(), 1);
    }
  }

 private:
  std::map<std::string, std::unique_ptr<std::string>> before_;
};

TEST_F(HistoryFolder, IsPrsHomeThenXdgThenHome) {
  expect_error(ErrorCode::kIo, "none of PRS_HOME, XDG_STATE_HOME and HOME is set; set PRS_HOME",
               [] { History::default_folder(); });
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(History::default_folder(), "/home/me/.local/state/prs-gpu");
  ::setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_EQ(History::default_folder(), "/home/me/.local/state/prs-gpu");
  ::setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(History::default_folder(), "/state/prs-gpu");
  ::setenv("PRS_HOME", "/prs", 1);
  EXPECT_EQ(History::default_folder(), "/prs");
  ::setenv("PRS_HOME", "", 1);
  EXPECT_EQ(History::default_folder(), "/state/prs-gpu");
}

}  // namespace
}  // namespace prs::store
