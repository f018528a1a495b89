// `prs-gpu metrics`: what entry scripts logged with Run.log(), from the job's journal. A job that
// runs is seen as of its last accepted mini-batch.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "commands.hpp"
#include "errors.hpp"
#include "logs/csv.hpp"
#include "output.hpp"
#include "runtime/job_folder.hpp"
#include "store/journal.hpp"
#include "store/metric_summary.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string dump(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string as_table(const store::Journal& journal, bool all_tries) {
  Table table("<>>>>>");
  table.add({"name", "count", "mean", "min", "max", "last"});
  for (const auto& [name, summary] : store::summarize_metrics(journal, all_tries)) {
    const auto number = [&summary = summary](double value) {
      return summary.numbers == 0 ? std::string("-") : fmt::format("{:.6g}", value);
    };
    table.add({name, std::to_string(summary.count),
               number(summary.sum / static_cast<double>(summary.numbers)), number(summary.least),
               number(summary.most), summary.last_value});
  }
  return table.to_string("");
}

/// Seconds since 1970 as logged: to the microsecond.
std::string seconds(std::int64_t time_us) {
  return fmt::format("{}.{:06}", time_us / 1'000'000, time_us % 1'000'000);
}

/// A number, or "" outside of run().
std::string of_try(const store::Metric& metric, std::int64_t number) {
  return metric.mini_batch < 0 ? "" : std::to_string(number);
}

std::string as_csv(const store::Journal& journal, bool all_tries) {
  std::string text = "time,node,process,mini_batch,attempt,accepted,kind,name,value\n";
  journal.for_each_metric(all_tries, [&](const store::Metric& metric) {
    text += fmt::format("{},{},{},{},{},{},{},{},{}\n", seconds(metric.time_us), metric.node,
                        metric.process, of_try(metric, metric.mini_batch),
                        of_try(metric, metric.attempt), metric.accepted,
                        logs::csv_field(metric.kind), logs::csv_field(metric.name),
                        logs::csv_field(store::metric_text(metric.value)));
  });
  return text;
}

std::string as_json(const store::Journal& journal, bool all_tries) {
  Json list = Json::array();
  journal.for_each_metric(all_tries, [&](const store::Metric& metric) {
    const bool in_run = metric.mini_batch >= 0;
    list.push_back({{"time", static_cast<double>(metric.time_us) * 1e-6},
                    {"node", metric.node},
                    {"process", metric.process},
                    {"mini_batch", in_run ? Json(metric.mini_batch) : Json()},
                    {"attempt", in_run ? Json(metric.attempt) : Json()},
                    {"accepted", metric.accepted},
                    {"kind", metric.kind},
                    {"name", metric.name},
                    {"value", Json::parse(metric.value, nullptr, false)}});
  });
  return dump(list, 2) + "\n";
}

int metrics(const fs::path& output, const std::string& format, bool all_tries) {
  const runtime::JobFolder folder(output);
  if (!folder.has_job()) {
    fail(ErrorCode::kInvalidArgument, "{} holds no job of prs-gpu (no {})", output.string(),
         (folder.store() / "job.sqlite").string());
  }
  const store::Journal journal(folder.store(), true);
  if (format == "json") {
    print(as_json(journal, all_tries));
  } else if (format == "csv") {
    print(as_csv(journal, all_tries));
  } else if (format == "prometheus") {
    const std::optional<store::JobRecord> job = journal.job();
    print(
        store::to_prometheus(store::summarize_metrics(journal, all_tries), job ? job->run_id : ""));
  } else if (store::summarize_metrics(journal, all_tries).empty()) {
    fmt::print(stderr, "prs-gpu: the job in {} has logged no metrics\n", output.string());
  } else {
    print(as_table(journal, all_tries) + "\n");
  }
  return kExitDone;
}

}  // namespace

void add_metrics(CLI::App& app, Command& chosen) {
  struct Options {
    fs::path output;
    std::string format = "text";
    bool all_tries = false;
  };
  CLI::App* command = app.add_subcommand("metrics", "What a job's script logged with Run.log()");
  auto options = std::make_shared<Options>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command->add_option("--format", options->format, "text, json, csv, prometheus")
      ->check(CLI::IsMember({"text", "json", "csv", "prometheus"}));
  command->add_flag("--all-tries", options->all_tries,
                    "also what tries logged that failed or were cut off");
  command->footer(
      "\nExamples:\n"
      "  prs-gpu metrics out\n"
      "  prs-gpu metrics out --format csv\n");
  command->callback([options, &chosen] {
    chosen = [options] { return metrics(options->output, options->format, options->all_tries); };
  });
}

}  // namespace prs::cli
