// v2's parallel components, jobs and pipelines.
#include <gtest/gtest.h>

#include "builder_support.hpp"

namespace prs::config {
namespace {

constexpr const char* kSchema = "https://azuremlschemas.azureedge.net/latest/x.schema.json";

std::string job(const std::string& more) {
  return "$schema: " + std::string(kSchema) + R"(
type: parallel
inputs:
  images: {type: uri_folder, path: ./images, mode: ro_mount}
input_data: ${{inputs.images}}
outputs:
  rows: {type: uri_file, path: ./res/rows.txt}
)" + more;
}

constexpr const char* kTask =
    "task: {type: run_function, model: model.onnx, append_row_to: '${{outputs.rows}}'}\n";

TEST_F(StepTest, V2_AJobWithEverything) {
  const Step step = read("$schema: " + std::string(kSchema) + R"(
type: parallel
name: batch_score
version: 1
display_name: Batch score
description: d
tags: {a: b}
is_deterministic: false
inputs:
  images:
    type: uri_folder
    path: ./images
    mode: ro_mount
  labels:
    type: uri_file
    path: ./side.csv
  threshold: 0.5
outputs:
  rows:
    type: uri_file
    path: ./res/rows.txt
input_data: ${{inputs.images}}
mini_batch_size: "10"
resources:
  instance_count: 1
max_concurrency_per_instance: 2
logging_level: DEBUG
mini_batch_error_threshold: 5
error_threshold: 7
retry_settings:
  max_retries: 4
  timeout: 50
environment_variables:
  A: b
task:
  type: run_function
  code: ./src
  entry_script: score.so
  environment: azureml:env:1
  program_arguments: >-
    --labels ${{inputs.labels}}
    --limit ${{inputs.threshold}}
    --allowed_failed_percent 30
    --task_overhead_timeout 1200
    --progress_update_timeout 600
    --first_task_creation_timeout 600
    --copy_logs_to_parent True
    --resource_monitor_interval 20
  append_row_to: ${{outputs.rows}}
)");
  EXPECT_EQ(step.name, "batch-score");
  EXPECT_TRUE(has_note(step, "name 'batch_score' becomes 'batch-score'"));
  EXPECT_FALSE(step.allow_reuse);
  EXPECT_EQ(step.inputs, std::vector<std::string>{folder() / "images"});
  EXPECT_EQ(step.side_inputs.size(), 1U);
  EXPECT_EQ(step.side_inputs.at("labels"), folder() / "side.csv");
  EXPECT_EQ(step.output, folder() / "res");
  EXPECT_EQ(step.append_row_file_name, "rows.txt");
  EXPECT_EQ(step.output_action, OutputAction::kAppendRow);
  EXPECT_EQ(step.mini_batch_size.value, 10);
  EXPECT_EQ(step.process_count_per_node, 2);
  EXPECT_EQ(step.logging_level, LoggingLevel::kDebug);
  EXPECT_EQ(step.allowed_failed_count, 5);
  EXPECT_EQ(step.error_threshold, 7);
  EXPECT_EQ(step.run_max_try, 5);
  EXPECT_EQ(step.run_invocation_timeout, Seconds(50));
  EXPECT_EQ(step.environment_variables.at("A"), "b");
  EXPECT_EQ(step.entry.kind, EntrySpec::Kind::kPlugin);
  EXPECT_EQ(step.entry.path, folder() / "src/score.so");
  EXPECT_EQ(step.entry.arguments,
            (std::vector<std::string>{"--labels", folder() / "side.csv", "--limit", "0.5"}));
  EXPECT_EQ(step.allowed_failed_percent, 30);
  EXPECT_EQ(step.task_overhead_timeout, Seconds(1200));
  EXPECT_EQ(step.resource_monitor_interval_s, 20);
  for (const char* key : {"$schema", "version", "display_name", "description", "tags",
                          "task.environment", "--copy_logs_to_parent"}) {
    EXPECT_TRUE(has_note(step, std::string(key) + " means nothing here")) << key;
  }
}

TEST_F(StepTest, D4_V2DefaultsToOneFile) {
  const Step step = read(job(kTask));
  EXPECT_EQ(step.mini_batch_size.value, 1);
  EXPECT_EQ(origin(step, "mini_batch_size").origin, "default (v2)");
  EXPECT_FALSE(has_note(step, "error_threshold"));
  StepBuilder builder;
  builder.read_file(write("step.yml", job(kTask)));
  builder.set("mini_batch_size", "20", "--set");
  EXPECT_EQ(builder.build().mini_batch_size.value, 20);
}

TEST_F(StepTest, C_V2WithoutAppendRowToIsSummaryOnly) {
  Step step = read(job("task: {model: model.onnx}\n"));
  EXPECT_EQ(step.output_action, OutputAction::kSummaryOnly);
  EXPECT_EQ(step.output, folder() / "res");
  step = read(job("task: {model: model.onnx}\noutput_action: append_row\noutput: o\n"));
  EXPECT_EQ(step.output_action, OutputAction::kAppendRow);
  EXPECT_EQ(step.output, folder() / "o");
  step = read(job("task: {model: model.onnx}\nappend_row_file_name: x.txt\n"));
  EXPECT_EQ(step.output_action, OutputAction::kAppendRow);
}

TEST_F(StepTest, V2_AnOutputFolderOrNoPath) {
  const std::string head =
      "type: parallel\ninput_data: images\ntask: {model: model.onnx, append_row_to: "
      "'${{outputs.o}}', program_arguments: '-x ${{outputs.o}}'}\n";
  Step step = read(head + "outputs: {o: {type: uri_folder, path: res}}\n");
  EXPECT_EQ(step.output, folder() / "res");
  EXPECT_EQ(step.append_row_file_name, "parallel_run_step.txt");
  const std::string without = head + "outputs: {o: {type: uri_file, mode: rw_mount}}\n";
  test::expect_error(ErrorCode::kInvalidArgument, "output: missing", [&] { read(without); });
  StepBuilder builder;
  builder.read_file(write("step.yml", without));
  builder.set("output", "/o", "--output");
  step = builder.build();
  EXPECT_EQ(step.output, "/o");
  EXPECT_EQ(step.output_action, OutputAction::kAppendRow);
  EXPECT_EQ(step.entry.arguments[1], "/o/o");
  test::expect_error(ErrorCode::kInvalidArgument, "outputs.o is not declared; declared: p",
                     [&] { read(head + "outputs: {p: {path: res}}\n"); });
}

TEST_F(StepTest, V2_APythonTaskHasItsModelBesideIt) {
  write("script/iris.py", "def run(mini_batch): return mini_batch\n");
  const Step step = read(job("task: {code: ./script, entry_script: iris.py, model: model.onnx}\n"));
  EXPECT_EQ(step.entry.kind, EntrySpec::Kind::kScript);
  EXPECT_EQ(step.entry.path, folder() / "script/iris.py");
  EXPECT_EQ(step.entry.source_directory, folder() / "script");
  EXPECT_EQ(step.entry.model, folder() / "model.onnx");
  test::expect_error(ErrorCode::kInvalidArgument, "nowhere.onnx' does not exist", [&] {
    read(job("task: {code: ./script, entry_script: iris.py, model: nowhere.onnx}\n"));
  });
}

TEST_F(StepTest, V2_AnMltableIsATable_AndPartitionKeysWinOverASize) {
  const Step step = read(
      "type: parallel\ninputs: {t: {type: mltable, path: ./t}}\ninput_data: ${{inputs.t}}\n"
      "output: o\ntask: {model: model.onnx}\nmini_batch_size: 1KB\npartition_keys: [a]\n");
  EXPECT_EQ(step.input_kind, InputKind::kTabular);
  EXPECT_EQ(step.partition_keys, std::vector<std::string>{"a"});
  EXPECT_NE(step.notes.back().find("partition_keys decides"), std::string::npos);
}

TEST_F(StepTest, V2_InputDataIsNeededAmongSeveralInputs) {
  const std::string head = "type: parallel\noutput: o\ntask: {model: model.onnx}\n";
  const Step step =
      read(head + "inputs: {a: {path: images}, n: 3, s: {type: string, default: x}}\n");
  EXPECT_EQ(step.inputs, std::vector<std::string>{folder() / "images"});
  const auto expect = [&](const std::string& more, const std::string& text) {
    test::expect_error(ErrorCode::kInvalidArgument, text, [&] { read(head + more); });
  };
  expect("inputs: {a: {path: images}, b: {path: images}}\n",
         "input_data: missing; which of the inputs: a, b");
  expect("inputs: {a: {path: images}}\ninput_data: ${{inputs.b}}\n",
         ":5: input_data: inputs.b is not declared; declared: a");
  expect("inputs: {a: {path: images, pth: x}}\n", "unknown key 'pth' of inputs.a");
  expect("inputs: {a: [x]}\n", "inputs.a: expected a mapping or a single value, found a list");
  expect("inputs: {a: {path: 'azureml:d:1'}}\n", "must be local files");
  expect("inputs: {a: {type: uri_folder}}\n",
         "inputs.a has no path; give one with --set inputs.a=PATH");
}

TEST_F(StepTest, C2_InputsOfAComponentAreSetByName) {
  StepBuilder builder;
  builder.read_file(write(
      "step.yml",
      "type: parallel\noutput: o\ninputs:\n  data: {type: uri_folder}\n  side: {type: uri_file}\n"
      "  maybe: {type: uri_file, optional: true}\n  k: {type: integer, default: 3}\n  raw:\n"
      "input_data: ${{inputs.data}}\n"
      "task: {model: model.onnx, program_arguments: '-k ${{inputs.k}}'}\n"));
  test::expect_error(ErrorCode::kInvalidArgument, "inputs.side: has no path",
                     [&] { builder.build(); });
  builder.set("inputs.data", "rel", "--set");
  builder.set("inputs.side.path", (folder() / "side.csv").string(), "--set");
  builder.set("inputs.k", "4", "--set");
  const Step step = builder.build();
  EXPECT_EQ(step.inputs, std::vector<std::string>{std::filesystem::current_path() / "rel"});
  EXPECT_EQ(step.side_inputs.at("side"), folder() / "side.csv");
  EXPECT_EQ(step.side_inputs.count("maybe"), 0U);
  EXPECT_EQ(step.entry.arguments[1], "4");
  builder.set("inputs.nope", "x", "--set");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "--set: inputs.nope: the step file declares no such input; declared: data",
                     [&] { builder.build(); });
}

TEST_F(StepTest, V2_WordsAreChecked) {
  test::expect_error(ErrorCode::kInvalidArgument, ":1: type: 'command' is not allowed",
                     [&] { read("type: command\n"); });
  test::expect_error(ErrorCode::kInvalidArgument, "task.type: 'magic' is not allowed",
                     [&] { read(job("task: {type: magic, model: model.onnx}\n")); });
  test::expect_error(ErrorCode::kInvalidArgument,
                     "unknown key 'task.modle'; did you mean 'task.mod",
                     [&] { read(job("task: {modle: model.onnx}\n")); });
}

std::string pipeline(const std::string& jobs) {
  return R"(type: pipeline
display_name: p
experiment_name: e
compute: azureml:gpu
settings: {default_compute: azureml:cpu}
inputs:
  photos: {type: uri_folder, path: ./images}
  labels: {type: uri_file, path: side.csv}
  size: 4
outputs:
  result: {type: uri_file, path: res/rows.txt}
jobs:
)" + jobs;
}

constexpr const char* kPrepare = R"(  prepare:
    type: command
    command: echo
    nonsense: 1
)";

std::string parallel_job(const std::string& name) {
  return "  " + name + R"(:
    type: parallel
    compute: azureml:gpu
    inputs:
      images: ${{parent.inputs.photos}}
      labels: {path: '${{parent.inputs.labels}}'}
      n: ${{parent.inputs.size}}
    outputs:
      rows: ${{parent.outputs.result}}
    input_data: ${{inputs.images}}
    mini_batch_size: ${{inputs.n}}
    task:
      type: function
      model: model.onnx
      program_arguments: --labels ${{inputs.labels}} --n ${{inputs.n}} --q ${{parent.inputs.photos}}
      append_row_to: ${{outputs.rows}}
)";
}

TEST_F(StepTest, V2_APipelinesOnlyParallelJobIsTheStep) {
  const Step step = read(pipeline(kPrepare + parallel_job("score")), "pipeline.yml");
  EXPECT_EQ(step.name, "pipeline");
  EXPECT_EQ(step.inputs, std::vector<std::string>{folder() / "images"});
  EXPECT_EQ(step.side_inputs.at("labels"), folder() / "side.csv");
  EXPECT_EQ(step.mini_batch_size.value, 4);
  EXPECT_EQ(step.output, folder() / "res");
  EXPECT_EQ(step.append_row_file_name, "rows.txt");
  EXPECT_EQ(step.entry.arguments,
            (std::vector<std::string>{"--labels", folder() / "side.csv", "--n", "4", "--q",
                                      folder() / "images"}));
  EXPECT_TRUE(has_note(step, "job 'prepare' is not run"));
  EXPECT_TRUE(has_note(step, "settings means nothing here"));
  EXPECT_TRUE(has_note(step, "compute means nothing here"));
}

TEST_F(StepTest, V2_SeveralParallelJobsNeedAChoice) {
  const std::string text = pipeline(parallel_job("one") + parallel_job("two"));
  test::expect_error(ErrorCode::kInvalidArgument,
                     "jobs: several are of type parallel: one, two; choose one with --set job=NAME",
                     [&] { read(text); });
  StepBuilder builder;
  builder.read_file(write("p.yml", text));
  builder.set("job", "two", "--set");
  EXPECT_TRUE(has_note(builder.build(), "job 'one' is not run"));
  builder.set("job", "three", "--set");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "job: 'three' is no job of type parallel; allowed: one, two",
                     [&] { builder.build(); });
  StepBuilder flat;
  flat.read_file(write("step.yml", kNeeded));
  flat.set("job", "x", "--set");
  test::expect_error(ErrorCode::kInvalidArgument, "no jobs to choose from", [&] { flat.build(); });
}

TEST_F(StepTest, V2_APipelineWithoutParallelJobIsRefused) {
  test::expect_error(ErrorCode::kInvalidArgument, "jobs: none is of type parallel",
                     [&] { read(pipeline(kPrepare)); });
  test::expect_error(ErrorCode::kInvalidArgument, "jobs: missing",
                     [&] { read("type: pipeline\n"); });
  test::expect_error(ErrorCode::kInvalidArgument, "belongs into a job of type parallel",
                     [&] { read("run_max_try: 3\n" + pipeline(parallel_job("a"))); });
  test::expect_error(ErrorCode::kInvalidArgument, "unknown key 'inptus'; did you mean 'inputs'",
                     [&] { read("inptus: 3\n" + pipeline(parallel_job("a"))); });
}

TEST_F(StepTest, V2_ResultsOfOtherJobsMustBeGiven) {
  std::string text = pipeline(parallel_job("a"));
  const std::string reference = "images: ${{parent.inputs.photos}}";
  text.replace(text.find(reference), reference.size(),
               "images: {path: '${{parent.jobs.prepare.outputs.x}}'}");
  StepBuilder builder;
  builder.read_file(write("p.yml", text));
  test::expect_error(ErrorCode::kInvalidArgument, "comes from another job, which is not run here",
                     [&] { builder.build(); });
  builder.set("inputs.images", "/elsewhere", "--set");
  EXPECT_EQ(builder.build().inputs, std::vector<std::string>{"/elsewhere"});
}

TEST_F(StepTest, C2_AnInputOfThePipelineIsSetByName) {
  StepBuilder builder;
  builder.read_file(write("p.yml", pipeline(parallel_job("a"))));
  builder.set("inputs.photos.path", "/others", "--set");
  builder.set("inputs.size", "9", "--set");
  const Step step = builder.build();
  EXPECT_EQ(step.inputs, std::vector<std::string>{"/others"});
  EXPECT_EQ(step.mini_batch_size.value, 9);
}

TEST_F(StepTest, V2_BatchDeploymentsAndForeignComponentsAreRefused) {
  test::expect_error(ErrorCode::kInvalidArgument, "a batch deployment is not supported",
                     [&] { read("endpoint_name: x\n"); });
  test::expect_error(ErrorCode::kInvalidArgument, "component: a component of its own file",
                     [&] { read("type: parallel\ncomponent: ./c.yml\n"); });
}

}  // namespace
}  // namespace prs::config
