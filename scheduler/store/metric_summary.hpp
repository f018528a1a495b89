// What a job's metrics come to, by name, and as Prometheus reads it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "store/journal.hpp"

namespace prs::store {

/// One name's values over the whole job.
struct MetricSummary {
  std::int64_t count = 0;
  std::int64_t numbers = 0;  ///< How many of them are numbers; what follows is of those.
  double sum = 0;
  double least = 0;
  double most = 0;
  double last = 0;
  std::string last_value;  ///< Of all of them, as metric_text() has it.
};

/// A value for people: JSON, but strings without their quotes and null as nothing.
std::string metric_text(const std::string& json);

/// By name. Throws as Journal::for_each_metric().
std::map<std::string, MetricSummary> summarize_metrics(const Journal& journal,
                                                       bool all_tries = false);

/// The text exposition format: for each name of numbers prs_metric_last, _count and _sum, with the
/// labels run and name. Ends with a line's end, as the node exporter's textfile collector wants it.
std::string to_prometheus(const std::map<std::string, MetricSummary>& summaries,
                          const std::string& run_id);

}  // namespace prs::store
