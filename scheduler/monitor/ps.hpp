// What `ps auxww` prints: by ps itself, or by us where Debian's package procps is not installed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "monitor/processes.hpp"

namespace prs::monitor {

/// The table of all processes, masked.
std::string ps_text();

/// The table without what a command line sets environment variables to (--set
/// environment_variables.NAME=VALUE): that may be a secret, and the table goes into logs.
std::string mask_secrets(const std::string& ps);

/// What `program auxww` prints; "" when there is none or it fails or takes longer than five
/// seconds.
std::string run_ps(const std::string& program = "/bin/ps");

/// A line of our own table needs more than ProcessInfo holds.
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

/// Our own table of all processes.
std::string own_ps();

}  // namespace prs::monitor
