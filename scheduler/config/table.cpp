#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include "config/step.hpp"

namespace prs::config {
namespace {

/// Columns on a terminal, as near as the count of code points comes.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

/// One line of the table: a long list of inputs is cut, line breaks go.
std::string one_line(std::string text) {
  constexpr std::size_t kMaxBytes = 100;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  if (text.size() <= kMaxBytes) return text;
  std::size_t end = kMaxBytes - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

constexpr std::array kLimits = {
    "mini_batch_size",
    "error_threshold",
    "allowed_failed_count",
    "allowed_failed_percent",
    "process_count_per_node",
    "run_invocation_timeout",
    "task_overhead_timeout",
    "progress_update_timeout",
    "first_task_creation_timeout",
    "run_max_try",
};

std::string table_of(const std::vector<SettingOrigin>& origins) {
  using Row = std::array<std::string, 4>;
  std::vector<Row> rows = {{"setting", "value", "unit", "where from"}};
  for (const SettingOrigin& origin : origins) {
    rows.push_back({origin.key, one_line(origin.value), origin.unit, origin.origin});
  }
  std::array<std::size_t, 4> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += row[i] + std::string(widths[i] - width(row[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

}  // namespace

std::string settings_table(const Step& step) { return table_of(step.origins); }

std::string limits_table(const Step& step) {
  std::vector<SettingOrigin> limits;
  std::copy_if(step.origins.begin(), step.origins.end(), std::back_inserter(limits),
               [](const SettingOrigin& origin) {
                 return std::find(kLimits.begin(), kLimits.end(), origin.key) != kLimits.end();
               });
  return table_of(limits);
}

}  // namespace prs::config
