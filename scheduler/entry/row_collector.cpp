#include "entry/row_collector.hpp"

#include <utility>

namespace prs::entry {

void RowCollector::add(std::string_view row) {
  ++rows_.count;
  if (counts_only_) return;
  if (safe_ && row.find_first_of("\n\r\\") != std::string_view::npos) {
    for (const char c : row) {
      switch (c) {
        case '\n':
          rows_.text += "\\n";
          break;
        case '\r':
          rows_.text += "\\r";
          break;
        case '\\':
          rows_.text += "\\\\";
          break;
        default:
          rows_.text += c;
      }
    }
  } else {
    rows_.text += row;
  }
  rows_.text += '\n';
}

Rows RowCollector::take() { return std::exchange(rows_, {}); }

}  // namespace prs::entry
