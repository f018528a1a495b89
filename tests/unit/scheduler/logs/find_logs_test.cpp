#include <gtest/gtest.h>

#include <fstream>

#include "logs/log_tree.hpp"
#include "support/temp_dir.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;

class FindLogs : public testing::Test {
 protected:
  void write(const fs::path& path, std::string_view text = "text\n") {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::vector<std::string> find(bool errors_only, int worker) {
    std::vector<std::string> names;
    for (const fs::path& path : find_logs(paths_, errors_only, worker)) {
      names.push_back(path.lexically_relative(paths_.root()).string());
    }
    return names;
  }

  test::TempDir folder_;
  Paths paths_{folder_.path() / "logs"};
};

using Names = std::vector<std::string>;

TEST_F(FindLogs, ThereIsNothingWithoutATree) {
  EXPECT_EQ(find(false, -1), Names());
  EXPECT_EQ(find(true, -1), Names());
  EXPECT_EQ(find(false, 0), Names());
}

TEST_F(FindLogs, TheJobsOwnFilesInTheOrderToReadThem) {
  write(paths_.job_result());
  write(paths_.overview("2026112123"));
  write(paths_.overview("2026112200"));
  write(paths_.user_error_summary());
  for (const int restart : {0, 1, 2, 10}) write(paths_.master(restart));
  write(paths_.processed_mini_batches());
  write(paths_.process_summary());
  write(paths_.node_summary(), "");
  write(paths_.worker(0, "process000"));
  EXPECT_EQ(
      find(false, -1),
      (Names{"job_result.txt", "job_progress_overview.2026112123.txt",
             "job_progress_overview.2026112200.txt", "user/error.txt", "sys/master_role.txt",
             "sys/master_role.1.txt", "sys/master_role.2.txt", "sys/master_role.10.txt",
             "sys/job_report/processed_mini-batches.csv", "sys/job_report/process_summary.csv"}));
}

TEST_F(FindLogs, ErrorsOfAllProcesses) {
  write(paths_.user_error_summary());
  write(paths_.user_error(0, "process1000"));
  write(paths_.user_error(0, "process002"));
  write(paths_.user_error(10, "process000"));
  write(paths_.user_error(2, "process000"));
  write(paths_.system_error(0, "process001"));
  write(paths_.user_stderr(0, "process000"));
  write(paths_.user_stderr(0, "process001"), "");
  write(paths_.worker_stderr(0, "process003"));
  write(paths_.worker_stdout(0, "process003"));
  EXPECT_EQ(find(true, -1),
            (Names{"user/error.txt", "user/error/0/process002.txt", "user/error/0/process1000.txt",
                   "user/error/2/process000.txt", "user/error/10/process000.txt",
                   "sys/error/0/process001.txt", "user/stderr/0/process000.stderr.txt",
                   "sys/node/0/process003.stderr.txt"}));
}

TEST_F(FindLogs, FilesOfOneWorkerOnEveryNode) {
  for (const int node : {0, 1}) {
    write(paths_.worker(node, "process007"));
    write(paths_.worker(node, "process008"));
  }
  write(paths_.user_error(1, "process007"));
  write(paths_.user_stdout(1, "process007"));
  write(paths_.worker_stderr(1, "process007"));
  write(paths_.entry_log(1, "process007"));
  EXPECT_EQ(find(false, 7), (Names{"sys/node/0/process007.txt", "user/error/1/process007.txt",
                                   "sys/node/1/process007.stderr.txt", "sys/node/1/process007.txt",
                                   "user/entry_script_log/1/process007.log.txt",
                                   "user/stdout/1/process007.stdout.txt"}));
  EXPECT_EQ(find(true, 7),
            (Names{"user/error/1/process007.txt", "sys/node/1/process007.stderr.txt"}));
  EXPECT_EQ(find(false, 9), Names());
}

}  // namespace
}  // namespace prs::logs
