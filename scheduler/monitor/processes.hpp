// The processes of the machine, from /proc/<pid>.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace prs::monitor {

struct ProcessInfo {
  std::int64_t pid = 0;
  std::int64_t parent_pid = 0;
  std::int64_t session = 0;
  std::int64_t group = 0;
  std::int64_t terminal = 0;        ///< Device number; 0: none.
  std::int64_t terminal_group = 0;  ///< The foreground process group of the terminal.
  std::string name;                 ///< Of the program, at most 15 bytes.
  char state = '?';
  std::int64_t cpu_ticks = 0;
  std::int64_t start_ticks = 0;  ///< Since boot.
  std::int64_t nice = 0;
  std::int64_t threads = 0;
  std::int64_t virtual_bytes = 0;
  std::int64_t rss_pages = 0;
};

/// /proc/<pid>/stat; nothing when it is not one.
std::optional<ProcessInfo> parse_process_stat(std::string_view stat);

/// /proc/<pid>/io: bytes that went from and to storage.
struct ProcessIo {
  std::int64_t read_bytes = 0;
  std::int64_t written_bytes = 0;
};
ProcessIo parse_process_io(std::string_view io);

/// All processes that can be seen, by pid. One that ends meanwhile is left out.
std::vector<ProcessInfo> all_processes();

/// `root` and what descends from it, in the order given.
std::vector<ProcessInfo> tree_of(const std::vector<ProcessInfo>& processes, std::int64_t root);

}  // namespace prs::monitor
