#include <algorithm>
#include <array>
#include <cstddef>

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

}  // namespace

std::string settings_table(const Step& step) {
  using Row = std::array<std::string, 4>;
  std::vector<Row> rows = {{"setting", "value", "unit", "where from"}};
  for (const SettingOrigin& origin : step.origins) {
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

}  // namespace prs::config
