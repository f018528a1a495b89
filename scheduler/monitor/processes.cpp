#include "monitor/processes.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "monitor/fields.hpp"
#include "monitor/proc_files.hpp"

namespace prs::monitor {

namespace fs = std::filesystem;

std::optional<ProcessInfo> parse_process_stat(std::string_view stat) {
  // The name stands in parentheses and may itself hold blanks and parentheses.
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  const std::vector<std::string_view> field = fields_of(stat.substr(close + 1));
  if (field.size() < 22) return std::nullopt;
  ProcessInfo process;
  process.pid = integer(stat.substr(0, stat.find(' ')));
  process.name = stat.substr(open + 1, close - open - 1);
  // field[0] is the third field of proc(5).
  process.state = field[0].front();
  process.parent_pid = integer(field[1]);
  process.group = integer(field[2]);
  process.session = integer(field[3]);
  process.terminal = integer(field[4]);
  process.terminal_group = integer(field[5]);
  process.cpu_ticks = integer(field[11]) + integer(field[12]);
  process.nice = integer(field[16]);
  process.threads = integer(field[17]);
  process.start_ticks = integer(field[19]);
  process.virtual_bytes = integer(field[20]);
  process.rss_pages = integer(field[21]);
  return process;
}

ProcessIo parse_process_io(std::string_view text) {
  ProcessIo io;
  for_each_line(text, [&io](std::string_view line) {
    const std::vector<std::string_view> field = fields_of(line);
    if (field.size() < 2) return;
    if (field[0] == "read_bytes:") io.read_bytes = integer(field[1]);
    if (field[0] == "write_bytes:") io.written_bytes = integer(field[1]);
  });
  return io;
}

std::vector<ProcessInfo> all_processes() {
  std::vector<ProcessInfo> processes;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (integer(entry->path().filename().native()) <= 0) continue;
    std::optional<ProcessInfo> process = parse_process_stat(read_text(entry->path() / "stat"));
    if (process) processes.push_back(std::move(*process));
  }
  std::sort(processes.begin(), processes.end(),
            [](const ProcessInfo& a, const ProcessInfo& b) { return a.pid < b.pid; });
  return processes;
}

std::vector<ProcessInfo> tree_of(const std::vector<ProcessInfo>& processes, std::int64_t root) {
  std::set<std::int64_t> family = {root};
  // Pids wrap around, so a child may stand before its parent: until nothing is added.
  for (bool grew = true; grew;) {
    grew = false;
    for (const ProcessInfo& process : processes) {
      if (family.contains(process.parent_pid)) grew |= family.insert(process.pid).second;
    }
  }
  std::vector<ProcessInfo> tree;
  std::copy_if(processes.begin(), processes.end(), std::back_inserter(tree),
               [&family](const ProcessInfo& process) { return family.contains(process.pid); });
  return tree;
}

}  // namespace prs::monitor
