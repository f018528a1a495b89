#include "runtime/metric_files.hpp"

#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "output/file_io.hpp"

namespace prs::runtime {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kPartBytes = std::int64_t{1} << 20;
constexpr const char* kExtension = ".jsonl";

/// A line as prs_gpu_host.py writes it; nothing for one that a full disk or the script spoiled.
std::optional<store::Metric> parse_metric(std::string_view line, const std::string& process) {
  const Json record = Json::parse(line, nullptr, false);
  if (!record.is_object() || !record.contains("value")) return std::nullopt;
  const auto number = [&record](const char* key, std::int64_t missing) {
    const auto found = record.find(key);
    return found != record.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                               : missing;
  };
  const auto text = [&record](const char* key) {
    const auto found = record.find(key);
    return found != record.end() && found->is_string() ? found->get<std::string>() : "";
  };
  return store::Metric{
      .time_us = number("time_us", 0),
      .process = process,
      .mini_batch = number("mini_batch", -1),
      .attempt = static_cast<int>(number("attempt", 0)),
      .kind = text("kind"),
      .name = text("name"),
      .value = record["value"].dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace

fs::path MetricFiles::path(const std::string& process) const {
  return folder_ / (process + kExtension);
}

void MetricFiles::take(const std::string& process) {
  const fs::path file = path(process);
  std::error_code error;
  if (!fs::exists(file, error)) return;
  const output::Descriptor descriptor = output::open_file(file, O_RDONLY);
  const std::int64_t size = output::file_size(descriptor, file);
  std::int64_t taken = journal_.metrics_taken(process);
  std::string part;
  for (std::int64_t part_size = kPartBytes; taken < size;) {
    part.resize(static_cast<std::size_t>(std::min(part_size, size - taken)));
    output::read_at(descriptor, file, taken, part.data(), static_cast<std::int64_t>(part.size()));
    const std::size_t end = part.rfind('\n');
    if (end == std::string::npos) {
      if (taken + part_size >= size) return;
      part_size *= 2;  // A line longer than that.
      continue;
    }
    std::vector<store::Metric> metrics;
    for (std::string_view rest(part.data(), end + 1); !rest.empty();) {
      const std::size_t line = rest.find('\n');
      if (auto metric = parse_metric(rest.substr(0, line), process)) {
        metrics.push_back(std::move(*metric));
      }
      rest.remove_prefix(line + 1);
    }
    taken += static_cast<std::int64_t>(end) + 1;
    journal_.add_metrics(process, taken, std::move(metrics));
    has_news_ = true;
    if (taken + part_size < size) journal_.flush();  // Not all of a large file in memory.
  }
}

void MetricFiles::take_all() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() == kExtension) take(entry.path().stem().string());
  }
}

void MetricFiles::remove() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace prs::runtime
