// What goes wrong around a job: inputs that vanish, disks that are full, logs that cannot be
// written, processes that leave their group; and what must not be seen by others.

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>

#include "job_test.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

void expect_mentions(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nin: " << text;
}

class Faults : public JobTest {
 protected:
  /// The command where no file may grow beyond so many KiB.
  static std::vector<std::string> limited(int kib, const std::vector<std::string>& command) {
    // ulimit counts blocks of 512 bytes.
    std::vector<std::string> all = {"/bin/sh", "-c",
                                    fmt::format("ulimit -f {}; exec \"$@\"", 2 * kib), "sh"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  /// Scores 1,000 records; a row is about 400 bytes.
  std::vector<std::string> score(int mini_batch_size) const {
    return prs_gpu_command({"run", "--model", model_path("mlp.onnx"), "--input", file("digits.idx"),
                            "--output", file("out"), "--output-format", "jsonl", "--top-k", "10",
                            "--workers", "2", "--mini-batch-size", std::to_string(mini_batch_size),
                            "--set", "allow_reuse=false", "--set", "resource_monitor_interval=0"});
  }
  void expect_disk_full(const std::vector<std::string>& command) const {
    const ProcessResult full = run_process(command);
    EXPECT_EQ(full.signal, 0);
    EXPECT_EQ(full.exit_code, 6) << full.err;
    expect_mentions(full.err, "File too large");
    expect_mentions(full.err, "prs-gpu resume");
    expect_mentions(read_text(out("logs/job_result.txt")), "Status:       Failed");
    expect_no_process_left();
    const ProcessResult resumed = resume();
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    const std::vector<std::string> lines = rows();
    EXPECT_EQ(lines.size(), 1000U);
    EXPECT_EQ(std::adjacent_find(lines.begin(), lines.end()), lines.end()) << "a row twice";
  }
};

TEST_F(Faults, D10_AFileThatVanishesWhileTheJobRunsIsAFailedItem) {
  items({"ok", "remove " + file("items/003.txt"), "ok", "ok", "ok"});
  const ProcessResult result = run({"--workers", "1"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"000.txt", "001.txt", "002.txt", "004.txt"}));
  expect_mentions(result.err, "003.txt: No such file or directory");
  expect_mentions(read_text(out("logs/user/error.txt")), "003.txt");
}

TEST_F(Faults, D10_AnImageThatIsNotThereAnyMoreFailsAlone) {
  const std::string folder = photos("photos", 12);
  // Listed like an image, and gone when a worker opens it.
  fs::create_symlink(file("gone.png"), folder + "/5a.png");
  const ProcessResult result =
      prs_gpu({"run", "--model", model_path("mlp.onnx"), "--input", folder, "--output", file("out"),
               "--mini-batch-size", "5", "--set", "allow_reuse=false"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows().size(), 12U);
  expect_mentions(result.err, "5a.png");
}

TEST_F(Faults, J1_ADiskFullUnderAWorkersRowsIsASystemError) {
  write_idx_images(file("digits.idx"), 1000);
  expect_disk_full(limited(200, score(1000)));
}

TEST_F(Faults, O4_ADiskFullUnderTheOutputLosesNoRow) {
  write_idx_images(file("digits.idx"), 1000);
  expect_disk_full(limited(260, score(125)));
}

TEST_F(Faults, L_LogsThatCannotBeWrittenAreToldOnceAndTheJobGoesOn) {
  items({"skip", "ok", "skip", "ok"});
  fs::create_directories(out("logs/user"));
  fs::create_symlink("/dev/full", out("logs/user/error.txt"));
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows().size(), 2U);
  const std::string warning = "warning: the logs are not complete: " + out("logs/user/error.txt");
  expect_mentions(result.err, warning);
  EXPECT_EQ(result.err.find(warning), result.err.rfind(warning));
  expect_mentions(read_text(out("logs/job_result.txt")), "The logs are not complete");
}

TEST_F(Faults, W4_ProcessesThatLeftTheirGroupEndWithTheJob) {
  items({"daemon", "ok", "daemon"});
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(3));
  expect_no_process_left();
}

TEST_F(Faults, W4_ProcessesThatLeftTheirGroupEndWithAKilledOrchestrator) {
  items({"daemon", "child", "hang", "hang"});
  CallReader calls(file("calls"));
  Process job(command({}, "--log " + file("calls")));
  calls.wait_for("run", "002.txt");
  calls.wait_for("run", "003.txt");
  job.send(SIGKILL);
  EXPECT_EQ(job.wait().signal, SIGKILL);
  expect_no_process_left();
}

TEST_F(Faults, ASecretOfTheEnvironmentIsShownNowhere) {
  const std::string secret = "s3cret-0123456789";
  items({"ok", "skip"});
  const std::vector<std::string> more = {"--set", "environment_variables.API_TOKEN=" + secret,
                                         "--set", "environment_variables.OTHER=a " + secret,
                                         "--set", "resource_monitor_interval=600"};
  std::vector<std::string> dry = more;
  dry.insert(dry.end(), {"--dry-run"});
  const ProcessResult plan = run(dry);
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  expect_mentions(plan.out, "environment_variables.API_TOKEN");
  EXPECT_EQ(plan.out.find(secret), std::string::npos);
  const ProcessResult result = run(more);
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ((result.out + result.err).find(secret), std::string::npos);
  for (const auto& entry : fs::recursive_directory_iterator(out(""))) {
    // The journal, which a resume needs, has it; it is its owner's alone.
    if (!entry.is_regular_file() || entry.path().filename() == "job.sqlite") continue;
    EXPECT_EQ(read_text(entry.path()).find(secret), std::string::npos) << entry.path();
  }
  struct stat status {};
  ASSERT_EQ(::stat(out(".prs/job.sqlite").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Faults, D7_AnInputThatCannotBeListedEndsTheJobWithItsNameAndResumeGoesOn) {
  write_text(file("a.csv"), "user,v\nann,1\nbob,2\n");
  write_text(file("b.csv"), "v\n3\n");
  const ProcessResult result =
      prs_gpu({"run", "--plugin", PRS_FAULTY_PLUGIN, "--input", file("a.csv"), "--input",
               file("b.csv"), "--set", "partition_keys=user", "--output-action", "summary_only",
               "--output", file("out"), "--workers", "1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_mentions(read_text(out("logs/job_result.txt")),
                  "listing the inputs: partition_keys: " + file("b.csv") + " has no column 'user'");
  expect_no_process_left();
  write_text(file("b.csv"), "user,v\nann,3\n");
  const ProcessResult resumed = resume();
  EXPECT_EQ(resumed.exit_code, 3) << "the plugin knows nothing of rows: " << resumed.err;
  expect_mentions(resumed.err, "Mini-batches: 3,");
}

TEST_F(Faults, E11_TheLoggingLevelDecidesHowMuchIsLogged) {
  const auto logs_of = [&](const std::string& level) {
    items({"ok", "fail-once", "ok"});
    fs::remove_all(dir() / "marks");
    EXPECT_EQ(run({"--overwrite", "--set", "logging_level=" + level}).exit_code, 0);
    std::string text = read_text(out("logs/sys/master_role.txt"));
    for (const auto& entry : fs::directory_iterator(out("logs/sys/node/0"))) {
      const std::string name = entry.path().filename().string();
      if (name.find(".std") == name.npos) text += read_text(entry.path());
    }
    // Reports are whole at any level.
    EXPECT_EQ(statuses()["RUN_DONE"], 3) << level;
    return text;
  };
  const std::string warning = logs_of("WARNING");
  const std::string info = logs_of("INFO");
  const std::string debug = logs_of("DEBUG");
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
  };
  for (const std::string& text : {warning, info, debug}) {
    EXPECT_TRUE(has(text, "RUN_EXCEPTION: ")) << text;
    EXPECT_TRUE(has(text, "The job has ended")) << text;
  }
  EXPECT_FALSE(has(warning, " RUN_DONE: ")) << warning;
  EXPECT_FALSE(has(warning, " is ready: ")) << warning;
  EXPECT_TRUE(has(info, " RUN_DONE: ")) << info;
  EXPECT_TRUE(has(info, " is ready: ")) << info;
  EXPECT_FALSE(has(info, "mini-batch 2 accepted from")) << info;
  EXPECT_TRUE(has(debug, "mini-batch 2 accepted from")) << debug;
  EXPECT_TRUE(has(debug, "mini-batch 1 try 2: 1 items sent to")) << debug;
}

}  // namespace
}  // namespace prs::test
