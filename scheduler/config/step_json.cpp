// One list of fields, visit(), serves both directions. A text that is no UTF-8, which JSON cannot
// hold, is written as {"hex": "..."}.
#include <fmt/format.h>

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "config/step.hpp"
#include "prs/error.hpp"

namespace prs::config {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "a stored step: " + what);
}

// To JSON.

json write(const std::string& text) {
  json value = text;
  try {
    value.dump();
    return value;
  } catch (const json::exception&) {
    std::string hex;
    for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return json{{"hex", hex}};
  }
}

json write(const std::filesystem::path& path) { return write(path.string()); }
json write(const Seconds& seconds) { return seconds.count(); }

template <typename T>
requires std::is_arithmetic_v<T> json write(T value) { return value; }

template <typename T>
requires std::is_enum_v<T> json write(T value) { return static_cast<int>(value); }

json write(const SettingOrigin& origin) {
  return json::array(
      {write(origin.key), write(origin.value), write(origin.unit), write(origin.origin)});
}

template <typename T>
json write(const std::vector<T>& values) {
  json list = json::array();
  for (const T& value : values) list.push_back(write(value));
  return list;
}

template <typename T>
json write(const std::map<std::string, T>& values) {
  json list = json::array();
  for (const auto& [key, value] : values) list.push_back(json::array({write(key), write(value)}));
  return list;
}

// From JSON.

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  fail(fmt::format("'{}' is no hexadecimal digit", c));
}

void read(const json& value, std::string& text) {
  if (value.is_string()) {
    text = value.get<std::string>();
    return;
  }
  const std::string hex = value.at("hex").get<std::string>();
  if (value.size() != 1 || hex.size() % 2 != 0) fail("a text is neither a string nor hexadecimal");
  text.clear();
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    text += static_cast<char>(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1]));
  }
}

void read(const json& value, std::filesystem::path& path) {
  std::string text;
  read(value, text);
  path = text;
}

void read(const json& value, double& number) {
  if (!value.is_number()) fail("expected a number, found " + value.dump());
  number = value.get<double>();
}

void read(const json& value, Seconds& seconds) {
  double count = 0;
  read(value, count);
  seconds = Seconds(count);
}

void read(const json& value, bool& flag) {
  if (!value.is_boolean()) fail("expected true or false, found " + value.dump());
  flag = value.get<bool>();
}

template <typename T>
requires std::is_integral_v<T>
void read(const json& value, T& number) {
  const auto fits = [&value] {
    // A number above int64_t is stored as unsigned.
    if (value.is_number_unsigned()) {
      return value.get<std::uint64_t>() <=
             static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    }
    return value.is_number_integer() && value.get<std::int64_t>() >= std::numeric_limits<T>::min();
  };
  if (!fits()) fail("expected a whole number in range, found " + value.dump());
  number = value.get<T>();
}

/// The last value of each enumeration that is stored as a number.
constexpr int last_of(MiniBatchSize::Unit) { return static_cast<int>(MiniBatchSize::Unit::kRows); }
constexpr int last_of(InputKind) { return static_cast<int>(InputKind::kTabular); }
constexpr int last_of(EntrySpec::Kind) { return static_cast<int>(EntrySpec::Kind::kScript); }
constexpr int last_of(OutputAction) { return static_cast<int>(OutputAction::kSummaryOnly); }
constexpr int last_of(LoggingLevel) { return static_cast<int>(LoggingLevel::kDebug); }
constexpr int last_of(Compat) { return static_cast<int>(Compat::kStrict); }
constexpr int last_of(OutputFormat) { return static_cast<int>(OutputFormat::kParquet); }

template <typename T>
requires std::is_enum_v<T>
void read(const json& value, T& choice) {
  int number = 0;
  read(value, number);
  if (number < 0 || number > last_of(choice)) {
    fail(fmt::format("{} is none of 0..{}", number, last_of(choice)));
  }
  choice = static_cast<T>(number);
}

void read(const json& value, SettingOrigin& origin) {
  if (!value.is_array() || value.size() != 4) fail("an origin is no list of four texts");
  read(value[0], origin.key);
  read(value[1], origin.value);
  read(value[2], origin.unit);
  read(value[3], origin.origin);
}

template <typename T>
void read(const json& value, std::vector<T>& values) {
  if (!value.is_array()) fail("expected a list, found " + value.dump());
  values.clear();
  for (const json& item : value) read(item, values.emplace_back());
}

template <typename T>
void read(const json& value, std::map<std::string, T>& values) {
  if (!value.is_array()) fail("expected a list of pairs, found " + value.dump());
  values.clear();
  for (const json& item : value) {
    if (!item.is_array() || item.size() != 2) fail("expected a pair, found " + item.dump());
    std::string key;
    read(item[0], key);
    read(item[1], values[key]);
  }
}

/// Calls visit(name, field) for every field of a step.
template <typename AStep, typename Visit>
void visit_fields(AStep& step, const Visit& visit) {
  visit("name", step.name);
  visit("entry.kind", step.entry.kind);
  visit("entry.path", step.entry.path);
  visit("entry.source_directory", step.entry.source_directory);
  visit("entry.python", step.entry.python);
  visit("entry.model", step.entry.model);
  visit("entry.arguments", step.entry.arguments);
  visit("inputs", step.inputs);
  visit("output", step.output);
  visit("side_inputs", step.side_inputs);
  visit("environment_variables", step.environment_variables);
  visit("mini_batch_size.unit", step.mini_batch_size.unit);
  visit("mini_batch_size.value", step.mini_batch_size.value);
  visit("mini_batch_size.given", step.mini_batch_size.given);
  visit("input_kind", step.input_kind);
  visit("partition_keys", step.partition_keys);
  visit("partition_format", step.partition_format);
  visit("rank_mini_batch_count", step.rank_mini_batch_count);
  visit("error_threshold", step.error_threshold);
  visit("allowed_failed_count", step.allowed_failed_count);
  visit("allowed_failed_percent", step.allowed_failed_percent);
  visit("output_action", step.output_action);
  visit("append_row_file_name", step.append_row_file_name);
  visit("output_format", step.output_format);
  visit("append_row_safe_output", step.append_row_safe_output);
  visit("append_row_dataframe_header", step.append_row_dataframe_header);
  visit("node_count", step.node_count);
  visit("process_count_per_node", step.process_count_per_node);
  visit("run_invocation_timeout", step.run_invocation_timeout);
  visit("task_overhead_timeout", step.task_overhead_timeout);
  visit("progress_update_timeout", step.progress_update_timeout);
  visit("first_task_creation_timeout", step.first_task_creation_timeout);
  visit("run_max_try", step.run_max_try);
  visit("logging_level", step.logging_level);
  visit("resource_monitor_interval_s", step.resource_monitor_interval_s);
  visit("profiling_module", step.profiling_module);
  visit("resume_from", step.resume_from);
  visit("allow_reuse", step.allow_reuse);
  visit("device", step.device);
  visit("gpus_per_worker", step.gpus_per_worker);
  visit("gpuless_unset", step.gpuless_unset);
  visit("compat", step.compat);
  visit("strict_return_length", step.strict_return_length);
  visit("fail_on_empty", step.fail_on_empty);
  visit("ordered", step.ordered);
  visit("overwrite", step.overwrite);
  visit("reuse_by_content", step.reuse_by_content);
  visit("worker_memory_limit_bytes", step.worker_memory_limit_bytes);
  visit("top_k", step.top_k);
  visit("model_options", step.model_options);
  visit("origins", step.origins);
  visit("notes", step.notes);
}

}  // namespace

std::string to_json(const Step& step) {
  json object = {{"version", kVersion}};
  visit_fields(step,
               [&object](const char* name, const auto& field) { object[name] = write(field); });
  return object.dump();
}

Step step_from_json(const std::string& text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) fail("not a JSON object");
  if (object.value("version", json()) != json(kVersion)) {
    fail(fmt::format("not written by this version (format {} is wanted)", kVersion));
  }
  Step step;
  std::size_t fields = 1;
  visit_fields(step, [&object, &fields](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end()) fail(fmt::format("\"{}\" is missing", name));
    try {
      read(*found, field);
    } catch (const json::exception& error) {
      fail(fmt::format("\"{}\": {}", name, error.what()));
    } catch (const Error& error) {
      fail(fmt::format("\"{}\": {}", name, error.message()));
    }
    ++fields;
  });
  if (object.size() != fields) fail("it has fields that this version does not know");
  return step;
}

}  // namespace prs::config
