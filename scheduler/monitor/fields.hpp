// Lines, fields and numbers of the kernel's tables.
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>
#include <vector>

namespace prs::monitor {

template <typename Visit>
void for_each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// Fields between blanks.
inline std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  constexpr std::string_view kBlank = " \t\r\n";
  std::size_t begin = 0;
  while ((begin = line.find_first_not_of(kBlank, begin)) != std::string_view::npos) {
    const std::size_t end = line.find_first_of(kBlank, begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) break;
    begin = end;
  }
  return fields;
}

/// A decimal number; 0 for anything else.
inline std::int64_t integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? value : 0;
}

}  // namespace prs::monitor
