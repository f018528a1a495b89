// prs-gpu run: what a job does with what its items say, rule by rule.

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "job_test.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Run : public JobTest {
 protected:
  /// `prs-gpu run` with a shipped model.
  ProcessResult score(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"run",      "--model",           model_path("lenet.onnx"),
                                          "--output", file("out"),         "--workers",
                                          "2",        "--mini-batch-size", "10",
                                          "--set",    "allow_reuse=false"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return prs_gpu(std::move(arguments));
  }
  void expect_mentions(const std::string& text, const std::string& part) const {
    EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nin: " << text;
  }
};

TEST_F(Run, GivesTheRowsThatScoreGives) {
  const std::string photos_folder = photos("photos", 37);
  const ProcessResult result = score({"--input", photos_folder});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<std::string> expected =
      lines_of(prs_gpu({"score", "--model", model_path("lenet.onnx"), photos_folder}).out);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(rows(), expected);
  EXPECT_EQ(statuses()["RUN_DONE"], 4);
  EXPECT_FALSE(fs::exists(out("parallel_run_step.txt.partial")));
  expect_no_process_left();
}

TEST_F(Run, ComputesInThePrecisionAskedFor) {
  const std::string photos_folder = photos("photos", 37);
  const std::string calibrate = "model_options.calibrate=" + photos_folder;
  for (const std::string precision : {"bf16", "int8"}) {
    SCOPED_TRACE(precision);
    const ProcessResult result = score(
        {"--input", photos_folder, "--precision", precision, "--overwrite", "--set", calibrate});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    std::vector<std::string> expected =
        lines_of(prs_gpu({"score", "--model", model_path("lenet.onnx"), "--precision", precision,
                          "--calibrate", photos_folder, photos_folder})
                     .out);
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(rows(), expected);
    expect_mentions(read_text(out("logs/sys/master_role.txt")), " in " + precision + ",");
  }
}

TEST_F(Run, ProfileTellsWhereTheTimeWent) {
  const ProcessResult result = score({"--input", photos("photos", 60), "--profile"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("Where the time went"), std::string::npos) << result.err;
  const auto trace = nlohmann::json::parse(read_text(out("logs/perf/0/profile.json")));
  // Of each track the spans, by their beginning.
  std::map<std::int64_t, std::vector<std::pair<double, double>>> spans;
  std::set<std::string> stages;
  std::set<std::string> processes;
  std::int64_t main = 0;
  for (const auto& event : trace["traceEvents"]) {
    if (event["name"] == "process_name") processes.insert(event["args"]["name"]);
    if (event["name"] == "thread_name" && event["args"]["name"] == "prs-gpu") main = event["tid"];
    if (event["ph"] != "X") continue;
    stages.insert(event["name"]);
    const double start = event["ts"];
    spans[event["tid"]].emplace_back(start, start + event["dur"].get<double>());
  }
  // So short a job may be over before the second worker is there.
  EXPECT_TRUE(processes.contains("prs-gpu"));
  EXPECT_GE(processes.size(), 2U);
  for (const char* stage : {"start", "list", "dispatch", "read", "decode", "compute", "waiting"}) {
    EXPECT_TRUE(stages.contains(stage)) << stage;
  }
  // Spans of a thread follow one another or lie within one another; rounded to nanoseconds.
  for (auto& [track, of_track] : spans) {
    std::sort(of_track.begin(), of_track.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    std::vector<double> open;
    for (const auto& [start, end] : of_track) {
      while (!open.empty() && open.back() <= start + 0.002) open.pop_back();
      if (!open.empty()) {
        EXPECT_LE(end, open.back() + 0.002) << track;
      }
      open.push_back(end);
    }
  }
  // What the table says of the program itself, all of it on one thread but the listing, is what the
  // job took.
  std::map<std::string, double> own;
  for (const std::string& line : lines_of(read_text(out("logs/perf/0/profile.txt")))) {
    std::istringstream words(line);
    std::string stage;
    double seconds = 0;
    if (words >> stage >> seconds) own[stage] = seconds;
  }
  const auto& of_program = spans[main];
  double last = 0;
  for (const auto& span : of_program) last = std::max(last, span.second);
  const double wall_s = (last - of_program.front().first) / 1e6;
  EXPECT_LE(own["total"] - own["list"], wall_s + 0.01);
  EXPECT_GE(own["total"] - own["list"], 0.5 * wall_s);
}

TEST_F(Run, D1_RecordsOfAnIdxFileAreItems) {
  write_idx_images(file("digits.idx"), 25);
  const ProcessResult result = score({"--input", file("digits.idx"), "--ordered"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(statuses()["RUN_DONE"], 3);
  const std::vector<std::string> lines = lines_of(read_text(out("parallel_run_step.txt")));
  ASSERT_EQ(lines.size(), 25U);
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(lines[static_cast<std::size_t>(i)].rfind(fmt::format("digits.idx#{}: ", i), 0), 0U);
  }
}

TEST_F(Run, D3_APluginGetsTheRowsOfATable) {
  const ProcessResult result = prs_gpu(
      {"run", "--plugin", PRS_ROW_SUMS_PLUGIN, "--input", PRS_EXAMPLES "/plugin/measurements.csv",
       "--output", file("out"), "--ordered", "--mini-batch-size", "rows:3", "--workers", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_text(out("parallel_run_step.txt")), "0: 42\n1: 21.5\n2: 27.25\n3: 46\n");
  EXPECT_EQ(statuses()["RUN_DONE"], 2);
}

TEST_F(Run, D9_APluginGetsTheNumberOfItsMiniBatch) {
  const ProcessResult result =
      run({"--input", file("nowhere"), "--set", "error_threshold=0"}, "--rank_mini_batch_count 5");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"rank 0", "rank 1", "rank 2", "rank 3", "rank 4"}));
  EXPECT_EQ(statuses()["RUN_DONE"], 5);
}

TEST_F(Run, D3_RowsOfATableAreItems) {
  // 28 x 28 columns of the model's own input, none of them an image.
  std::string header = "name";
  std::string dark = "dark";
  for (int i = 0; i < 28 * 28; ++i) {
    header += fmt::format(",p{}", i);
    dark += ",0";
  }
  std::string text = header + "\n";
  for (int row = 0; row < 25; ++row) text += dark + "\n";
  write_text(file("pixels.csv"), text);
  const ProcessResult result =
      score({"--input", file("pixels.csv"), "--ordered", "--mini-batch-size", "rows:10"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(statuses()["RUN_DONE"], 3);
  const std::vector<std::string> lines = lines_of(read_text(out("parallel_run_step.txt")));
  ASSERT_EQ(lines.size(), 25U);
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(lines[static_cast<std::size_t>(i)].rfind(fmt::format("pixels.csv#{}: ", i), 0), 0U);
  }
}

TEST_F(Run, D10_ACorruptImageFailsAloneAndIsNamed) {
  const std::string folder = photos("photos", 20);
  write_text(folder + "/7.png", "no image");
  const ProcessResult result = score({"--input", folder});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows().size(), 19U);
  expect_mentions(result.err, "7.png");
  expect_mentions(read_text(out("logs/user/error.txt")), "7.png");
}

TEST_F(Run, D10_AnEmptyInputCompletesWithAnEmptyOutput) {
  fs::create_directories(dir() / "empty");
  const ProcessResult result = score({"--input", file("empty")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_mentions(result.err, "the input is empty");
  EXPECT_EQ(read_text(out("parallel_run_step.txt")), "");
  EXPECT_NE(prs_gpu({"run", "--model", model_path("lenet.onnx"), "--input", file("nowhere"),
                     "--output", file("out2")})
                .exit_code,
            0);
}

TEST_F(Run, E6_MissingRowsAreFailedItemsAndSurplusRowsAreKept) {
  items({"ok", "skip", "twice", "ok"});
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"000.txt", "002.txt", "002.txt", "003.txt"}));
  expect_mentions(result.err, "strict_return_length");
  expect_mentions(read_text(out("logs/job_result.txt")), "1 failed");
}

TEST_F(Run, W3_W5_W9_W10_U3_EveryFailureIsRetriedAndEveryRowIsThereOnce) {
  items({"ok", "crash-once", "exit-once", "kill-once", "fail-once", "ok", "ok", "ok"});
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(8));
  EXPECT_EQ(statuses()["RUN_CRASHED"], 3);
  EXPECT_EQ(statuses()["RUN_EXCEPTION"], 1);
  EXPECT_EQ(statuses()["RUN_DONE"], 8);
  const std::string report = read_text(out("logs/sys/job_report/processed_mini-batches.csv"));
  expect_mentions(report, "signal 11 (Segmentation fault");
  expect_mentions(report, "exit code 7");
  expect_mentions(report, "signal 9 (Killed)");
  expect_no_process_left();
}

TEST_F(Run, W5_OutOfTriesTheMiniBatchIsFailed) {
  items({"ok", "fail", "ok"});
  const ProcessResult result = run({"--max-try", "2"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"000.txt", "002.txt"}));
  EXPECT_EQ(statuses()["RUN_EXCEPTION"], 2);
  expect_mentions(result.err, "the item says fail");
}

#ifndef PRS_SANITIZED
// Sanitizers reserve more address space than any limit leaves.
TEST_F(Run, W3_AWorkerOutOfMemoryIsReplaced) {
  items({"ok", "memory-once", "ok"});
  const ProcessResult result = run({"--set", "worker_memory_limit=512MB"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(3));
}
#endif

TEST_F(Run, W4_AHangingRunIsCutAndItsStackIsInTheLog) {
  items({"ok", "hang-once", "ok"});
  const ProcessResult result = run({"--timeout", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(3));
  EXPECT_EQ(statuses()["RUN_TIMEOUT"], 1);
  for (const std::vector<std::string>& cut :
       csv_rows(out("logs/sys/job_report/processed_mini-batches.csv"))) {
    if (cut.at(10) != "RUN_TIMEOUT") continue;
    EXPECT_GE(std::stod(cut.at(7)), 3) << "seconds";
  }
  std::string stacks;
  for (const auto& entry : fs::directory_iterator(out("logs/sys/node/0"))) {
    if (entry.path().string().ends_with(".stderr.txt")) stacks += read_text(entry.path());
  }
  expect_mentions(stacks, "stack of the worker's main thread");
  expect_mentions(read_text(out("logs/sys/master_role.txt")), "past half of its time");
}

TEST_F(Run, W1_WhatWaitsBehindAHangingMiniBatchRunsElsewhereAndOnce) {
  std::vector<std::string> verbs(200, "ok");
  verbs[100] = "hang-once";
  items(verbs);
  CallReader calls(file("calls"));
  const ProcessResult result = run({"--timeout", "3", "--max-try", "2"}, "--log " + file("calls"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows(), rows_of(200));
  EXPECT_EQ(statuses(), (std::map<std::string, int>{{"RUN_DONE", 200}, {"RUN_TIMEOUT", 1}}));
  std::map<std::string, int> runs;
  for (const PluginCall& call : calls.drain()) runs[call.item] += call.function == "run" ? 1 : 0;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(runs[file(fmt::format("items/{:03}.txt", i))], i == 100 ? 2 : 1) << i;
  }
}

TEST_F(Run, W3_ACrashUsesUpNoTryOfWhatTheWorkerHadNotBegun) {
  std::vector<std::string> verbs(200, "ok");
  for (const std::size_t i : {50U, 100U, 150U}) verbs[i] = "kill";
  items(verbs);
  const ProcessResult result = run({"--max-try", "1"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(rows().size(), 197U);
  EXPECT_EQ(statuses(), (std::map<std::string, int>{{"RUN_DONE", 197}, {"RUN_CRASHED", 3}}));
}

TEST_F(Run, W6_InitThatNeverSucceedsFailsTheJobAndSaysWhy) {
  items({"ok", "ok", "ok"});
  const ProcessResult result = run({}, "--init fail");
  EXPECT_EQ(result.exit_code, 5) << result.err;
  expect_mentions(result.err, "init failed");
  expect_mentions(result.err, "the item says fail");
  expect_no_process_left();
}

TEST_F(Run, W6_OneFailedInitIsNoHarm) {
  items({"ok", "ok", "ok"});
  EXPECT_EQ(run({}, "--init crash-once").exit_code, 0);
  EXPECT_EQ(rows(), rows_of(3));
}

TEST_F(Run, T1_ALimitAbortsAndResumeGoesOn) {
  items({"ok", "skip", "skip", "ok", "ok", "ok"});
  const ProcessResult failed = run({"--workers", "1", "--error-threshold", "1"});
  EXPECT_EQ(failed.exit_code, 4) << failed.err;
  expect_mentions(failed.err, "2 failed items exceed error_threshold 1");
  expect_mentions(failed.err, "prs-gpu resume");
  EXPECT_FALSE(fs::exists(out("parallel_run_step.txt")));
  EXPECT_EQ(read_text(out("parallel_run_step.txt.partial")), "000.txt\n");

  const ProcessResult resumed = resume({"--set", "error_threshold=-1"});
  EXPECT_EQ(resumed.exit_code, 3) << resumed.err;
  EXPECT_EQ(rows(), (std::vector<std::string>{"000.txt", "003.txt", "004.txt", "005.txt"}));
}

TEST_F(Run, T5_NoSucceededItemFailsAppendRowOnly) {
  items({"skip", "skip"});
  EXPECT_EQ(run().exit_code, 4);
  EXPECT_EQ(run({"--overwrite", "--output-action", "summary_only"}).exit_code, 3);
}

TEST_F(Run, G2_G3_G7_U8_WorkersGetTheirGpusAndTheRestGetNone) {
  ::setenv("AZ_BATCHAI_GPU_COUNT_FOUND", "2", 1);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  items({"hang", "hang", "hang", "hang"});
  CallReader calls(file("calls"));
  Process job(command({"--workers", "4"}, "--log " + file("calls")));
  ::unsetenv("AZ_BATCHAI_GPU_COUNT_FOUND");
  // What the entries see, before they do anything else (G7).
  std::map<std::string, std::string> gpus;
  while (gpus.size() < 4) {
    const PluginCall call = calls.wait_for("init", "");
    ASSERT_NE(call.pid, 0);
    gpus[call.item] = call.gpus;
  }
  job.send(SIGINT);
  job.send(SIGTERM);
  job.wait();
  EXPECT_EQ(gpus["process000"], "0");
  EXPECT_EQ(gpus["process001"], "1");
  EXPECT_EQ(gpus["process002"], "");
  EXPECT_EQ(gpus["process003"], "");
}

TEST_F(Run, G8_TheJobGoesOnWithoutAGpuOnWhichWorkersKeepDying) {
  ::setenv("AZ_BATCHAI_GPU_COUNT_FOUND", "2", 1);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  items(std::vector<std::string>(20, "ok"));
  fs::create_directories(file("marks"));
  for (const char* name : {"marks/alive", "marks/dead"}) {
    ASSERT_EQ(::mkfifo(file(name).c_str(), 0600), 0);
  }
  // What lies in a FIFO lasts as long as somebody has it open.
  const std::ofstream alive(file("marks/alive"), std::ios::in | std::ios::out);
  const std::ofstream dead(file("marks/dead"), std::ios::in | std::ios::out);
  const ProcessResult result = run({"--workers", "2"}, "--bad-gpu 1");
  ::unsetenv("AZ_BATCHAI_GPU_COUNT_FOUND");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows().size(), 20U);
  expect_mentions(result.err, "GPU 1: 3 workers in a row died on it");
}

TEST_F(Run, G6_AnOuterListIsHandedOnVerbatim) {
  ::setenv("AZ_BATCHAI_GPU_COUNT_FOUND", "8", 1);
  ::setenv("CUDA_VISIBLE_DEVICES", "5,3,-1,1", 1);
  items({"ok", "ok", "ok"});
  const ProcessResult plan = run({"--workers", "3", "--dry-run", "--format", "json"});
  ::unsetenv("AZ_BATCHAI_GPU_COUNT_FOUND");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const Json json = Json::parse(plan.out);
  EXPECT_EQ(json["mini_batches"], 3);
  EXPECT_EQ(json["workers"][0]["cuda_visible_devices"], "5");
  EXPECT_EQ(json["workers"][1]["cuda_visible_devices"], "3");
  EXPECT_EQ(json["workers"][2]["cuda_visible_devices"], "");
  EXPECT_EQ(json["settings"]["run_max_try"]["value"], "3");
}

TEST_F(Run, O5_AnEarlierResultIsNotOverwrittenUnasked) {
  items({"ok"});
  EXPECT_EQ(run().exit_code, 0);
  const ProcessResult again = run();
  EXPECT_NE(again.exit_code, 0);
  expect_mentions(again.err, "--overwrite");
  EXPECT_EQ(rows(), rows_of(1));
  items({"ok", "ok"});
  EXPECT_EQ(run({"--overwrite"}).exit_code, 0);
  EXPECT_EQ(rows(), rows_of(2));
}

TEST_F(Run, R1_TheSameStepIsNotRunTwice) {
  const std::string folder = photos("photos", 5);
  const auto step = [&](const std::string& output) {
    return prs_gpu({"run", "--model", model_path("lenet.onnx"), "--input", folder, "--output",
                    file(output), "--workers", "1"});
  };
  EXPECT_EQ(step("first").exit_code, 0);
  const ProcessResult second = step("second");
  EXPECT_EQ(second.exit_code, 0);
  expect_mentions(second.err, "nothing is run");
  EXPECT_EQ(read_text(file("second/parallel_run_step.txt")),
            read_text(file("first/parallel_run_step.txt")));
  write_png(folder + "/9.png", 9);
  EXPECT_EQ(step("third").err.find("nothing is run"), std::string::npos);
}

TEST_F(Run, StatusRunsAndLogsAnswer) {
  items({"ok", "skip"});
  EXPECT_EQ(run().exit_code, 3);
  const Json status = Json::parse(prs_gpu({"status", file("out"), "--format", "json"}).out);
  EXPECT_EQ(status["status"], "completed");
  expect_mentions(prs_gpu({"runs"}).out, file("out"));
  expect_mentions(prs_gpu({"logs", file("out"), "--errors"}).out, "the item says skip");
  EXPECT_NE(prs_gpu({"status", file("nowhere")}).exit_code, 0);
}

TEST_F(Run, E10_WorkersFindTheVariablesThatScriptsRelyOn) {
  items({"hang"});
  CallReader calls(file("calls"));
  Process job(command({"--set", "environment_variables.MINE=a b"}, "--log " + file("calls")));
  const PluginCall call = calls.wait_for("run", "000.txt");
  const std::string variables = '\0' + read_text(fmt::format("/proc/{}/environ", call.pid));
  for (const std::string& variable :
       {"AZUREML_BI_OUTPUT_PATH=" + file("out"), std::string("AZUREML_RUN_ID=step-"),
        std::string("AZ_BATCHAI_GPU_COUNT_FOUND="), std::string("CUDA_VISIBLE_DEVICES="),
        std::string("MINE=a b") + '\0'}) {
    EXPECT_NE(variables.find('\0' + variable), std::string::npos) << variable;
  }
  job.send(SIGINT);
  job.send(SIGTERM);
  job.wait();
}

TEST_F(Run, C3_U6_U7_U15_TheLimitsAreShownAtTheStartWithUnitAndOrigin) {
  items({"ok", "ok", "ok"});
  const ProcessResult plan = run({"--dry-run"});
  expect_mentions(plan.out, "3 mini-batches, 3 items (1 to 1 items each)");
  const ProcessResult result = run({"--timeout", "7", "--set", "run_max_try=2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const std::string& text : {plan.out, result.err}) {
    expect_mentions(text, "setting ");
    expect_mentions(text, "mini_batch_size ");
    expect_mentions(text, "items         --mini-batch-size");
    expect_mentions(text, "allowed_failed_percent");
  }
  const std::vector<std::string> lines = lines_of(result.err);
  const auto has_row = [&](const std::string& key, const std::string& rest) {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      std::string words;
      std::istringstream stream(line);
      for (std::string word; stream >> word;) words += (words.empty() ? "" : " ") + word;
      return words == key + " " + rest;
    });
  };
  EXPECT_TRUE(has_row("run_invocation_timeout", "7 seconds --timeout")) << result.err;
  EXPECT_TRUE(has_row("task_overhead_timeout", "30 seconds default")) << result.err;
  EXPECT_TRUE(has_row("progress_update_timeout", "600 seconds computed")) << result.err;
  EXPECT_TRUE(has_row("run_max_try", "2 tries --set")) << result.err;
  EXPECT_TRUE(has_row("error_threshold", "-1 items default")) << result.err;
  EXPECT_EQ(run({"--overwrite", "--quiet"}).err.find("where from"), std::string::npos);
}

TEST_F(Run, J2_U1_TheLastLinesNameTheRootCauseAndTheNextStep) {
  items({"ok", "fail"});
  const ProcessResult result = run({"--max-try", "1", "--allowed-failed-count", "0"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  const std::string last = result.err.substr(result.err.find("Status: "));
  expect_mentions(last, "allowed_failed_count");
  expect_mentions(last, "RUN_EXCEPTION of mini-batch 1 on process00");
  expect_mentions(last, "the item says fail");
  expect_mentions(last, out("logs/user/error/0/process00"));
  expect_mentions(last, "prs-gpu resume " + file("out"));
  EXPECT_EQ(read_text(out("logs/job_result.txt")), last);
}

TEST_F(Run, S1_ASideInputThatIsMissingIsAnErrorBeforeTheStart) {
  items({"ok"});
  const ProcessResult result = run({"--set", "side_inputs.names=" + file("nowhere.csv")});
  EXPECT_EQ(result.exit_code, 2);
  expect_mentions(result.err, file("nowhere.csv"));
  EXPECT_FALSE(fs::exists(out("")));
}

TEST_F(Run, J1_TellsWhatIsWrongBeforeAnythingStarts) {
  items({"ok"});
  const ProcessResult limit = run({"--set", "error_threshold=-2", "--set", "run_max_try=0"});
  EXPECT_EQ(limit.exit_code, 2);
  expect_mentions(limit.err, "error_threshold");
  expect_mentions(limit.err, "run_max_try");
  EXPECT_FALSE(fs::exists(out("")));
  write_text(file("broken.onnx"), "no model");
  const ProcessResult model = prs_gpu(
      {"run", "--model", file("broken.onnx"), "--input", file("items"), "--output", file("out")});
  EXPECT_EQ(model.exit_code, 2);
  expect_mentions(model.err, "broken.onnx");
}

TEST_F(Run, AnOutputThatCannotBeWrittenIsAnErrorNamingIt) {
  items({"ok"});
  write_text(file("out"), "a file");
  const ProcessResult result = run();
  EXPECT_EQ(result.exit_code, 2);
  expect_mentions(result.err, file("out"));
}

}  // namespace
}  // namespace prs::test
