// Every setting that is a single value: both names, range, unit, text form.
#include <gtest/gtest.h>

#include <algorithm>

#include "builder_support.hpp"

namespace prs::config {
namespace {

/// Sets `key` to a value and expects the table to show `shown` under `name`.
struct Good {
  const char* key;
  const char* value;
  const char* name;
  const char* shown;
};

class GoodValues : public StepTest, public testing::WithParamInterface<Good> {};

TEST_P(GoodValues, C_AreTakenFromCommandLineAndFile) {
  const Good& good = GetParam();
  const Step by_flag = set(good.key, good.value);
  EXPECT_EQ(origin(by_flag, good.name).value, good.shown);
  EXPECT_EQ(origin(by_flag, good.name).origin, "--set");
  const std::string key = good.key;
  const std::size_t dot = key.find('.');
  const std::string line =
      dot == std::string::npos
          ? key + ": \"" + good.value + "\"\n"
          : key.substr(0, dot) + ":\n  " + key.substr(dot + 1) + ": \"" + good.value + "\"\n";
  const Step by_file = read_flat(line);
  EXPECT_EQ(origin(by_file, good.name).value, good.shown);
  EXPECT_EQ(origin(by_file, good.name).origin,
            (folder() / "step.yml").string() + (dot == std::string::npos ? ":4" : ":5"));
}

INSTANTIATE_TEST_SUITE_P(
    All, GoodValues,
    testing::Values(
        Good{"name", "a-3", "name", "a-3"}, Good{"mini_batch_size", "1", "mini_batch_size", "1"},
        Good{"mini_batch_size", "rows:7", "mini_batch_size", "rows:7"},
        Good{"mini_batch_size", "100kb", "mini_batch_size", "100kb"},
        Good{"mini_batch_size", "1 MB", "mini_batch_size", "1mb"},
        Good{"mini_batch_size", "2048Kb", "mini_batch_size", "2mb"},
        Good{"mini_batch_size", "3gB", "mini_batch_size", "3gb"},
        Good{"error_threshold", "-1", "error_threshold", "-1"},
        Good{"error_threshold", "0", "error_threshold", "0"},
        Good{"error_threshold", "2147483647", "error_threshold", "2147483647"},
        Good{"allowed_failed_count", "0", "allowed_failed_count", "0"},
        Good{"mini_batch_error_threshold", "5", "allowed_failed_count", "5"},
        Good{"allowed_failed_percent", "0", "allowed_failed_percent", "0"},
        Good{"allowed_failed_percent", "12.5", "allowed_failed_percent", "12.5"},
        Good{"output_action", "Summary_Only", "output_action", "summary_only"},
        Good{"output_action", "APPEND_ROW", "output_action", "append_row"},
        Good{"append_row_file_name", "p q.csv", "append_row_file_name", "p q.csv"},
        Good{"output_format", "jsonl", "output_format", "jsonl"},
        Good{"output_format", "csv", "output_format", "csv"},
        Good{"append_row_safe_output", "true", "append_row_safe_output", "true"},
        Good{"append_row_dataframe_header", "True", "append_row_dataframe_header", "true"},
        Good{"node_count", "1", "node_count", "1"},
        Good{"resources.instance_count", "1", "node_count", "1"},
        Good{"process_count_per_node", "4", "process_count_per_node", "4"},
        Good{"max_concurrency_per_instance", "2", "process_count_per_node", "2"},
        Good{"run_invocation_timeout", "259200", "run_invocation_timeout", "259200"},
        Good{"run_invocation_timeout", "0.5", "run_invocation_timeout", "0.5"},
        Good{"retry_settings.timeout", "30", "run_invocation_timeout", "30"},
        Good{"task_overhead_timeout", "1200", "task_overhead_timeout", "1200"},
        Good{"progress_update_timeout", "5", "progress_update_timeout", "5"},
        Good{"first_task_creation_timeout", "7", "first_task_creation_timeout", "7"},
        Good{"run_max_try", "1", "run_max_try", "1"},
        Good{"retry_settings.max_retries", "0", "run_max_try", "1"},
        Good{"retry_settings.max_retries", "2147483646", "run_max_try", "2147483647"},
        Good{"logging_level", "debug", "logging_level", "DEBUG"},
        Good{"resource_monitor_interval", "0", "resource_monitor_interval", "0"},
        Good{"profiling_module", "cProfile", "profiling_module", "cProfile"},
        Good{"allow_reuse", "no", "allow_reuse", "false"},
        Good{"is_deterministic", "false", "allow_reuse", "false"},
        Good{"resume_from", "run-1", "resume_from", "run-1"},
        Good{"device", "cpu", "device", "cpu"}, Good{"device", "cuda:1", "device", "cuda:1"},
        Good{"gpus_per_worker", "all", "gpus_per_worker", "all"},
        Good{"gpus_per_worker", "2", "gpus_per_worker", "2"},
        Good{"gpuless_workers", "unset", "gpuless_workers", "unset"},
        Good{"compat", "strict", "compat", "strict"}, Good{"compat", "v1", "compat", "v1"},
        Good{"strict_return_length", "true", "strict_return_length", "true"},
        Good{"fail_on_empty", "on", "fail_on_empty", "true"},
        Good{"ordered", "true", "ordered", "true"}, Good{"overwrite", "yes", "overwrite", "true"},
        Good{"reuse_by_content", "true", "reuse_by_content", "true"},
        Good{"worker_memory_limit", "2gb", "worker_memory_limit", "2147483648"},
        Good{"worker_memory_limit", "0", "worker_memory_limit", "0"},
        Good{"top_k", "5", "top_k", "5"}, Good{"scale", "0.5", "scale", "0.5"},
        Good{"mean", "0.1, 0.2,0.3", "mean", "0.1,0.2,0.3"}, Good{"std", "2", "std", "2"},
        Good{"invert", "True", "invert", "true"}, Good{"layout", "NHWC", "layout", "nhwc"},
        Good{"precision", "BF16", "precision", "bf16"}, Good{"channels", "3", "channels", "3"},
        Good{"channel_order", "BGR", "channel_order", "bgr"},
        Good{"model_options.max_pixels", "1000", "max_pixels", "1000"},
        Good{"resize", "32X24", "resize", "32x24"}, Good{"resize", "true", "resize", "true"},
        Good{"model_output", "probs", "model_output", "probs"},
        Good{"model_options.output", "probs", "model_output", "probs"},
        Good{"model_options.scale", "1", "scale", "1"}, Good{"batch", "64", "batch", "64"},
        Good{"threads", "0", "threads", "0"}));

struct Bad {
  const char* key;
  const char* value;
  const char* allowed;
};

class BadValues : public StepTest, public testing::WithParamInterface<Bad> {};

TEST_P(BadValues, C1_AreRefusedNamingKeyValueRangeAndLine) {
  const Bad& bad = GetParam();
  const std::string what =
      std::string(bad.key) + ": '" + bad.value + "' is not allowed; allowed: " + bad.allowed;
  expect_set_refused(bad.key, bad.value, "--set: " + what);
  const std::string key = bad.key;
  const std::size_t dot = key.find('.');
  if (dot != std::string::npos) return;
  expect_refused(key + ": \"" + bad.value + "\"\n",
                 (folder() / "step.yml").string() + ":4: " + what);
}

constexpr const char* kTimeout = "a number in (0, 259200]";
constexpr const char* kSize = "a number of items in [1, 2147483647], rows:N";
constexpr const char* kFile = "a file name of 1 to 240 bytes without ~";

INSTANTIATE_TEST_SUITE_P(
    All, BadValues,
    testing::Values(
        Bad{"name", "ab", "3 to 32"}, Bad{"name", "Abc", "3 to 32"}, Bad{"name", "abc-", "3 to 32"},
        Bad{"name", "a_b", "3 to 32"}, Bad{"name", "1abc", "3 to 32"},
        Bad{"name", "a23456789012345678901234567890123", "3 to 32"},
        Bad{"mini_batch_size", "0", kSize}, Bad{"mini_batch_size", "-1", kSize},
        Bad{"mini_batch_size", "1.5", kSize}, Bad{"mini_batch_size", "10 files", kSize},
        Bad{"mini_batch_size", "1  MB", kSize}, Bad{"mini_batch_size", "0kb", kSize},
        Bad{"mini_batch_size", "rows:0", kSize}, Bad{"mini_batch_size", "rows:1kb", kSize},
        Bad{"mini_batch_size", "99999999999999999999", kSize},
        Bad{"mini_batch_size", "99999999999999999999gb", kSize},
        Bad{"mini_batch_size", "9999999999gb", kSize}, Bad{"mini_batch_size", "kb", kSize},
        Bad{"mini_batch_size", "", kSize},
        Bad{"error_threshold", "-2", "a whole number in [-1, 2147483647]"},
        Bad{"error_threshold", "2147483648", "a whole number in [-1, 2147483647]"},
        Bad{"error_threshold", "1e3", "a whole number in [-1, 2147483647]"},
        Bad{"error_threshold", " 1", "a whole number in [-1, 2147483647]"},
        Bad{"error_threshold", "0x10", "a whole number in [-1, 2147483647]"},
        Bad{"error_threshold", "5%", "a whole number in [-1, 2147483647]"},
        Bad{"allowed_failed_count", "-2", "a whole number in [-1, 2147483647]"},
        Bad{"mini_batch_error_threshold", "-2", "a whole number in [-1, 2147483647]"},
        Bad{"allowed_failed_percent", "100.1", "a number in [0, 100]"},
        Bad{"allowed_failed_percent", "-0.1", "a number in [0, 100]"},
        Bad{"allowed_failed_percent", "nan", "a number in [0, 100]"},
        Bad{"output_action", "append", "append_row, summary_only"},
        Bad{"append_row_file_name", "", kFile}, Bad{"append_row_file_name", "..", kFile},
        Bad{"output_format", "xml", "text, csv, jsonl"},
        Bad{"append_row_safe_output", "1", "true or false"},
        Bad{"node_count", "0", "a whole number in [1, 2147483647]"},
        Bad{"process_count_per_node", "0", "a whole number in [1, 2147483647]"},
        Bad{"max_concurrency_per_instance", "0", "a whole number in [1, 2147483647]"},
        Bad{"run_invocation_timeout", "0", kTimeout},
        Bad{"run_invocation_timeout", "259200.1", kTimeout},
        Bad{"run_invocation_timeout", "inf", kTimeout},
        Bad{"run_invocation_timeout", "1e999", kTimeout},
        Bad{"retry_settings.timeout", "0", kTimeout}, Bad{"task_overhead_timeout", "-1", kTimeout},
        Bad{"progress_update_timeout", "0", kTimeout},
        Bad{"first_task_creation_timeout", "ten", kTimeout},
        Bad{"run_max_try", "0", "a whole number in [1, 2147483647]"},
        Bad{"retry_settings.max_retries", "-1", "a whole number in [0, 2147483646]"},
        Bad{"logging_level", "ERROR", "WARNING, INFO, DEBUG"},
        Bad{"resource_monitor_interval", "-1", "a whole number in [0, 2147483647]"},
        Bad{"profiling_module", "perf", "cProfile, profile"},
        Bad{"allow_reuse", "maybe", "true or false"}, Bad{"device", "gpu", "auto, cpu, cuda"},
        Bad{"device", "cuda:", "auto, cpu, cuda"}, Bad{"device", "cuda:-1", "auto, cpu, cuda"},
        Bad{"gpus_per_worker", "0", "all, or a whole number in [1,"},
        Bad{"gpuless_workers", "empty", "none, unset"}, Bad{"compat", "v3", "ours, v1, v2, strict"},
        Bad{"worker_memory_limit", "-1", "bytes as a whole number"},
        Bad{"worker_memory_limit", "1tb", "bytes as a whole number"},
        Bad{"top_k", "0", "a whole number in [1,"}, Bad{"scale", "x", "a number in ["},
        Bad{"mean", "1,,2", "a number, or numbers"}, Bad{"std", "1;2", "a number, or numbers"},
        Bad{"layout", "hwcn", "nchw, nhwc, nhw, flat"},
        Bad{"precision", "fp8", "fp32, tf32, bf16, fp16, int8"}, Bad{"channels", "2", "1, 3"},
        Bad{"channel_order", "grb", "rgb, bgr"}, Bad{"resize", "0x3", "true, false, or WxH"},
        Bad{"resize", "3x", "true, false, or WxH"}, Bad{"batch", "0", "a whole number in [1,"},
        Bad{"threads", "4097", "a whole number in [0, 4096]"}));

TEST_F(StepTest, C_FileNamesWithTheForbiddenCharactersAreRefused) {
  for (const char c : std::string("~\"#%&*:<>?/\\{|}\n")) {
    expect_set_refused("append_row_file_name", std::string("a") + c + "b", "a file name");
  }
}

TEST_F(StepTest, C_SeveralNodesAndParquetAreNotThereYet) {
  expect_set_refused("node_count", "2", "a step runs on this one machine", ErrorCode::kUnsupported);
  expect_set_refused("resources.instance_count", "2", "not supported", ErrorCode::kUnsupported);
  expect_set_refused("output_format", "parquet", "allowed now", ErrorCode::kUnsupported);
}

TEST_F(StepTest, D8_PartitionKeysTakeThePlaceOfAMiniBatchSize) {
  const Step step =
      read_flat("partition_keys: [user, genres]\npartition_format: '{user}/{genres}.png'\n");
  EXPECT_EQ(step.partition_keys, (std::vector<std::string>{"user", "genres"}));
  EXPECT_EQ(step.partition_format, "{user}/{genres}.png");
  expect_refused("partition_keys: [user]\nmini_batch_size: 5\n",
                 ":4: partition_keys: given together with mini_batch_size");
  expect_refused("partition_keys: [user, user]\n", "'user' stands in the list twice");
  expect_refused("partition_keys: []\n", "the list is empty");
}

TEST_F(StepTest, D9_RanksNeedNoInputAndAnEntryThatDoesWithoutIt) {
  const std::string plugin = "plugin: plugin.so\noutput: out\n";
  const Step step = read(plugin + "arguments: [--rank_mini_batch_count, 3, --mine, 4]\n");
  EXPECT_EQ(step.rank_mini_batch_count, 3);
  EXPECT_TRUE(step.inputs.empty());
  EXPECT_EQ(step.entry.arguments, (std::vector<std::string>{"--mine", "4"}));
  EXPECT_EQ(step_from_json(to_json(step)), step);
  EXPECT_TRUE(read(plugin + "inputs: nowhere\nrank_mini_batch_count: 3\n").inputs.empty());
  EXPECT_EQ(read(plugin + "inputs: images\n").rank_mini_batch_count, -1);
  expect_refused("rank_mini_batch_count: 3\n", ":4: rank_mini_batch_count: a model has nothing");
  expect_refused("arguments: [--rank_mini_batch_count, 0]\n",
                 ":4: --rank_mini_batch_count: '0' is not");
}

TEST_F(StepTest, D2_D3_TheUnitsOfMiniBatchSize) {
  EXPECT_EQ(set("mini_batch_size", "10").mini_batch_size,
            (MiniBatchSize{MiniBatchSize::Unit::kItems, 10}));
  EXPECT_EQ(set("mini_batch_size", "rows:10").mini_batch_size,
            (MiniBatchSize{MiniBatchSize::Unit::kRows, 10}));
  EXPECT_EQ(set("mini_batch_size", "100kb").mini_batch_size,
            (MiniBatchSize{MiniBatchSize::Unit::kBytes, 102400}));
  EXPECT_EQ(set("mini_batch_size", "1048576 gb").mini_batch_size.value, std::int64_t{1} << 50);
  EXPECT_EQ(origin(set("mini_batch_size", "1 MB"), "mini_batch_size").unit, "bytes");
  EXPECT_EQ(read_flat("mini_batch_size: \"10\"\n").mini_batch_size.value, 10);
}

TEST_F(StepTest, C1_ValuesMustBeSingleOnes) {
  expect_refused("run_max_try: [1]\n", ":4: run_max_try: expected a single value, found a list");
  expect_refused("ordered: {a: 1}\n", ":4: ordered: expected a single value, found a mapping");
  expect_refused("error_threshold:\n",
                 ":4: error_threshold: expected a single value, found nothing");
  expect_refused("retry_settings: 3\n", ":4: retry_settings: expected a mapping, found a single");
}

TEST_F(StepTest, C1_UnknownKeysNameTheNearest) {
  expect_refused("run_max_tries: 3\n",
                 ":4: unknown key 'run_max_tries'; did you mean 'run_max_try'");
  expect_refused("retry_settings:\n  timeuot: 3\n",
                 ":5: unknown key 'retry_settings.timeuot'; did you mean 'retry_settings.timeout'");
  expect_refused("qwertyuiop: 1\n", ":4: unknown key 'qwertyuiop'; docs/semantics.md");
  expect_set_refused("mini_batchsize", "3",
                     "--set: unknown key 'mini_batchsize'; did you mean "
                     "'mini_batch_size'?");
}

TEST_F(StepTest, C1_BothNamesWithDifferentValuesAreAnError) {
  expect_refused("run_max_try: 3\nretry_settings: {max_retries: 3}\n",
                 "step.yml:4: run_max_try: '3' and ");
  EXPECT_EQ(read_flat("run_max_try: 3\nretry_settings: {max_retries: 2}\n").run_max_try, 3);
  expect_refused("allowed_failed_count: 1\nmini_batch_error_threshold: 2\n", "differently");
  EXPECT_EQ(
      read_flat("allowed_failed_count: 2\nmini_batch_error_threshold: 2\n").allowed_failed_count,
      2);
}

TEST_F(StepTest, C1_AllProblemsComeAtOnceALineEach) {
  try {
    read("run_max_try: 0\nlogging_level: LOUD\nfoo_bar_baz: 1\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(std::count(error.message().begin(), error.message().end(), '\n'), 5)
        << error.message();
    for (const char* text : {":1: run_max_try", ":2: logging_level", ":3: unknown key",
                             "inputs: missing", "output: missing", "model: missing"}) {
      EXPECT_NE(error.message().find(text), std::string::npos) << error.message();
    }
  }
}

TEST_F(StepTest, C2_TheCommandLineOverrulesTheFileAndItselfInCallOrder) {
  StepBuilder builder;
  builder.set("run_max_try", "7", "--set");
  builder.read_file(
      write("step.yml", std::string(kNeeded) + "run_max_try: 2\nerror_threshold: 1\n"));
  builder.set("retry_settings.max_retries", "8", "--retries");
  const Step step = builder.build();
  EXPECT_EQ(step.run_max_try, 9);
  EXPECT_EQ(origin(step, "run_max_try").origin, "--retries");
  EXPECT_EQ(step.error_threshold, 1);
}

TEST_F(StepTest, C2_AWrongValueThatIsOverruledDoesNotMatter) {
  StepBuilder builder;
  builder.read_file(write("step.yml", std::string(kNeeded) + "node_count: 4\n"));
  builder.set("node_count", "1", "--set");
  EXPECT_EQ(builder.build().node_count, 1);
}

TEST_F(StepTest, KnownKeysAreSortedUniqueAndAllSettable) {
  const std::vector<std::string> keys = known_keys();
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
  for (const char* key : {"run_max_try", "retry_settings.max_retries", "model", "task.code",
                          "side_inputs.", "inputs.", "top_k"}) {
    EXPECT_NE(std::find(keys.begin(), keys.end(), key), keys.end()) << key;
  }
  EXPECT_EQ(std::find(keys.begin(), keys.end(), "$schema"), keys.end());
  for (const std::string& key : keys) {
    StepBuilder builder;
    EXPECT_NO_THROW(builder.set(key.ends_with('.') ? key + "x" : key, "1", "--set")) << key;
  }
}

}  // namespace
}  // namespace prs::config
