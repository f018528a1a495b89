#include "monitor/ps.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "monitor/proc_files.hpp"

namespace prs::monitor {
namespace {

std::string user_name(uid_t user) {
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(user);
}

/// Device numbers as Linux assigns them: 4 is the consoles, 136 to 143 the pseudo terminals.
std::string terminal_name(std::int64_t device) {
  const std::int64_t major = (device >> 8) & 0xfff;
  const std::int64_t minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major == 4)
    return minor < 64 ? fmt::format("tty{}", minor) : fmt::format("ttyS{}", minor - 64);
  if (major >= 136 && major <= 143) return fmt::format("pts/{}", (major - 136) * 256 + minor);
  return "?";
}

std::string state_text(const ProcessInfo& process) {
  std::string text(1, process.state);
  if (process.nice < 0) text += '<';
  if (process.nice > 0) text += 'N';
  if (process.session == process.pid) text += 's';
  if (process.threads > 1) text += 'l';
  if (process.terminal != 0 && process.terminal_group == process.group) text += '+';
  return text;
}

/// "09:41" within a day, "Nov21" before.
std::string start_text(std::int64_t start_s, std::int64_t now_s) {
  const time_t time = start_s;
  struct tm parts {};
  ::gmtime_r(&time, &parts);
  if (now_s - start_s < 24 * 3600) return fmt::format("{:02}:{:02}", parts.tm_hour, parts.tm_min);
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}{:02}", kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_mday);
}

}  // namespace

std::string format_ps(const std::vector<PsRow>& rows, const PsMachine& machine) {
  const auto ratio = [](std::int64_t amount, std::int64_t of) {
    return of > 0 ? 100.0 * static_cast<double>(amount) / static_cast<double>(of) : 0.0;
  };
  std::string text = "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n";
  for (const PsRow& row : rows) {
    const ProcessInfo& process = row.process;
    const std::int64_t start_s = machine.boot_s + process.start_ticks / machine.ticks_per_s;
    const std::int64_t life_s = machine.now_s - start_s;
    const std::int64_t cpu_s = process.cpu_ticks / machine.ticks_per_s;
    const std::int64_t rss_bytes = process.rss_pages * machine.page_bytes;
    text +=
        fmt::format("{:<8} {:>7} {:>4.1f} {:>4.1f} {:>6} {:>5} {:<8} {:<4} {:<5} {:>3}:{:02} {}\n",
                    row.user, process.pid, ratio(process.cpu_ticks, life_s * machine.ticks_per_s),
                    ratio(rss_bytes, machine.memory_bytes), process.virtual_bytes / 1024,
                    rss_bytes / 1024, terminal_name(process.terminal), state_text(process),
                    start_text(start_s, machine.now_s), cpu_s / 60, cpu_s % 60,
                    row.command.empty() ? fmt::format("[{}]", process.name) : row.command);
  }
  return text;
}

std::string ps_text(const std::vector<ProcessInfo>& processes) {
  PsMachine machine;
  machine.now_s = ::time(nullptr);
  machine.boot_s = parse_boot_time_s(read_text("/proc/stat"));
  machine.ticks_per_s = ::sysconf(_SC_CLK_TCK);
  machine.page_bytes = ::sysconf(_SC_PAGESIZE);
  machine.memory_bytes = parse_memory(read_text("/proc/meminfo")).total_bytes;
  std::map<uid_t, std::string> names;
  std::vector<PsRow> rows;
  for (const ProcessInfo& process : processes) {
    const std::string folder = fmt::format("/proc/{}", process.pid);
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) continue;
    PsRow row;
    row.command = read_text(folder + "/cmdline");
    while (!row.command.empty() && row.command.back() == '\0') row.command.pop_back();
    // Arguments end with NUL; a line break in one would look like another process.
    std::replace_if(
        row.command.begin(), row.command.end(),
        [](char c) { return c == '\0' || c == '\n' || c == '\r'; }, ' ');
    const auto [name, is_new] = names.try_emplace(status.st_uid);
    if (is_new) name->second = user_name(status.st_uid);
    row.user = name->second;
    row.process = process;
    rows.push_back(std::move(row));
  }
  return mask_secrets(format_ps(rows, machine));
}

std::string mask_secrets(const std::string& ps) {
  constexpr std::string_view kVariables = "environment_variables.";
  std::string masked;
  for (std::size_t begin = 0; begin < ps.size();) {
    const std::size_t end = std::min(ps.find('\n', begin), ps.size() - 1) + 1;
    const std::string_view line(ps.data() + begin, end - begin);
    const std::size_t name = line.find(kVariables);
    const std::size_t equals = name == line.npos ? line.npos : line.find('=', name);
    if (equals == line.npos) {
      masked += line;
    } else {
      // ps does not show where an argument ends: all that follows may be the value.
      masked.append(line.substr(0, equals + 1)).append("(set)\n");
    }
    begin = end;
  }
  return masked;
}

}  // namespace prs::monitor
