// Options among the entry's arguments.
#include <gtest/gtest.h>

#include "builder_support.hpp"

namespace prs::config {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kV2 =
    "type: parallel\ninputs: {data: {type: uri_folder, path: images}}\ninput_data: "
    "${{inputs.data}}\noutputs: {out: {type: uri_folder, path: out}}\n";

TEST_F(StepTest, C_OptionsAreTakenFromArgumentsInBothForms) {
  const Step step = read_flat(
      "arguments: [--task_overhead_timeout, 40, --mine, 1, '--progress_update_timeout=700',\n"
      "  --first_task_creation_timeout=5, --resource_monitor_interval, 0, --profiling_module,\n"
      "  profile, --append_row_dataframe_header, 'True', --append_row_safe_output, 'true',\n"
      "  --allowed_failed_percent, 5, --resume_from, run-7, --verbose]\n");
  EXPECT_EQ(step.task_overhead_timeout, Seconds(40));
  EXPECT_EQ(step.progress_update_timeout, Seconds(700));
  EXPECT_EQ(step.first_task_creation_timeout, Seconds(5));
  EXPECT_EQ(step.resource_monitor_interval_s, 0);
  EXPECT_EQ(step.profiling_module, "profile");
  EXPECT_TRUE(step.append_row_dataframe_header);
  EXPECT_TRUE(step.append_row_safe_output);
  EXPECT_EQ(step.allowed_failed_percent, 5);
  EXPECT_EQ(step.resume_from, "run-7");
  EXPECT_EQ(step.entry.arguments, (Words{"--mine", "1", "--verbose"}));
  EXPECT_EQ(origin(step, "resource_monitor_interval").origin,
            (folder() / "step.yml").string() + ":5");
}

TEST_F(StepTest, C_UnambiguousPrefixesAreAccepted) {
  const Step step = read_flat("arguments: [--task_over, 40, --first=5, --mine, --progress, 8]\n");
  EXPECT_EQ(step.task_overhead_timeout, Seconds(40));
  EXPECT_EQ(step.first_task_creation_timeout, Seconds(5));
  EXPECT_EQ(step.progress_update_timeout, Seconds(8));
  EXPECT_EQ(step.entry.arguments, Words{"--mine"});
  EXPECT_TRUE(has_note(step, "--first is taken as --first_task_creation_timeout"));
}

TEST_F(StepTest, C_AnAmbiguousPrefixIsAnError) {
  expect_refused("arguments: [--append_row, 1]\n",
                 "--append_row may be any of --append_row_dataframe_header, "
                 "--append_row_safe_output; write it out");
}

TEST_F(StepTest, C_BehindALoneDoubleDashEverythingIsTheEntrys) {
  const Step step = read_flat("arguments: [-v, --, --task_overhead_timeout, 40]\n");
  EXPECT_EQ(step.task_overhead_timeout, Seconds(30));
  EXPECT_EQ(step.entry.arguments, (Words{"-v", "--", "--task_overhead_timeout", "40"}));
}

TEST_F(StepTest, C_RangesHoldInArgumentsToo) {
  expect_refused(
      "arguments: [--task_overhead_timeout, 0]\n",
      ":4: --task_overhead_timeout: '0' is not allowed; allowed: a number in (0, 259200]");
  expect_refused("arguments: [--first_task=259201]\n",
                 "--first_task (--first_task_creation_timeout): '259201' is not allowed");
  expect_refused("arguments: [--resource_monitor_interval=-1]\n", "[0, 2147483647]");
  expect_refused("arguments: [--profiling_module, x]\n", "cProfile, profile");
  expect_refused("arguments: [--copy_logs_to_parent, 2]\n", "--copy_logs_to_parent: '2'");
  expect_refused("arguments: [--append_row_safe_output, 2]\n", "true or false");
}

TEST_F(StepTest, C_AnOptionWithoutValueIsAnError) {
  expect_refused("arguments: [--resume_from]\n", ":4: arguments: --resume_from has no value");
  expect_refused("arguments: [--resume_from, --mine]\n", "--resume_from has no value");
  expect_refused("arguments: [--resume_from=]\n", "--resume_from: '' is not allowed");
}

TEST_F(StepTest, C_OptionsForTheCloudAreCheckedAndNoted) {
  const Step step = read_flat(
      "arguments: [--copy_logs_to_parent, 'True', --push_metrics_to_parent, 'False',\n"
      "  --metrics_name_prefix, x]\n");
  EXPECT_TRUE(has_note(step, "--copy_logs_to_parent means nothing here"));
  EXPECT_TRUE(has_note(step, "--push_metrics_to_parent means nothing here"));
  EXPECT_TRUE(has_note(step, "--metrics_name_prefix means nothing here"));
  EXPECT_TRUE(step.entry.arguments.empty());
}

TEST_F(StepTest, C_TheFirstArgumentBeginsWithADash) {
  expect_refused("arguments: [data, --x]\n", ":4: arguments: 'data' is the first argument");
  EXPECT_EQ(read_flat("arguments: [-x, data]\n").entry.arguments, (Words{"-x", "data"}));
}

TEST_F(StepTest, E9_TheReservedNamesAreRefused) {
  for (const std::string name : {"mini_batch_size", "error_threshold", "output_action",
                                 "logging_level", "run_invocation_timeout", "run_max_try",
                                 "append_row_file_name", "output", "process_count_per_node"}) {
    expect_refused("arguments: [--" + name + ", 1]\n", "--" + name + " is reserved");
    expect_refused("arguments: ['--" + name + "=1']\n", "--" + name + " is reserved");
  }
  EXPECT_EQ(read_flat("arguments: [--output_dir, x]\n").entry.arguments,
            (Words{"--output_dir", "x"}));
}

TEST_F(StepTest, C_V2TakesErrorThresholdFromProgramArguments) {
  const Step step =
      read(std::string(kV2) +
           "task: {type: model, model: model.onnx, program_arguments: --error_threshold 5 "
           "--allowed_failed_percent=30 --x 'a b'}\n");
  EXPECT_EQ(step.error_threshold, 5);
  EXPECT_EQ(step.allowed_failed_percent, 30);
  EXPECT_EQ(step.entry.arguments, (Words{"--x", "a b"}));
}

TEST_F(StepTest, C1_AnOptionAndItsKeyMustAgree) {
  expect_refused("task_overhead_timeout: 3\narguments: [--task_overhead_timeout, 4]\n",
                 "differently");
  expect_refused("arguments: [--task_overhead_timeout, 3, --task_over, 4]\n", "differently");
  EXPECT_EQ(read_flat("task_overhead_timeout: 3\narguments: [--task_overhead_timeout, 3.0]\n")
                .task_overhead_timeout,
            Seconds(3));
}

TEST_F(StepTest, C2_ArgumentsOfTheCommandLineReplaceTheFiles) {
  StepBuilder builder;
  builder.read_file(
      write("step.yml", std::string(kNeeded) + "arguments: [--a, --task_overhead_timeout, 4]\n"));
  builder.set("program_arguments", "--b 'c d' --first_task_creation_timeout=9", "--set");
  const Step step = builder.build();
  EXPECT_EQ(step.entry.arguments, (Words{"--b", "c d"}));
  EXPECT_EQ(step.task_overhead_timeout, Seconds(30));
  EXPECT_EQ(origin(step, "first_task_creation_timeout").origin, "--set");
}

TEST_F(StepTest, ArgumentsAreSplitAsAShellWould) {
  const auto split = [this](const std::string& text) {
    return set("arguments", text).entry.arguments;
  };
  EXPECT_EQ(split("-a  b\tc\n d"), (Words{"-a", "b", "c", "d"}));
  EXPECT_EQ(split(R"(-a 'x "y" \z' "p 'q' \" \n" r\ s '')"),
            (Words{"-a", R"(x "y" \z)", R"(p 'q' " \n)", "r s", ""}));
  EXPECT_EQ(split(""), Words{});
  expect_set_refused("arguments", "-a 'b", "a quote (') is never closed");
}

TEST_F(StepTest, ArgumentsMustBeSingleValues) {
  expect_refused("arguments: [-a, [b]]\n", ":4: arguments: expected a single value, found a list");
  expect_refused("arguments: {a: b}\n", ":4: arguments: expected a list or a single value");
  expect_refused("arguments: [-a]\nprogram_arguments: -b\n", "give one of them");
}

TEST_F(StepTest, ReferencesInArgumentsAreResolvedBehindTheSplit) {
  std::filesystem::create_directories(folder() / "a b");
  const Step step = read(std::string(kV2) +
                         "task:\n  model: model.onnx\n  program_arguments: >-\n"
                         "    --images ${{ inputs.data }}\n    --out=${{outputs.out}}/x\n");
  EXPECT_EQ(step.entry.arguments, (Words{"--images", (folder() / "images").string(),
                                         "--out=" + (folder() / "out/x").string()}));
  expect_refused("arguments: [-a, '$[[--b ${{inputs.c}}]]']\n", "$[[...]] is not supported",
                 ErrorCode::kUnsupported);
  expect_refused("arguments: [-a, '${{inputs.c}}']\n", "inputs.c is not declared; declared: none");
  expect_refused("arguments: [-a, '${{inputs.c}']\n", "has ${{ without }}");
  expect_refused("arguments: [-a, '${side_inputs.c']\n", "has ${ without }");
  expect_refused("arguments: [-a, '${side_inputs.c}']\n", "side_inputs.c is not declared");
  expect_refused("arguments: [-a, '${{nonsense}}']\n", "${{nonsense}} means nothing here");
}

}  // namespace
}  // namespace prs::config
