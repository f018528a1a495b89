#include "monitor/progress.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "monitor/terminal_text.hpp"
#include "support/expect_error.hpp"

namespace prs::monitor {
namespace {

WorkerStatus worker(const std::string& process, WorkerPhase phase, double phase_s, int node = 0) {
  WorkerStatus status;
  status.node = node;
  status.process = process;
  status.pid = 4711;
  status.phase = phase;
  status.phase_s = phase_s;
  return status;
}

JobStatus running() {
  JobStatus status;
  status.run_id = "digits-1";
  status.status = "running";
  status.listing = false;
  status.mini_batches = 100;
  status.done = 12;
  status.items = 1000;
  status.items_succeeded = 120;
  status.elapsed_s = 5.4;
  status.items_per_s = 22.25;
  status.remaining_s = 38.9;
  WorkerStatus first = worker("process000", WorkerPhase::kRun, 2.7);
  first.gpus = "0";
  first.mini_batch = 17;
  first.mini_batches = 12;
  first.items = 120;
  status.workers = {first, worker("process001", WorkerPhase::kInit, 3725)};
  return status;
}

TEST(Progress, L_TheOverviewLine) {
  JobStatus status = running();
  EXPECT_EQ(overview_line(status),
            "Processed 12 of 100 mini-batches in 0:00:05, estimated remaining 0:00:38");
  status.failed = 3;
  status.items_failed = 31;
  status.elapsed_s = 3725;
  EXPECT_EQ(overview_line(status),
            "Processed 15 of 100 mini-batches in 1:02:05, estimated remaining 0:00:38; 3 "
            "mini-batches and 31 items failed");
  status.listing = true;
  status.remaining_s = -1;
  EXPECT_EQ(overview_line(status),
            "Processed 15 of at least 100 mini-batches in 1:02:05; 3 mini-batches and 31 items "
            "failed");
}

TEST(Progress, U2_TheOverviewSaysWhatHoldsUpTheFirstMiniBatch) {
  JobStatus status = running();
  status.done = 0;
  EXPECT_EQ(overview_line(status),
            "No mini-batch processed yet after 0:00:05: process000 run of mini-batch 17 since 2 s, "
            "process001 init since 1:02:05");
  status.workers.clear();
  EXPECT_EQ(overview_line(status), "No mini-batch processed yet after 0:00:05: no worker runs");
}

TEST(Progress, D10_AnEmptyInputIsNotWaitedFor) {
  JobStatus status;
  status.listing = false;
  EXPECT_EQ(overview_line(status), "Processed 0 of 0 mini-batches in 0:00:00");
}

TEST(Progress, U2_ActivityNamesFewWorkersAndCountsMany) {
  JobStatus status = running();
  status.workers[1].node = 1;
  EXPECT_EQ(activity(status),
            "0/process000 run of mini-batch 17 since 2 s, 1/process001 init since 1:02:05");
  status.workers.clear();
  for (int i = 0; i < 7; ++i) {
    status.workers.push_back(worker("process00" + std::to_string(i), WorkerPhase::kInit, 10 + i));
  }
  status.workers.push_back(worker("process007", WorkerPhase::kLoading, 4));
  status.workers.push_back(worker("process008", WorkerPhase::kLoading, 3));
  EXPECT_EQ(activity(status),
            "9 workers: 2 loading (longest process007 since 4 s), 7 init (longest process006 since "
            "16 s)");
}

using Lines = std::vector<std::string>;

TEST(Progress, TheTerminalShowsABarAndTheWorkers) {
  EXPECT_EQ(
      terminal_lines(running(), 120),
      (Lines{"[====>                                 ]  12% 12/100 mini-batches, 0:00:38 left, "
             "22.2 items/s, 0:00:05 so far",
             "process000 run of mini-batch 17 2 s, 12 mini-batches, 120 items, GPU 0",
             "process001 init 1:02:05, 0 mini-batches, 0 items"}));
}

TEST(Progress, ANarrowTerminalShowsLess) {
  EXPECT_EQ(terminal_lines(running(), 80)[0],
            "[===>                     ]  12% 12/100 mini-batches, 0:00:38 left, 22.2 items/s");
  EXPECT_EQ(terminal_lines(running(), 40), (Lines{" 12% 12/100 mini-batches, 0:00:38 left",
                                                  "process000 run of mini-batch 17 2 s, 12~",
                                                  "process001 init 1:02:05, 0 mini-batches~"}));
  EXPECT_EQ(terminal_lines(running(), 8), (Lines{" 12% 12~", "process~", "process~"}));
  EXPECT_EQ(terminal_lines(running(), 0), Lines());
}

TEST(Progress, WhileListingThereIsNoPercentage) {
  JobStatus status = running();
  status.listing = true;
  status.remaining_s = -1;
  status.failed = 2;
  status.status = "stopping";
  EXPECT_EQ(terminal_lines(status, 136)[0],
            "[=====>                                ] 14/100+ mini-batches, 2 mini-batches and 0 "
            "items failed, 22.2 items/s, 0:00:05 so far, stopping");
}

TEST(Progress, U2_IdleWorkersWaitForTheListing) {
  JobStatus status;
  status.listing = true;
  status.workers = {worker("process000", WorkerPhase::kIdle, 1)};
  EXPECT_EQ(activity(status), "the inputs are being listed, process000 idle since 1 s");
  status.mini_batches = 1;
  EXPECT_EQ(activity(status), "process000 idle since 1 s");
}

TEST(Progress, TheBarIsFullOnlyAtTheEnd) {
  JobStatus status = running();
  status.done = 999;
  status.mini_batches = 1000;
  EXPECT_NE(terminal_lines(status, 60)[0].find(" 99% 999/1000"), std::string::npos);
  EXPECT_NE(terminal_lines(status, 60)[0].find(">]"), std::string::npos);
  status.done = 1000;
  EXPECT_NE(terminal_lines(status, 60)[0].find("=] 100% 1000/1000"), std::string::npos);
}

TEST(Progress, WorkersThatDoNotFitAreCounted) {
  JobStatus status = running();
  status.workers.push_back(worker("process002", WorkerPhase::kInit, 1));
  status.workers.push_back(worker("process003", WorkerPhase::kIdle, 1));
  const Lines lines = terminal_lines(status, 80, 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[1].starts_with("process000 "));
  EXPECT_EQ(lines[2], "3 more workers: 2 init, 1 idle");
  EXPECT_EQ(terminal_lines(status, 80, 5).size(), 5u);
  EXPECT_EQ(terminal_lines(status, 80, 1).size(), 1u);
}

TEST(Progress, NoLineIsWiderThanTheTerminalWhateverTheNames) {
  JobStatus status = running();
  status.workers[0].process = "größe-日本語-🚀";
  status.workers[1].process = "\x1b[31mred\xff\n";
  status.workers[1].gpus = "GPU-\x1b日本";
  status.status = "日本語\r";
  status.failed = 1;
  for (int columns = 1; columns <= 200; ++columns) {
    for (const std::string& line : terminal_lines(status, columns)) {
      EXPECT_LE(display_width(line), columns) << line;
      EXPECT_EQ(printable(line), line);
    }
  }
  const Lines lines = terminal_lines(status, 100);
  EXPECT_TRUE(lines[1].starts_with("größe-日本語-🚀 run")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("?[31mred??      init")) << lines[2];
}

TEST(Progress, TheReportForAPerson) {
  JobStatus status = running();
  status.reason = "";
  EXPECT_EQ(report(status),
            "Run:          digits-1\n"
            "Status:       running\n"
            "Mini-batches: 12 of 100 processed, 0 of them failed\n"
            "Items:        1000: 120 succeeded, 0 failed\n"
            "Time:         0:00:05, estimated remaining 0:00:38, 22.2 items/s\n"
            "Workers:      2\n"
            "  process000 (pid 4711, GPU 0): run of mini-batch 17 since 2 s; 12 mini-batches, 120 "
            "items\n"
            "  process001 (pid 4711): init since 1:02:05; 0 mini-batches, 0 items\n");
  status.status = "failed";
  status.reason = "error_threshold";
  status.listing = true;
  status.remaining_s = -1;
  status.workers.clear();
  EXPECT_EQ(report(status),
            "Run:          digits-1\n"
            "Status:       failed: error_threshold\n"
            "Mini-batches: 12 of at least 100 processed, 0 of them failed\n"
            "Items:        at least 1000: 120 succeeded, 0 failed\n"
            "Time:         0:00:05, estimated remaining not known, 22.2 items/s\n"
            "Workers:      none\n");
}

TEST(Progress, JsonGoesRound) {
  JobStatus status = running();
  status.reason = "quotes \" and\nlines, größe";
  status.failed = 1;
  status.items_failed = 10;
  for (const WorkerPhase phase : {WorkerPhase::kStarting, WorkerPhase::kLoading, WorkerPhase::kInit,
                                  WorkerPhase::kIdle, WorkerPhase::kRun, WorkerPhase::kStopping}) {
    status.workers.push_back(worker("process002", phase, 0.1));
  }
  EXPECT_EQ(status_from_json(to_json(status)), status);
  EXPECT_EQ(status_from_json(to_json(JobStatus{})), JobStatus{});
}

TEST(Progress, JsonIsWrittenWhateverTheValues) {
  JobStatus status;
  status.reason = "\xff";
  status.items_per_s = std::numeric_limits<double>::infinity();
  const JobStatus read = status_from_json(to_json(status));
  EXPECT_EQ(read.reason, "\xef\xbf\xbd");
  EXPECT_EQ(read.items_per_s, 0);
}

TEST(Progress, JsonThatIsNoStatusIsRefusedByKey) {
  const auto refused = [](const std::string& text, const std::string& message) {
    test::expect_error(ErrorCode::kInvalidArgument, message, [&] { status_from_json(text); });
  };
  refused("", "not a JSON object");
  refused("[]", "not a JSON object");
  refused("{}", "\"run_id\" is missing");
  std::string text = to_json(running());
  const auto with = [&text](const std::string& part, const std::string& other) {
    std::string changed = text;
    return changed.replace(changed.find(part), part.size(), other);
  };
  refused(with("\"done\":12", "\"done\":\"12\""), "\"done\" is \"12\"");
  refused(with("\"phase\":\"run\"", "\"phase\":\"walk\""), "phase \"walk\"");
  refused(with("\"workers\":[", "\"workers\":[1,"), "a worker is not an object");
  refused(with("\"workers\"", "\"w\""), "\"workers\" is missing");
  EXPECT_EQ(status_from_json(with("{\"run_id\"", "{\"new\":1,\"run_id\"")), running());
}

}  // namespace
}  // namespace prs::monitor
