// A step's way through the journal.
#include <gtest/gtest.h>

#include <limits>

#include "builder_support.hpp"

namespace prs::config {
namespace {

/// Every field differs from its default.
Step strange_step() {
  Step step;
  step.name = "odd";
  step.entry.kind = EntrySpec::Kind::kScript;
  step.entry.path = "/a b/\xff\xfe.so";
  step.entry.source_directory = "/src";
  step.entry.python = "/venv/bin/python";
  step.entry.model = "/models/m";
  step.entry.arguments = {"--x", "", "\"quote\"\n"};
  step.inputs = {"/in", "@/list", "\x80"};
  step.output = "/out";
  step.side_inputs = {{"k\xff", "/side"}, {"l", "/\xc3\xa4"}};
  step.environment_variables = {{"A", "\x01"}, {"B", ""}};
  step.mini_batch_size = {MiniBatchSize::Unit::kBytes, std::int64_t{1} << 50};
  step.error_threshold = 1;
  step.allowed_failed_count = 2;
  step.allowed_failed_percent = 0.1;
  step.output_action = OutputAction::kSummaryOnly;
  step.append_row_file_name = "rows";
  step.output_format = OutputFormat::kJsonLines;
  step.append_row_safe_output = true;
  step.append_row_dataframe_header = true;
  step.node_count = 2;
  step.process_count_per_node = 3;
  step.run_invocation_timeout = Seconds(0.1);
  step.task_overhead_timeout = Seconds(1e-9);
  step.progress_update_timeout = Seconds(1234.5678901234567);
  step.first_task_creation_timeout = Seconds(7);
  step.run_max_try = std::numeric_limits<int>::max();
  step.logging_level = LoggingLevel::kDebug;
  step.resource_monitor_interval_s = 0;
  step.profiling_module = "cProfile";
  step.resume_from = "run";
  step.allow_reuse = false;
  step.device = "cuda:1";
  step.gpus_per_worker = 0;
  step.gpuless_unset = true;
  step.compat = Compat::kStrict;
  step.strict_return_length = true;
  step.fail_on_empty = true;
  step.ordered = true;
  step.overwrite = true;
  step.reuse_by_content = true;
  step.worker_memory_limit_bytes = 99;
  step.top_k = std::numeric_limits<std::int64_t>::max();
  step.model_options = {{"scale", "0.5"}};
  step.mini_batch_size.given = false;
  step.input_kind = InputKind::kTabular;
  step.partition_keys = {"user"};
  step.partition_format = "{user}/a.csv";
  step.rank_mini_batch_count = 7;
  step.origins = {{"k", "v", "u", "o"}, {"\xff", "", "", ""}};
  step.notes = {"one", "two"};
  return step;
}

TEST(StepJson, EveryFieldSurvives) {
  const Step step = strange_step();
  EXPECT_EQ(step_from_json(to_json(step)), step);
  EXPECT_EQ(step_from_json(to_json(Step())), Step());
  EXPECT_NE(step, Step());
}

// A field that visit_fields() in step_json.cpp forgets shows here: all of strange_step()'s fields
// differ from the default, so each has its place in the text.
TEST(StepJson, EveryFieldOfTheTextMatters) {
  const std::string json = to_json(strange_step());
  const std::string plain = to_json(Step());
  for (std::size_t at = plain.find("\":"); at != std::string::npos;
       at = plain.find("\":", at + 1)) {
    const std::size_t begin = plain.rfind('"', at - 1);
    const std::string key = plain.substr(begin, at + 2 - begin);
    if (key == "\"version\":") continue;
    EXPECT_NE(json.find(key), std::string::npos) << key;
    const auto value_of = [&key](const std::string& text) {
      return text.substr(text.find(key) + key.size(), 12);
    };
    EXPECT_NE(value_of(json), value_of(plain)) << key;
  }
}

TEST_F(StepTest, ABuiltStepSurvivesJson) {
  const Step step = read_flat("environment_variables: {A: b}\nscale: 2\ncompute: gpu\n");
  EXPECT_EQ(step_from_json(to_json(step)), step);
}

void expect_bad_json(const std::string& json, const std::string& text) {
  test::expect_error(ErrorCode::kInvalidArgument, text, [&] { step_from_json(json); });
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string json = to_json(Step());
  json.replace(json.find(from), from.size(), to);
  return json;
}

TEST(StepJson, WhatToJsonCannotHaveWrittenIsRefused) {
  expect_bad_json("", "not a JSON object");
  expect_bad_json("[]", "not a JSON object");
  expect_bad_json("{}", "not written by this version");
  expect_bad_json(replaced("\"version\":1", "\"version\":2"), "not written by this version");
  expect_bad_json(replaced("\"top_k\":1", "\"top_k\":\"1\""),
                  "\"top_k\": a stored step: expected a whole");
  expect_bad_json(replaced("\"run_max_try\":3", "\"run_max_try\":2147483648"), "run_max_try");
  expect_bad_json(replaced("\"compat\":0", "\"compat\":4"), "4 is none of 0..3");
  expect_bad_json(replaced("\"compat\":0", "\"compat\":-1"), "-1 is none of 0..3");
  expect_bad_json(replaced("\"ordered\":false", "\"ordered\":0"), "ordered");
  expect_bad_json(replaced("\"ordered\":false,", ""), "\"ordered\" is missing");
  expect_bad_json(replaced("\"ordered\":false", "\"ordered\":false,\"more\":1"),
                  "fields that this");
  expect_bad_json(replaced("\"inputs\":[]", "\"inputs\":[{\"hex\":\"0\"}]"), "hexadecimal");
  expect_bad_json(replaced("\"inputs\":[]", "\"inputs\":[{\"hex\":\"0g\"}]"), "hexadecimal digit");
  expect_bad_json(replaced("\"inputs\":[]", "\"inputs\":[7]"), "inputs");
  expect_bad_json(replaced("\"origins\":[]", "\"origins\":[[1]]"), "origins");
  expect_bad_json(replaced("\"side_inputs\":[]", "\"side_inputs\":{}"), "list of pairs");
}

}  // namespace
}  // namespace prs::config
