#include "store/metric_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace prs::store {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& value, const std::string& json) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : json;
}

/// A label's value.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return result;
}

std::string prometheus_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

std::string metric_text(const std::string& json) {
  return text_of(Json::parse(json, nullptr, false), json);
}

std::map<std::string, MetricSummary> summarize_metrics(const Journal& journal, bool all_tries) {
  std::map<std::string, MetricSummary> summaries;
  journal.for_each_metric(all_tries, [&](const Metric& metric) {
    MetricSummary& summary = summaries[metric.name];
    const Json value = Json::parse(metric.value, nullptr, false);
    ++summary.count;
    summary.last_value = text_of(value, metric.value);
    if (!value.is_number()) return;
    summary.last = value.get<double>();
    summary.least = summary.numbers == 0 ? summary.last : std::min(summary.least, summary.last);
    summary.most = summary.numbers == 0 ? summary.last : std::max(summary.most, summary.last);
    summary.sum += summary.last;
    ++summary.numbers;
  });
  return summaries;
}

std::string to_prometheus(const std::map<std::string, MetricSummary>& summaries,
                          const std::string& run_id) {
  std::string last =
      "# HELP prs_metric_last The last number that the entry script logged by this name.\n"
      "# TYPE prs_metric_last gauge\n";
  std::string count =
      "# HELP prs_metric_count How many numbers the entry script logged by this name.\n"
      "# TYPE prs_metric_count gauge\n";
  std::string sum =
      "# HELP prs_metric_sum The sum of the numbers that the entry script logged by this name.\n"
      "# TYPE prs_metric_sum gauge\n";
  for (const auto& [name, summary] : summaries) {
    if (summary.numbers == 0) continue;
    const std::string labels =
        fmt::format("{{run=\"{}\",name=\"{}\"}}", escaped(run_id), escaped(name));
    last += fmt::format("prs_metric_last{} {}\n", labels, prometheus_number(summary.last));
    count += fmt::format("prs_metric_count{} {}\n", labels, summary.numbers);
    sum += fmt::format("prs_metric_sum{} {}\n", labels, prometheus_number(summary.sum));
  }
  return last + count + sum;
}

}  // namespace prs::store
