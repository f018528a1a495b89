#include <gtest/gtest.h>

#include "logs/log_tree.hpp"

namespace prs::logs {
namespace {

TEST(Paths, L_NamesAreThoseOfParallelRunStep) {
  const Paths paths("out/logs");
  const auto in_logs = [](const std::filesystem::path& path) {
    return path.lexically_relative("out/logs").string();
  };
  EXPECT_EQ(paths.root(), "out/logs");
  EXPECT_EQ(in_logs(paths.readme()), "readme.txt");
  EXPECT_EQ(in_logs(paths.job_result()), "job_result.txt");
  EXPECT_EQ(in_logs(paths.overview("2026112109")), "job_progress_overview.2026112109.txt");
  EXPECT_EQ(in_logs(paths.master(0)), "sys/master_role.txt");
  EXPECT_EQ(in_logs(paths.master(2)), "sys/master_role.2.txt");
  EXPECT_EQ(in_logs(paths.system_error(0, "process001")), "sys/error/0/process001.txt");
  EXPECT_EQ(in_logs(paths.worker(3, "process001")), "sys/node/3/process001.txt");
  EXPECT_EQ(in_logs(paths.worker_stdout(3, "process001")), "sys/node/3/process001.stdout.txt");
  EXPECT_EQ(in_logs(paths.worker_stderr(3, "process001")), "sys/node/3/process001.stderr.txt");
  EXPECT_EQ(in_logs(paths.worker_profile(3, "process001")), "sys/node/3/process001.profile");
  EXPECT_EQ(in_logs(paths.job_report_folder()), "sys/job_report");
  EXPECT_EQ(in_logs(paths.processed_mini_batches()), "sys/job_report/processed_mini-batches.csv");
  EXPECT_EQ(in_logs(paths.process_summary()), "sys/job_report/process_summary.csv");
  EXPECT_EQ(in_logs(paths.node_summary()), "sys/job_report/node_summary.csv");
  EXPECT_EQ(in_logs(paths.entry_log_folder(1)), "user/entry_script_log/1");
  EXPECT_EQ(in_logs(paths.entry_log(1, "process000")),
            "user/entry_script_log/1/process000.log.txt");
  EXPECT_EQ(in_logs(paths.user_stdout(1, "process000")), "user/stdout/1/process000.stdout.txt");
  EXPECT_EQ(in_logs(paths.user_stderr(1, "process000")), "user/stderr/1/process000.stderr.txt");
  EXPECT_EQ(in_logs(paths.user_error_summary()), "user/error.txt");
  EXPECT_EQ(in_logs(paths.user_error(1, "process000")), "user/error/1/process000.txt");
  EXPECT_EQ(in_logs(paths.perf_folder(1)), "perf/1");
}

}  // namespace
}  // namespace prs::logs
