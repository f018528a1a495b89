// Jobs whose processes are killed, stopped and interrupted. Moments are chosen by the plugin's
// calls, never by time; the random ones come from a printed seed (PRS_CHAOS_SEED repeats them,
// PRS_CHAOS_ROUNDS says how many).

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>

#include "job_test.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

class Chaos : public JobTest {
 protected:
  std::string log_argument() const { return "--log " + file("calls"); }
};

TEST_F(Chaos, J1_CtrlCLetsRunningMiniBatchesEndAndResumeFinishes) {
  // So many that the job is not done before it hears the signal.
  constexpr int kItems = 900;
  items(std::vector<std::string>(kItems, "ok"));
  CallReader calls(file("calls"));
  Process job(command({}, log_argument()));
  for (int i = 0; i < 10; ++i) calls.wait_for("run", "");
  job.send(SIGINT);
  const ProcessResult stopped = job.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("prs-gpu resume"), std::string::npos) << stopped.err;
  expect_no_process_left();
  calls.drain();
  const ProcessResult resumed = resume();
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(rows(), rows_of(kItems));
}

TEST_F(Chaos, J1_TheSecondCtrlCKillsAHangingRun) {
  items({"hang", "hang"});
  CallReader calls(file("calls"));
  Process job(command({}, log_argument()));
  calls.wait_for("run", "000.txt");
  job.send(SIGTERM);
  // The first one is taken when its words are out.
  while (job.read_error_line().find("stopping: running mini-batches may end") ==
         std::string::npos) {
  }
  job.send(SIGTERM);
  EXPECT_EQ(job.wait().exit_code, 130);
  expect_no_process_left();
}

TEST_F(Chaos, TwoJobsCannotShareAnOutput) {
  items({"hang"});
  CallReader calls(file("calls"));
  Process job(command({}, log_argument()));
  calls.wait_for("run", "000.txt");
  for (const std::string flag : {"--ordered", "--overwrite"}) {
    const ProcessResult second = run({flag});
    EXPECT_NE(second.exit_code, 0);
    EXPECT_NE(second.err.find("a job is running in"), std::string::npos) << second.err;
  }
  EXPECT_NE(resume().err.find("a job is running in"), std::string::npos);
  const std::string status = prs_gpu({"status", file("out")}).out;
  EXPECT_NE(status.find("running"), std::string::npos) << status;
  // Two signals of one kind might arrive as one.
  job.send(SIGINT);
  job.send(SIGTERM);
  job.wait();
}

TEST_F(Chaos, W4_AStoppedWorkerIsKilledAndReplaced) {
  items({"ok", "stop-once", "ok", "ok"});
  const ProcessResult result = run({"--timeout", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(4));
  EXPECT_EQ(statuses()["RUN_TIMEOUT"], 1);
  expect_no_process_left();
}

TEST_F(Chaos, ChildrenOfAnEntryEndWithTheirWorker) {
  items({"child", "child", "ok"});
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_no_process_left();
}

TEST_F(Chaos, X1_AKilledOrchestratorTakesItsWorkersWithItAndLosesNothing) {
  items(std::vector<std::string>(80, "ok"));
  CallReader calls(file("calls"));
  Process job(command({}, log_argument()));
  for (int i = 0; i < 30; ++i) calls.wait_for("run", "");
  job.send(SIGKILL);
  EXPECT_EQ(job.wait().signal, SIGKILL);
  expect_no_process_left();
  const std::string status = prs_gpu({"status", file("out")}).out;
  EXPECT_NE(status.find("killed"), std::string::npos) << status;
  calls.drain();
  const ProcessResult resumed = resume();
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(rows(), rows_of(80));
}

TEST_F(Chaos, SurvivesRandomKillsOfWorkersAndOrchestrators) {
  const char* given = std::getenv("PRS_CHAOS_SEED");
  const char* wanted = std::getenv("PRS_CHAOS_ROUNDS");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
#ifdef PRS_SANITIZED
  constexpr int kRounds = 10;  // Every process starts slowly.
#else
  constexpr int kRounds = 50;
#endif
  const int rounds = wanted != nullptr ? std::atoi(wanted) : kRounds;
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto up_to = [&](int most) { return std::uniform_int_distribution<int>(1, most)(random); };
  const std::string log = file("calls");
  CallReader calls(log);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("PRS_CHAOS_SEED={} round {}", seed, round));
    fs::remove_all(dir() / "out");
    fs::remove_all(dir() / "marks");
    std::vector<std::string> verbs(40, "ok");
    for (const char* verb : {"crash-once", "exit-once", "kill-once", "fail-once"}) {
      verbs[static_cast<std::size_t>(up_to(40) - 1)] = verb;
    }
    items(verbs);
    auto job =
        std::make_unique<Process>(command({"--max-try", "20", "--workers", "3"}, "--log " + log));
    // Some kills while it runs: of a worker that is at work, or of the orchestrator.
    int restarts = 0;
    for (int kills = up_to(4); kills > 0; --kills) {
      std::optional<PluginCall> call;
      for (int skip = up_to(12); skip > 0; --skip) call = calls.next_before_end_of(job->pid());
      if (!call) break;
      if (up_to(2) == 1) {
        ::kill(call->pid, up_to(2) == 1 ? SIGKILL : SIGTERM);
        continue;
      }
      job->send(SIGKILL);
      job->wait();
      expect_no_process_left();
      calls.drain();
      ++restarts;
      job = std::make_unique<Process>(prs_gpu_command({"resume", file("out")}));
    }
    const ProcessResult result = job->wait();
    calls.drain();
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_EQ(rows(), rows_of(40)) << restarts << " restarts";
    expect_no_process_left();
  }
}

}  // namespace
}  // namespace prs::test
