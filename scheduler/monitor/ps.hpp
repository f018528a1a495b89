// What `ps auxww` prints, made from /proc: to run ps itself takes as much time as a small job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "monitor/processes.hpp"

namespace prs::monitor {

/// The table of these processes, masked. One that has ended meanwhile is left out.
std::string ps_text(const std::vector<ProcessInfo>& processes);

/// The table without what a command line sets environment variables to (--set
/// environment_variables.NAME=VALUE): that may be a secret, and the table goes into logs.
std::string mask_secrets(const std::string& ps);

/// A line of the table needs more than ProcessInfo holds.
struct PsRow {
  ProcessInfo process;
  std::string user;
  std::string command;  ///< With its arguments; "": shown as [name].
};
/// The machine around the processes.
struct PsMachine {
  std::int64_t now_s = 0;   ///< Unix time.
  std::int64_t boot_s = 0;  ///< Unix time.
  std::int64_t ticks_per_s = 100;
  std::int64_t page_bytes = 4096;
  std::int64_t memory_bytes = 0;
};
/// The table in the format of `ps aux`; START is UTC. Pure.
std::string format_ps(const std::vector<PsRow>& rows, const PsMachine& machine);

}  // namespace prs::monitor
