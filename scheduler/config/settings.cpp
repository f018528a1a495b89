#include "config/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "config/refusal.hpp"
#include "config/text.hpp"
#include "config/values.hpp"
#include "prs/image.hpp"
#include "prs/precision.hpp"

namespace prs::config {
namespace {

constexpr double kMaxTimeout_s = 259200;  // Three days.

using Names = std::vector<std::string>;

/// A whole number in [min, max]; T is the field's type.
template <typename T>
Setting whole(std::string key, Names also, std::string unit, T Step::*field, std::int64_t min,
              std::int64_t max = kInt32Max) {
  return {std::move(key), std::move(also), std::move(unit),
          [field, min, max](Step& step, const std::string& value, const std::string&) {
            step.*field = static_cast<T>(read_whole(value, min, max));
          },
          [field](const Step& step) { return std::to_string(step.*field); }};
}

Setting timeout(std::string key, Names also, Seconds Step::*field) {
  return {std::move(key), std::move(also), "seconds",
          [field](Step& step, const std::string& value, const std::string&) {
            step.*field = Seconds(read_number(value, 0, kMaxTimeout_s, true));
          },
          [field](const Step& step) { return show_number((step.*field).count()); }};
}

Setting flag(std::string key, Names also, bool Step::*field) {
  return {std::move(key), std::move(also), "",
          [field](Step& step, const std::string& value, const std::string&) {
            step.*field = read_bool(value);
          },
          [field](const Step& step) { return step.*field ? "true" : "false"; }};
}

/// One of a few words, in any case.
template <typename T>
Setting choice(std::string key, Names also, T Step::*field,
               std::vector<std::pair<std::string, T>> words) {
  const auto read = [field, words](Step& step, const std::string& value, const std::string&) {
    std::string allowed;
    for (const auto& [word, meaning] : words) {
      if (lower_case(value) == lower_case(word)) {
        step.*field = meaning;
        return;
      }
      allowed += (allowed.empty() ? "" : ", ") + word;
    }
    refuse_value(value, allowed);
  };
  const auto show = [field, words](const Step& step) -> std::string {
    for (const auto& [word, meaning] : words) {
      if (step.*field == meaning) return word;
    }
    return "";
  };
  return {std::move(key), std::move(also), "", read, show};
}

/// A text that `check` passes or changes.
Setting text(std::string key, Names also, std::string Step::*field,
             std::string (*check)(const std::string&)) {
  return {std::move(key), std::move(also), "",
          [field, check](Step& step, const std::string& value, const std::string&) {
            step.*field = check(value);
          },
          [field](const Step& step) { return step.*field; }};
}

/// An entry of Step::model_options.
Setting model_option(const std::string& key, Names also,
                     std::function<std::string(const std::string&)> check) {
  const std::string name = key == "model_output" ? "output" : key;
  also.push_back("model_options." + name);
  return {key, std::move(also), "",
          [name, check](Step& step, const std::string& value, const std::string&) {
            step.model_options[name] = check(value);
          },
          [name](const Step& step) {
            const auto found = step.model_options.find(name);
            return found == step.model_options.end() ? std::string() : found->second;
          }};
}

std::string some_text(const std::string& value) {
  if (value.empty()) refuse_value(value, "a text of at least one character");
  return value;
}

Setting mini_batch_size() {
  return {"mini_batch_size",
          {},
          "items",
          [](Step& step, const std::string& value, const std::string&) {
            step.mini_batch_size = read_mini_batch_size(value);
          },
          [](const Step& step) { return show_mini_batch_size(step.mini_batch_size); }};
}

Setting rank_mini_batch_count() {
  Setting setting =
      whole("rank_mini_batch_count", {}, "mini-batches", &Step::rank_mini_batch_count, 1);
  setting.show = [](const Step& step) {
    return step.rank_mini_batch_count < 0 ? "" : std::to_string(step.rank_mini_batch_count);
  };
  return setting;
}

Setting run_max_try() {
  return {"run_max_try",
          {"retry_settings.max_retries"},
          "tries",
          [](Step& step, const std::string& value, const std::string& spelled) {
            // v2 counts the tries after the first.
            const int first = spelled == "retry_settings.max_retries" ? 1 : 0;
            step.run_max_try =
                static_cast<int>(read_whole(value, 1 - first, kInt32Max - first)) + first;
          },
          [](const Step& step) { return std::to_string(step.run_max_try); }};
}

Setting allowed_failed_percent() {
  return {"allowed_failed_percent",
          {},
          "percent",
          [](Step& step, const std::string& value, const std::string&) {
            step.allowed_failed_percent = read_number(value, 0, 100, false);
          },
          [](const Step& step) { return show_number(step.allowed_failed_percent); }};
}

Setting node_count() {
  Setting setting =
      whole("node_count", {"resources.instance_count"}, "nodes", &Step::node_count, 1);
  const auto read = setting.read;
  setting.read = [read](Step& step, const std::string& value, const std::string& spelled) {
    read(step, value, spelled);
    if (step.node_count > 1) {
      refuse_unsupported(in_quotes(value) +
                         " is not supported yet: a step runs on this one machine; allowed now: 1");
    }
  };
  return setting;
}

Setting process_count_per_node() {
  Setting setting = whole("process_count_per_node", {"max_concurrency_per_instance"}, "processes",
                          &Step::process_count_per_node, 1);
  setting.show = [](const Step& step) {
    return step.process_count_per_node == 0 ? "auto" : std::to_string(step.process_count_per_node);
  };
  return setting;
}

Setting gpus_per_worker() {
  return {"gpus_per_worker",
          {},
          "GPUs",
          [](Step& step, const std::string& value, const std::string&) {
            if (lower_case(value) == "all") {
              step.gpus_per_worker = 0;
              return;
            }
            std::int64_t count = 0;
            try {
              count = read_whole(value, 1, kInt32Max);
            } catch (const Refusal&) {
              refuse_value(value, "all, or a whole number in [1, 2147483647]; for none use device");
            }
            step.gpus_per_worker = static_cast<int>(count);
          },
          [](const Step& step) {
            return step.gpus_per_worker == 0 ? "all" : std::to_string(step.gpus_per_worker);
          }};
}

Setting output_format() {
  Setting setting = choice<OutputFormat>("output_format", {}, &Step::output_format,
                                         {{"text", OutputFormat::kText},
                                          {"csv", OutputFormat::kCsv},
                                          {"jsonl", OutputFormat::kJsonLines}});
  const auto read = setting.read;
  setting.read = [read](Step& step, const std::string& value, const std::string& spelled) {
    if (lower_case(value) == "parquet") {
      refuse_unsupported("'parquet' is not supported yet; allowed now: text, csv, jsonl");
    }
    read(step, value, spelled);
  };
  return setting;
}

Setting worker_memory_limit() {
  return {"worker_memory_limit",
          {},
          "bytes",
          [](Step& step, const std::string& value, const std::string&) {
            step.worker_memory_limit_bytes = read_bytes(value);
          },
          [](const Step& step) { return std::to_string(step.worker_memory_limit_bytes); }};
}

std::vector<Setting> make_settings() {
  using S = Step;
  constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
  const auto whole_text = [](std::int64_t min, std::int64_t max) {
    return [min, max](const std::string& v) { return std::to_string(read_whole(v, min, max)); };
  };
  const auto bool_text = [](const std::string& v) {
    return std::string(read_bool(v) ? "true" : "false");
  };
  const auto scale = [](const std::string& v) {
    constexpr double kMax = std::numeric_limits<double>::max();
    read_number(v, -kMax, kMax, false);
    return v;
  };
  const auto layout = [](const std::string& v) {
    try {
      return std::string(layout_name(parse_layout(v)));
    } catch (const Error&) {
      refuse_value(v, "nchw, nhwc, nhw, flat");
    }
  };
  const auto channels = [](const std::string& v) {
    if (v != "1" && v != "3") refuse_value(v, "1, 3");
    return v;
  };
  const auto channel_order = [](const std::string& v) {
    const std::string order = lower_case(v);
    if (order != "rgb" && order != "bgr") refuse_value(v, "rgb, bgr");
    return order;
  };
  const auto precision = [](const std::string& v) {
    try {
      return std::string(precision_name(parse_precision(v)));
    } catch (const Error&) {
      refuse_value(v, "fp32, tf32, bf16, fp16, int8");
    }
  };
  return {
      text("name", {}, &S::name, read_name),
      mini_batch_size(),
      choice<InputKind>("input_kind", {}, &S::input_kind,
                        {{"auto", InputKind::kAuto},
                         {"files", InputKind::kFiles},
                         {"tabular", InputKind::kTabular}}),
      text("partition_format", {}, &S::partition_format, some_text),
      rank_mini_batch_count(),
      whole("error_threshold", {}, "items", &S::error_threshold, -1),
      whole("allowed_failed_count", {"mini_batch_error_threshold"}, "mini-batches",
            &S::allowed_failed_count, -1),
      allowed_failed_percent(),
      choice<OutputAction>(
          "output_action", {}, &S::output_action,
          {{"append_row", OutputAction::kAppendRow}, {"summary_only", OutputAction::kSummaryOnly}}),
      text("append_row_file_name", {}, &S::append_row_file_name, read_file_name),
      output_format(),
      flag("append_row_safe_output", {}, &S::append_row_safe_output),
      flag("append_row_dataframe_header", {}, &S::append_row_dataframe_header),
      node_count(),
      process_count_per_node(),
      timeout("run_invocation_timeout", {"retry_settings.timeout"}, &S::run_invocation_timeout),
      timeout("task_overhead_timeout", {}, &S::task_overhead_timeout),
      timeout("progress_update_timeout", {}, &S::progress_update_timeout),
      timeout("first_task_creation_timeout", {}, &S::first_task_creation_timeout),
      run_max_try(),
      choice<LoggingLevel>("logging_level", {}, &S::logging_level,
                           {{"WARNING", LoggingLevel::kWarning},
                            {"INFO", LoggingLevel::kInfo},
                            {"DEBUG", LoggingLevel::kDebug}}),
      whole("resource_monitor_interval", {}, "seconds", &S::resource_monitor_interval_s, 0),
      choice<std::string>("profiling_module", {}, &S::profiling_module,
                          {{"cProfile", "cProfile"}, {"profile", "profile"}}),
      flag("allow_reuse", {"is_deterministic"}, &S::allow_reuse),
      text("resume_from", {}, &S::resume_from, some_text),
      text("device", {}, &S::device, read_device),
      gpus_per_worker(),
      choice<bool>("gpuless_workers", {}, &S::gpuless_unset, {{"none", false}, {"unset", true}}),
      choice<Compat>("compat", {}, &S::compat,
                     {{"ours", Compat::kOurs},
                      {"v1", Compat::kV1},
                      {"v2", Compat::kV2},
                      {"strict", Compat::kStrict}}),
      flag("strict_return_length", {}, &S::strict_return_length),
      flag("fail_on_empty", {}, &S::fail_on_empty),
      flag("ordered", {}, &S::ordered),
      flag("overwrite", {}, &S::overwrite),
      flag("reuse_by_content", {}, &S::reuse_by_content),
      worker_memory_limit(),
      whole("top_k", {}, "classes", &S::top_k, 1, kInt64Max),
      model_option("scale", {}, scale),
      model_option("mean", {}, read_numbers),
      model_option("std", {}, read_numbers),
      model_option("invert", {}, bool_text),
      model_option("layout", {}, layout),
      model_option("precision", {}, precision),
      model_option("channels", {}, channels),
      model_option("channel_order", {}, channel_order),
      model_option("resize", {}, read_resize),
      model_option("model_output", {}, some_text),
      // The builder has made it a path already.
      model_option("class_names", {}, some_text),
      model_option("batch", {}, whole_text(1, std::int64_t{1} << 24)),
      model_option("threads", {}, whole_text(0, 4096)),
      model_option("max_pixels", {}, whole_text(1, std::int64_t{1} << 31)),
      model_option("columns", {}, some_text),
  };
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> kSettings = make_settings();
  return kSettings;
}

}  // namespace prs::config
