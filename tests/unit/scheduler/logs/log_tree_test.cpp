#include "logs/log_tree.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "support/expect_error.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

// 2026-11-21 09:41:07 UTC.
constexpr std::int64_t kStartUs = 1795254067000000;
constexpr std::string_view kCsvHeader =
    "Mini-batch Id,Picked Count,Process,Process Start Time,Total,Succeeded,Failed,Elapsed "
    "Seconds,Process Seconds,Run Method Seconds,Status,Error Category,Error Message,Mini-batch "
    "Detail (JSON)\n";

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TryReport done(std::int64_t mini_batch, int node = 0, const std::string& process = "process000") {
  TryReport report;
  report.mini_batch = mini_batch;
  report.node = node;
  report.process = process;
  report.pid = 1234;
  report.address = "10.0.0.4";
  report.start_us = kStartUs;
  report.total = 10;
  report.succeeded = 9;
  report.failed = 1;
  report.elapsed_s = 0.5;
  report.process_s = 0.25;
  report.run_method_s = 0.375;
  report.status = "RUN_DONE";
  report.detail_json = R"({"files":["a.png"]})";
  return report;
}

TryReport failed(std::int64_t mini_batch) {
  TryReport report = done(mini_batch);
  report.succeeded = 0;
  report.failed = 10;
  report.status = "RUN_EXCEPTION";
  report.error_category = "exception";
  report.error_message = "ValueError: a \"bad\" value,\nsecond line";
  report.picked_count = 2;
  return report;
}

ProcessReport process(const std::string& name, int node = 0) {
  ProcessReport report;
  report.node = node;
  report.process = name;
  report.pid = 1234;
  report.gpus = "0,1";
  report.start_us = kStartUs;
  return report;
}

class LogTreeTest : public testing::Test {
 protected:
  std::unique_ptr<LogTree> open(int restart = 0) {
    return std::make_unique<LogTree>(paths_, restart, [this] { return now_; });
  }
  std::string line_at_start(std::string_view rest) {
    return "2026-11-21 09:41:07.000 UTC " + std::string(rest) + "\n";
  }

  test::TempDir folder_;
  Paths paths_{folder_.path() / "logs"};
  system_clock::time_point now_{std::chrono::microseconds(kStartUs)};
};

TEST_F(LogTreeTest, L_TheTreeIsThereFromTheBeginning) {
  const auto tree = open();
  for (const char* folder : {"sys/error", "sys/node", "sys/job_report", "user/error",
                             "user/entry_script_log", "user/stdout", "user/stderr", "perf"}) {
    EXPECT_TRUE(fs::is_directory(paths_.root() / folder)) << folder;
  }
  EXPECT_EQ(test::read_file(paths_.processed_mini_batches()), kCsvHeader);
  EXPECT_TRUE(fs::exists(paths_.process_summary()));
  EXPECT_TRUE(fs::exists(paths_.node_summary()));
  EXPECT_EQ(test::read_file(paths_.master(0)), line_at_start("The orchestrator begins."));
  EXPECT_EQ(tree->problem(), "");
}

TEST_F(LogTreeTest, L_ALevelLeavesOutWhatIsBelowIt) {
  const auto logged_at = [&](Level least) {
    fs::remove_all(paths_.root());
    {
      const auto tree = open();
      tree->set_level(least);
      tree->add_node(0);
      tree->master("a detail", Level::kDebug);
      tree->master("a decision");
      tree->master("a warning", Level::kWarning);
      tree->process_started(process("process000"));
      tree->try_ended(done(0));
      tree->try_ended(failed(1));
      tree->system_error(0, "process000", "an error");
    }
    return test::read_file(paths_.master(0)) + test::read_file(paths_.worker(0, "process000"));
  };
  const std::string warning = logged_at(Level::kWarning);
  const std::string info = logged_at(Level::kInfo);
  const std::string debug = logged_at(Level::kDebug);
  for (const std::string* text : {&warning, &info, &debug}) {
    EXPECT_TRUE(contains(*text, "a warning"));
    EXPECT_TRUE(contains(*text, "RUN_EXCEPTION"));
    EXPECT_TRUE(contains(*text, "an error"));
    EXPECT_EQ(contains(*text, "a decision"), text != &warning);
    EXPECT_EQ(contains(*text, "process000 started"), text != &warning);
    EXPECT_EQ(contains(*text, "RUN_DONE"), text != &warning);
    EXPECT_EQ(contains(*text, "a detail"), text == &debug);
  }
  // Reports are whole at any level.
  logged_at(Level::kWarning);
  EXPECT_TRUE(contains(test::read_file(paths_.processed_mini_batches()), "RUN_DONE"));
}

TEST_F(LogTreeTest, L_TheReadmeNamesEveryFile) {
  open();
  const std::string readme = test::read_file(paths_.readme());
  for (const char* name : {"job_result.txt",
                           "job_progress_overview.<yyyymmddhh>.txt",
                           "readme.txt",
                           "sys/master_role.txt",
                           "sys/master_role.1.txt",
                           "sys/error/<node>/<process>.txt",
                           "sys/node/<node>/<process>.txt",
                           "sys/node/<node>/<process>.stdout.txt",
                           "<process>.stderr.txt",
                           "sys/node/<node>/<process>.profile",
                           "sys/job_report/processed_mini-batches.csv",
                           "sys/job_report/process_summary.csv",
                           "sys/job_report/node_summary.csv",
                           "user/entry_script_log/<node>/<process>.log.txt",
                           "user/stdout/<node>/<process>.stdout.txt",
                           "user/stderr/<node>/<process>.stderr.txt",
                           "user/error.txt",
                           "user/error/<node>/<process>.txt",
                           "perf/<node>/os/<yyyymmddhh>/processes_<mm>",
                           "perf/<node>/node_resource_usage.csv",
                           "perf/<node>/node_disk_usage.csv",
                           "perf/<node>/processes_resource_usage.csv"}) {
    EXPECT_TRUE(contains(readme, name)) << name;
  }
}

TEST_F(LogTreeTest, E11_FoldersOfANodeAreThereBeforeItsWorkers) {
  const auto tree = open();
  tree->add_node(3);
  for (const char* folder :
       {"sys/node/3", "user/entry_script_log/3", "user/stdout/3", "user/stderr/3"}) {
    EXPECT_TRUE(fs::is_directory(paths_.root() / folder)) << folder;
  }
}

TEST_F(LogTreeTest, L_OverviewRotatesWithTheUtcDay) {
  const auto tree = open();
  tree->overview("one");
  now_ += std::chrono::hours(14);
  tree->overview("two");
  now_ += std::chrono::hours(1);
  tree->overview("three");
  EXPECT_EQ(test::read_file(paths_.overview("2026112109")),
            "2026-11-21 09:41:07.000 UTC one\n2026-11-21 23:41:07.000 UTC two\n");
  EXPECT_EQ(test::read_file(paths_.overview("2026112200")), "2026-11-22 00:41:07.000 UTC three\n");
}

TEST_F(LogTreeTest, L_ProcessedMiniBatchesHasOneRowATry) {
  const auto tree = open();
  tree->try_ended(failed(17));
  tree->try_ended(done(4, 1, "process012"));
  tree->flush();
  EXPECT_EQ(test::read_file(paths_.processed_mini_batches()),
            std::string(kCsvHeader) +
                "17,2,0/process000,2026-11-21 09:41:07.000 UTC,10,0,10,0.500000,0.250000,0.375000,"
                "RUN_EXCEPTION,exception,\"ValueError: a \"\"bad\"\" value,\nsecond line\","
                "\"{\"\"files\"\":[\"\"a.png\"\"]}\"\n"
                "4,1,1/process012,2026-11-21 09:41:07.000 UTC,10,9,1,0.500000,0.250000,0.375000,"
                "RUN_DONE,,,\"{\"\"files\"\":[\"\"a.png\"\"]}\"\n");
}

TEST_F(LogTreeTest, L_TheProcessLogHasOneLineATry) {
  const auto tree = open();
  tree->process_started(process("process000"));
  tree->try_ended(done(16));
  tree->try_ended(failed(17));
  ProcessReport end = process("process000");
  end.end_us = kStartUs + 2000000;
  end.end = "signal 9 (Killed)";
  tree->process_ended(end);
  EXPECT_EQ(
      test::read_file(paths_.worker(0, "process000")),
      line_at_start("process000 started: pid 1234, CUDA_VISIBLE_DEVICES \"0,1\"") +
          line_at_start("mini-batch 16 (try 1) RUN_DONE: total 10, succeeded 9, failed 1; start "
                        "2026-11-21 09:41:07.000 UTC, duration 0.500000 s, process time 0.250000 "
                        "s, run method 0.375000 s; address 10.0.0.4, pid 1234") +
          line_at_start("mini-batch 17 (try 2) RUN_EXCEPTION: total 10, succeeded 0, failed 10; "
                        "start 2026-11-21 09:41:07.000 UTC, duration 0.500000 s, process time "
                        "0.250000 s, run method 0.375000 s; address 10.0.0.4, pid 1234; "
                        "exception: ValueError: a \"bad\" value,") +
          line_at_start("process000 ended: signal 9 (Killed)"));
}

TEST_F(LogTreeTest, TriesWaitForFlushErrorsDoNot) {
  const auto tree = open();
  tree->flush();
  tree->try_ended(done(1));
  now_ += milliseconds(199);
  tree->flush();
  EXPECT_EQ(test::read_file(paths_.processed_mini_batches()), kCsvHeader);
  now_ += milliseconds(1);
  tree->flush();
  EXPECT_TRUE(contains(test::read_file(paths_.processed_mini_batches()), "\n1,1,0/process000,"));
  tree->try_ended(done(2));
  tree->try_ended(failed(3));
  const std::string report = test::read_file(paths_.processed_mini_batches());
  EXPECT_TRUE(contains(report, "\n2,1,0/process000,"));
  EXPECT_TRUE(contains(report, "\n3,2,0/process000,"));
}

TEST_F(LogTreeTest, AClockThatIsSetBackDoesNotStopTheWriting) {
  const auto tree = open();
  tree->flush();
  now_ -= std::chrono::hours(1);
  tree->try_ended(done(1));
  tree->flush();
  EXPECT_TRUE(contains(test::read_file(paths_.processed_mini_batches()), "\n1,1,"));
  EXPECT_TRUE(contains(test::read_file(paths_.process_summary()), "0,process000,"));
}

TEST_F(LogTreeTest, U10_TheSummaryCountsTheWorkOfEachProcess) {
  const auto tree = open();
  tree->process_started(process("process000"));
  tree->process_started(process("process001"));
  tree->try_ended(done(1));
  tree->try_ended(done(2));
  tree->try_ended(failed(3));
  now_ += seconds(2);
  ProcessReport end = process("process001");
  end.end_us = kStartUs + 4000000;
  end.end = "exit code 3, \"why\"";
  tree->process_ended(end);
  tree->flush();
  EXPECT_EQ(
      test::read_file(paths_.process_summary()),
      "Node,Process,Restart,Pid,GPUs,Start Time,End Time,Processed Mini-batches,Failed "
      "Tries,Succeeded Items,Failed Items,Items per Second,Life Seconds,Busy Seconds,Busy "
      "Percent,Process Seconds,Run Method Seconds,End\n"
      "0,process000,0,1234,\"0,1\",2026-11-21 09:41:07.000 UTC,,2,1,18,2,9.000,2.000,1.500,75.0,"
      "0.750,1.125,running\n"
      "0,process001,0,1234,\"0,1\",2026-11-21 09:41:07.000 UTC,2026-11-21 09:41:11.000 UTC,0,0,0,0,"
      "0.000,4.000,0.000,0.0,0.000,0.000,\"exit code 3, \"\"why\"\"\"\n");
  EXPECT_EQ(test::read_file(paths_.node_summary()),
            "Node,Restart,Processes Started,Processes Running,Processed Mini-batches,Failed "
            "Tries,Succeeded Items,Failed Items,Items per Second,Seconds,Busy Seconds,Process "
            "Seconds,Run Method Seconds,Fewest Mini-batches of a Process,Most Mini-batches of a "
            "Process\n"
            "0,0,2,1,2,1,18,2,4.500,4.000,1.500,0.750,1.125,0,2\n");
}

TEST_F(LogTreeTest, SummariesAreRewrittenAtMostOnceASecond) {
  const auto tree = open();
  tree->try_ended(done(1));
  now_ += milliseconds(999);
  tree->flush();
  EXPECT_FALSE(contains(test::read_file(paths_.process_summary()), "process000"));
  now_ += milliseconds(1);
  tree->flush();
  EXPECT_TRUE(contains(test::read_file(paths_.process_summary()), "process000"));
}

TEST_F(LogTreeTest, L_UserErrorsAreWholeInOneFileAndALineInAnother) {
  const auto tree = open();
  tree->user_error(0, "process000", "run of mini-batch 17",
                   "Traceback (most recent call last):\n  File \"score.py\", line 3\nKeyError: 7");
  EXPECT_EQ(test::read_file(paths_.user_error(0, "process000")),
            "==== 2026-11-21 09:41:07.000 UTC: run of mini-batch 17 ====\n"
            "Traceback (most recent call last):\n  File \"score.py\", line 3\nKeyError: 7\n\n");
  EXPECT_EQ(test::read_file(paths_.user_error_summary()),
            line_at_start("0/process000 run of mini-batch 17: KeyError: 7 (whole: "
                          "user/error/0/process000.txt)"));
}

TEST_F(LogTreeTest, L_SystemErrorsAreTheirOwnAndTheMastersToo) {
  const auto tree = open();
  tree->system_error(1, "process002", "segment file: checksum\nmore");
  EXPECT_EQ(
      test::read_file(paths_.system_error(1, "process002")),
      "==== 2026-11-21 09:41:07.000 UTC: 1/process002 ====\nsegment file: checksum\nmore\n\n");
  EXPECT_TRUE(contains(test::read_file(paths_.master(0)),
                       line_at_start("error of 1/process002: segment file: checksum (whole: "
                                     "sys/error/1/process002.txt)")));
}

JobResult limit_exceeded() {
  JobResult result;
  result.status = "Failed";
  result.reason = "7 failed items exceed error_threshold 5";
  result.root_cause = {"KeyError: 7", "score.py:3"};
  result.next_steps = {"prs-gpu run --resume"};
  result.mini_batches = 100;
  result.mini_batches_failed = 3;
  result.items = 1000;
  result.items_succeeded = 993;
  result.items_failed = 7;
  result.seconds = 727;
  result.output = "/data/out";
  return result;
}

TEST_F(LogTreeTest, J2_TheResultNamesCauseCountsPlacesAndNextStep) {
  const auto tree = open();
  tree->user_error(0, "process000", "init", "KeyError: 7");
  tree->finish(limit_exceeded());
  const std::string logs = paths_.root().string();
  EXPECT_EQ(test::read_file(paths_.job_result()),
            "Status:       Failed\n"
            "Reason:       7 failed items exceed error_threshold 5\n"
            "Mini-batches: 100, 3 of them failed\n"
            "Items:        1000: 993 succeeded, 7 failed\n"
            "Duration:     0:12:07\n"
            "Output:       /data/out\n"
            "\n"
            "Root cause:\n"
            "  KeyError: 7\n"
            "  score.py:3\n"
            "\n"
            "Where to look:\n"
            "  " +
                logs +
                "/user/error.txt: errors of the entry, one line each\n"
                "  " +
                logs +
                "/sys/job_report/processed_mini-batches.csv: every try of every "
                "mini-batch\n"
                "  " +
                logs +
                "/sys/job_report/process_summary.csv: what each worker did\n"
                "  " +
                logs +
                "/readme.txt: all other files, explained\n"
                "\n"
                "Next steps:\n"
                "  prs-gpu run --resume\n");
  EXPECT_EQ(test::read_file(paths_.overview("2026112109")),
            line_at_start("The job has ended. Failed: 7 failed items exceed error_threshold 5"));
  EXPECT_TRUE(
      contains(test::read_file(paths_.master(0)), "    Reason:       7 failed items exceed"));
}

TEST_F(LogTreeTest, FinishWritesEverything) {
  const auto tree = open();
  tree->try_ended(done(1));
  tree->finish(JobResult{});
  EXPECT_TRUE(contains(test::read_file(paths_.processed_mini_batches()), "\n1,1,"));
  EXPECT_TRUE(contains(test::read_file(paths_.process_summary()), "\n0,process000,"));
  EXPECT_TRUE(contains(test::read_file(paths_.node_summary()), "\n0,0,1,1,1,0,9,1,"));
}

TEST_F(LogTreeTest, X1_AResumedJobContinuesItsFiles) {
  {
    const auto tree = open();
    tree->overview("before");
    tree->process_started(process("process000"));
    tree->try_ended(done(1));
    tree->finish(limit_exceeded());
  }
  // As kill -9 within a write leaves it.
  std::ofstream(paths_.processed_mini_batches(), std::ios::app) << "2,1,0/process000,\"tor\nn";
  const auto tree = open(1);
  EXPECT_FALSE(fs::exists(paths_.job_result()));
  now_ += std::chrono::hours(2);
  tree->overview("after");
  tree->process_started(process("process000"));
  tree->try_ended(done(3));
  tree->flush();

  const std::string report = test::read_file(paths_.processed_mini_batches());
  EXPECT_EQ(report.find("Mini-batch Id"), 0u);
  EXPECT_EQ(report.rfind("Mini-batch Id"), 0u);
  EXPECT_TRUE(contains(report, "\n1,1,0/process000,"));
  EXPECT_TRUE(contains(report, "\n3,1,0/process000,"));
  EXPECT_FALSE(contains(report, "tor"));
  const std::string overview = test::read_file(paths_.overview("2026112109"));
  EXPECT_TRUE(contains(overview, "before\n"));
  EXPECT_TRUE(contains(overview, "after\n"));
  EXPECT_TRUE(
      contains(test::read_file(paths_.master(1)), "The orchestrator begins again, restart 1."));
  const std::string processes = test::read_file(paths_.process_summary());
  EXPECT_TRUE(contains(processes, "0,process000,0,1234,"));
  EXPECT_TRUE(contains(processes, ",lost with the orchestrator\n0,process000,1,1234,"));
  EXPECT_EQ(processes.rfind("Node,"), 0u);
  const std::string nodes = test::read_file(paths_.node_summary());
  EXPECT_TRUE(contains(nodes, "\n0,0,1,1,1,0,9,1,"));
  EXPECT_TRUE(contains(nodes, "\n0,1,1,1,1,0,9,1,"));
}

TEST_F(LogTreeTest, AKilledOrchestratorLeavesUsableFiles) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto tree = open();
    tree->process_started(process("process000"));
    tree->try_ended(done(1));
    now_ += seconds(1);
    tree->flush();
    tree->try_ended(done(2));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const std::string report = test::read_file(paths_.processed_mini_batches());
  EXPECT_TRUE(contains(report, "\n1,1,0/process000,"));
  EXPECT_TRUE(report.ends_with("\n"));
  EXPECT_TRUE(contains(test::read_file(paths_.process_summary()), "\n0,process000,0,1234,"));
  EXPECT_TRUE(contains(test::read_file(paths_.node_summary()), "\n0,0,1,1,1,0,9,1,"));
}

TEST_F(LogTreeTest, AnOutputThatCannotBeWrittenIsRefusedAtTheStart) {
  std::ofstream(folder_.path() / "logs") << "a file in the way";
  test::expect_error(ErrorCode::kIo, paths_.root().string(), [&] { open(); });
}

TEST_F(LogTreeTest, ADiskFullLaterDoesNotKillTheJob) {
  const auto tree = open();
  fs::create_directories(paths_.worker(0, "").parent_path());
  fs::create_symlink("/dev/full", paths_.worker(0, "process000"));
  tree->try_ended(failed(1));
  tree->try_ended(done(2));
  now_ += seconds(1);
  tree->flush();
  EXPECT_EQ(tree->problem(),
            paths_.worker(0, "process000").string() + ": cannot write: No space left on device");
  EXPECT_TRUE(contains(test::read_file(paths_.processed_mini_batches()), "\n2,1,"));
  tree->finish(JobResult{});
  EXPECT_TRUE(contains(test::read_file(paths_.job_result()),
                       "\nThe logs are not complete: " + tree->problem() + "\n"));
}

TEST_F(LogTreeTest, HundredsOfReplacedWorkersLeaveNoOpenFiles) {
  const auto tree = open();
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  for (int i = 0; i < 300; ++i) {
    const std::string name = "process" + std::to_string(i);
    tree->process_started(process(name));
    tree->try_ended(done(i, 0, name));
    tree->user_error(0, name, "init", "no");
    ProcessReport end = process(name);
    end.end_us = kStartUs;
    tree->process_ended(end);
  }
  tree->flush();
  EXPECT_LE(open_files(), before + 2);  // user/error.txt, and processed_mini-batches.csv.
}

}  // namespace
}  // namespace prs::logs
