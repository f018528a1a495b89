// A job watched and continued from other terminals: status, logs --follow, resume_from.

#include <fmt/format.h>

#include <csignal>

#include "job_test.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Watch : public JobTest {
 protected:
  static void stop(Process& job) {
    // Two signals of one kind might arrive as one.
    job.send(SIGINT);
    job.send(SIGTERM);
    EXPECT_EQ(job.wait().exit_code, 130);
  }
  Json status() const {
    const ProcessResult result = prs_gpu({"status", file("out"), "--format", "json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }
};

TEST_F(Watch, U2_StatusTellsWhatEachWorkerIsDoing) {
  items({"ok", "hang", "hang"});
  CallReader calls(file("calls"));
  Process job(command({}, "--log " + file("calls")));
  calls.wait_for("run", "001.txt");
  calls.wait_for("run", "002.txt");
  // The status is written once a second.
  Json seen;
  int running = 0;
  while (running < 2) {
    seen = status();
    ASSERT_EQ(seen["status"], "running") << seen;
    running = 0;
    for (const Json& worker : seen["workers"]) running += worker["phase"] == "run" ? 1 : 0;
  }
  EXPECT_EQ(seen["mini_batches"], 3);
  EXPECT_EQ(seen["done"], 1);
  EXPECT_EQ(seen["workers"].size(), 2U);
  const std::string text = prs_gpu({"status", file("out")}).out;
  EXPECT_NE(text.find("process000 (pid "), std::string::npos) << text;
  EXPECT_NE(text.find("run of mini-batch "), std::string::npos) << text;
  stop(job);
  EXPECT_EQ(status()["status"], "canceled");
}

TEST_F(Watch, U11_FollowPrintsProgressUntilTheJobEnds) {
  items({"hang", "hang"});
  CallReader calls(file("calls"));
  Process job(command({}, "--log " + file("calls")));
  calls.wait_for("run", "000.txt");
  Process follow(prs_gpu_command({"logs", file("out"), "--follow"}));
  std::string line;
  do {
    line = follow.read_line();
    ASSERT_FALSE(line.empty());
  } while (line.find("scheduling done: 2 mini-batches") == std::string::npos);
  Process worker(prs_gpu_command({"logs", file("out"), "--follow", "--worker", "0"}));
  stop(job);
  const ProcessResult followed = follow.wait();
  EXPECT_EQ(followed.exit_code, 0) << followed.err;
  EXPECT_NE(followed.err.find("job_progress_overview."), std::string::npos) << followed.err;
  EXPECT_NE(followed.out.find("The job has ended. Canceled"), std::string::npos) << followed.out;
  const ProcessResult of_worker = worker.wait();
  EXPECT_EQ(of_worker.exit_code, 0);
  EXPECT_NE(of_worker.out.find("process000 ended"), std::string::npos) << of_worker.out;
}

TEST_F(Watch, X1_ResumeFromAmongTheArgumentsContinuesTheRun) {
  items({"ok", "fail", "ok", "ok"});
  const ProcessResult failed = run({"--max-try", "1", "--allowed-failed-count", "0"});
  EXPECT_EQ(failed.exit_code, 4) << failed.err;
  const std::string run_id =
      Json::parse(prs_gpu({"runs", "--format", "json"}).out).at(0).at("run_id");
  const std::string again = "--resume_from " + run_id;
  // Another job's settings, another folder, another name.
  const ProcessResult other = run({"--mini-batch-size", "2"}, again);
  EXPECT_NE(other.exit_code, 0);
  EXPECT_NE(other.err.find("mini_batch_size: 1 then, 2 now"), std::string::npos) << other.err;
  const ProcessResult elsewhere = run({"--output", file("elsewhere")}, again);
  EXPECT_NE(elsewhere.exit_code, 0);
  EXPECT_NE(elsewhere.err.find("lies in " + file("out")), std::string::npos) << elsewhere.err;
  const ProcessResult unknown = run({}, "--resume_from nobody");
  EXPECT_NE(unknown.exit_code, 0);
  EXPECT_NE(unknown.err.find("there is no run nobody"), std::string::npos) << unknown.err;

  const ProcessResult resumed = run({"--allowed-failed-count", "1"}, again);
  EXPECT_EQ(resumed.exit_code, 3) << resumed.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"000.txt", "002.txt", "003.txt"}));
  // Its limits are those of this start, in the table of the log too (C3).
  const std::string log = read_text(out("logs/sys/master_role.1.txt"));
  EXPECT_NE(log.find("allowed_failed_count         1 "), std::string::npos) << log;
  EXPECT_EQ(run({}, again).exit_code, 0) << "a completed run has nothing left to do";
}

TEST_F(Watch, TheExampleStepIsAStep) {
  const ProcessResult example = prs_gpu({"run", "--example"});
  EXPECT_EQ(example.exit_code, 0);
  write_text(file("step.yml"), example.out);
  photos("images", 3);
  fs::create_directories(dir() / "models");
  fs::copy(model_path("lenet.onnx"), dir() / "models");
  const ProcessResult plan = prs_gpu({"run", file("step.yml"), "--dry-run"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("1 mini-batches, 3 items"), std::string::npos) << plan.out;
  EXPECT_FALSE(fs::exists(out("")));
}

}  // namespace
}  // namespace prs::test
