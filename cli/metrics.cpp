// `prs-gpu metrics`: what entry scripts logged with Run.log().
//
// Each worker appends JSON lines to a file of its own, logs/user/metrics/<node>/<process>.jsonl, so
// there is nothing to merge, and nothing that a killed worker or orchestrator could lose. A torn
// last line is left out.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "entry/fields.hpp"
#include "errors.hpp"
#include "logs/log_tree.hpp"
#include "output.hpp"
#include "runtime/job_folder.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// All records of a job in the order of their times.
std::vector<Json> read_metrics(const fs::path& output) {
  const runtime::JobFolder folder(output);
  if (!folder.has_job()) {
    fail(ErrorCode::kInvalidArgument, "{} holds no job of prs-gpu (no {})", output.string(),
         (folder.store() / "job.sqlite").string());
  }
  std::vector<Json> records;
  std::error_code error;
  for (const auto& entry :
       fs::recursive_directory_iterator(logs::Paths(folder.logs()).metrics_folder(), error)) {
    if (!entry.is_regular_file(error)) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    for (std::string line; std::getline(file, line);) {
      Json record = Json::parse(line, nullptr, false);
      if (record.is_object() && record.contains("name") && record.contains("value") &&
          record.value("time", Json()).is_number()) {
        records.push_back(std::move(record));
      }
    }
  }
  std::stable_sort(records.begin(), records.end(), [](const Json& a, const Json& b) {
    return a["time"].get<double>() < b["time"].get<double>();
  });
  return records;
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A value as text: strings without their quotes.
std::string shown(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : dump(value);
}

/// One name's values over the whole job.
struct Summary {
  std::int64_t count = 0;
  std::int64_t numbers = 0;
  double sum = 0;
  double least = 0;
  double most = 0;
  std::string last;

  void add(const Json& value) {
    ++count;
    last = shown(value);
    if (!value.is_number()) return;
    const auto number = value.get<double>();
    least = numbers == 0 ? number : std::min(least, number);
    most = numbers == 0 ? number : std::max(most, number);
    sum += number;
    ++numbers;
  }
};

std::map<std::string, Summary> summarize(const std::vector<Json>& records) {
  std::map<std::string, Summary> summaries;
  for (const Json& record : records) summaries[shown(record["name"])].add(record["value"]);
  return summaries;
}

std::string as_table(const std::vector<Json>& records) {
  Table table("<>>>>>");
  table.add({"name", "count", "mean", "min", "max", "last"});
  for (const auto& [name, summary] : summarize(records)) {
    const auto number = [&summary = summary](double value) {
      return summary.numbers == 0 ? std::string("-") : fmt::format("{:.6g}", value);
    };
    table.add({name, std::to_string(summary.count),
               number(summary.sum / static_cast<double>(summary.numbers)), number(summary.least),
               number(summary.most), summary.last});
  }
  return table.to_string("");
}

std::string as_csv(const std::vector<Json>& records) {
  std::string text = "time,node,process,mini_batch,kind,name,value\n";
  for (const Json& record : records) {
    text += dump(record["time"]);
    for (const char* field : {"node", "process", "mini_batch", "kind", "name", "value"}) {
      text += "," + entry::csv_field(shown(record.value(field, Json())));
    }
    text += "\n";
  }
  return text;
}

/// The text exposition format: what a node exporter's textfile collector reads.
std::string as_prometheus(const std::vector<Json>& records) {
  const auto label = [](const std::string& name) {
    std::string escaped;
    for (const char c : name) {
      if (c == '\\' || c == '"') escaped += '\\';
      escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return escaped;
  };
  std::string last = "# TYPE prs_metric_last gauge\n";
  std::string count = "# TYPE prs_metric_count counter\n";
  std::string sum = "# TYPE prs_metric_sum gauge\n";
  for (const auto& [name, summary] : summarize(records)) {
    if (summary.numbers == 0) continue;
    const std::string labels = fmt::format("{{name=\"{}\"}}", label(name));
    last += fmt::format("prs_metric_last{} {}\n", labels, summary.last);
    count += fmt::format("prs_metric_count{} {}\n", labels, summary.numbers);
    sum += fmt::format("prs_metric_sum{} {}\n", labels, summary.sum);
  }
  return last + count + sum;
}

int metrics(const fs::path& output, const std::string& format) {
  const std::vector<Json> records = read_metrics(output);
  if (format == "json") {
    Json list = Json::array();
    for (const Json& record : records) list.push_back(record);
    print(list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else if (format == "csv") {
    print(as_csv(records));
  } else if (format == "prometheus") {
    print(as_prometheus(records));
  } else if (records.empty()) {
    fmt::print(stderr, "prs-gpu: the job in {} has logged no metrics\n", output.string());
  } else {
    print(as_table(records) + "\n");
  }
  return kExitDone;
}

}  // namespace

void add_metrics(CLI::App& app, Command& chosen) {
  struct Options {
    fs::path output;
    std::string format = "text";
  };
  CLI::App* command = app.add_subcommand("metrics", "What a job's script logged with Run.log()");
  auto options = std::make_shared<Options>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command->add_option("--format", options->format, "text, json, csv, prometheus")
      ->check(CLI::IsMember({"text", "json", "csv", "prometheus"}));
  command->footer(
      "\nExamples:\n"
      "  prs-gpu metrics out\n"
      "  prs-gpu metrics out --format csv\n");
  command->callback([options, &chosen] {
    chosen = [options] { return metrics(options->output, options->format); };
  });
}

}  // namespace prs::cli
