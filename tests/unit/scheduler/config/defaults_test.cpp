// Defaults, the table of effective settings, and the example.
#include <gtest/gtest.h>

#include <sstream>

#include "builder_support.hpp"

namespace prs::config {
namespace {

TEST_F(StepTest, C_DefaultsAreThoseOfTheTable) {
  const Step step = minimal().build();
  EXPECT_EQ(step.name, "step");
  EXPECT_EQ(step.mini_batch_size, (MiniBatchSize{MiniBatchSize::Unit::kItems, 10, false}));  // D4
  EXPECT_EQ(step.error_threshold, -1);
  EXPECT_EQ(step.allowed_failed_count, -1);
  EXPECT_EQ(step.allowed_failed_percent, 100);
  EXPECT_EQ(step.output_action, OutputAction::kAppendRow);
  EXPECT_EQ(step.append_row_file_name, "parallel_run_step.txt");
  EXPECT_EQ(step.node_count, 1);
  EXPECT_EQ(step.process_count_per_node, 0);
  EXPECT_EQ(step.run_invocation_timeout, Seconds(60));
  EXPECT_EQ(step.task_overhead_timeout, Seconds(30));
  EXPECT_EQ(step.first_task_creation_timeout, Seconds(600));
  EXPECT_EQ(step.run_max_try, 3);
  EXPECT_EQ(step.logging_level, LoggingLevel::kInfo);
  EXPECT_EQ(step.resource_monitor_interval_s, 600);
  EXPECT_TRUE(step.allow_reuse);
  EXPECT_EQ(step.compat, Compat::kOurs);
  EXPECT_TRUE(step.model_options.empty());
  EXPECT_TRUE(step.notes.empty());
}

TEST_F(StepTest, C_ProgressUpdateTimeoutIsComputed) {
  Step step = minimal().build();
  EXPECT_EQ(step.progress_update_timeout, Seconds(600));  // max(600, 3 * (60 + 30) + 60)
  EXPECT_EQ(origin(step, "progress_update_timeout").origin, "computed");
  StepBuilder builder = minimal();
  builder.set("run_max_try", "4", "--set");
  builder.set("run_invocation_timeout", "1000", "--set");
  builder.set("task_overhead_timeout", "50", "--set");
  step = builder.build();
  EXPECT_EQ(step.progress_update_timeout, Seconds(4 * 1050 + 60));
  EXPECT_EQ(origin(step, "progress_update_timeout").value, "4260");
  builder.set("progress_update_timeout", "5", "--set");
  EXPECT_EQ(builder.build().progress_update_timeout, Seconds(5));
}

TEST_F(StepTest, C_TheNameIsTheFilesMadeValid) {
  const auto name_of = [this](const std::string& file) { return read(kNeeded, file).name; };
  EXPECT_EQ(name_of("step.yml"), "step");
  EXPECT_EQ(name_of("My Step_2!.yaml"), "my-step-2");
  EXPECT_EQ(name_of("1st.yml"), "st-step");
  EXPECT_EQ(name_of("123.yml"), "step");
  EXPECT_EQ(name_of(std::string(31, 'a') + "-bcd.yml"), std::string(31, 'a'));
}

TEST_F(StepTest, C_AV1FileWithoutErrorThresholdIsNoted) {
  EXPECT_TRUE(has_note(read_flat(""), "error_threshold is not set"));
  EXPECT_FALSE(has_note(read_flat("error_threshold: -1\n"), "error_threshold"));
}

TEST_F(StepTest, C3_TheTableShowsValueUnitAndOrigin) {
  StepBuilder builder;
  builder.read_file(write("step.yml", std::string(kNeeded) + "error_threshold: 5\nname: demo\n"));
  builder.set("run_invocation_timeout", "90", "--timeout");
  const Step step = builder.build();
  const std::string file = (folder() / "step.yml").string();
  EXPECT_EQ(origin(step, "error_threshold"),
            (SettingOrigin{"error_threshold", "5", "items", file + ":4"}));
  EXPECT_EQ(origin(step, "run_invocation_timeout"),
            (SettingOrigin{"run_invocation_timeout", "90", "seconds", "--timeout"}));
  EXPECT_EQ(origin(step, "allowed_failed_percent"),
            (SettingOrigin{"allowed_failed_percent", "100", "percent", "default"}));
  EXPECT_EQ(origin(step, "inputs").origin, file + ":2");
  EXPECT_EQ(step.origins[0].key, "name");
  EXPECT_EQ(step.origins[1].key, "model");
  const std::string table = settings_table(step);
  std::istringstream lines(table);
  std::string line;
  std::getline(lines, line);
  const std::size_t value_column = line.find("value");
  const std::size_t unit_column = line.find("unit");
  EXPECT_EQ(line.substr(0, 7), "setting");
  EXPECT_NE(line.find("where from"), std::string::npos);
  std::size_t rows = 0;
  while (std::getline(lines, line)) {
    ++rows;
    EXPECT_NE(line.back(), ' ');
    if (line.starts_with("error_threshold ")) {
      EXPECT_EQ(line.substr(value_column, 2), "5 ");
      EXPECT_EQ(line.substr(unit_column, 6), "items ");
      EXPECT_TRUE(line.ends_with(file + ":4"));
    }
  }
  EXPECT_EQ(rows, step.origins.size());
}

TEST_F(StepTest, C3_ValuesOfEnvironmentVariablesStayOutOfTheTable) {
  const Step step = read_flat("environment_variables: {TOKEN: hunter2}\n");
  EXPECT_EQ(step.environment_variables.at("TOKEN"), "hunter2");
  EXPECT_EQ(settings_table(step).find("hunter2"), std::string::npos);
}

TEST_F(StepTest, C3_LongValuesAreCutInTheTable) {
  Step step;
  step.origins = {{"inputs", std::string(98, 'x') + "\xc3\xa4\xc3\xa4\xc3\xa4", "", "here"}};
  EXPECT_NE(settings_table(step).find(std::string(97, 'x') + "...  "), std::string::npos);
}

TEST_F(StepTest, TheExampleIsAStep) {
  write("models/lenet.onnx", "");
  const Step step = read(example_step(), "example.yml");
  EXPECT_EQ(step.name, "fashion-mnist");
  EXPECT_EQ(step.entry.path, folder() / "models/lenet.onnx");
  EXPECT_EQ(step.inputs, std::vector<std::string>{(folder() / "images").string()});
  EXPECT_TRUE(step.notes.empty());
}

// What it says in comments is right too.
TEST_F(StepTest, TheExamplesCommentedKeysAreKnown) {
  std::istringstream lines(example_step());
  std::string text = "model: model.onnx\n";
  for (std::string line; std::getline(lines, line);) {
    const bool is_setting =
        line.starts_with("# ") && (line.find(": ") != std::string::npos || line.ends_with(":") ||
                                   line.find(":   ") != std::string::npos);
    const std::string setting = is_setting ? line.substr(2) : "";
    const std::size_t key_end = setting.find(':');
    if (key_end == std::string::npos || setting.substr(0, key_end).find(' ', 2) < key_end) {
      continue;
    }
    text += setting + "\n";
  }
  EXPECT_NE(text.find("environment_variables"), std::string::npos);
  EXPECT_NE(text.find("process_count_per_node"), std::string::npos);
  write("models/classes.txt", "");
  write("labels.csv", "");
  const Step step = read(text + "inputs: images\noutput: out\n");
  EXPECT_EQ(step.entry.arguments[1], (folder() / "labels.csv").string());
  EXPECT_EQ(step.process_count_per_node, 2);
}

}  // namespace
}  // namespace prs::config
