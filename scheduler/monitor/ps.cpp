#include "monitor/ps.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "monitor/proc_files.hpp"

extern char** environ;

namespace prs::monitor {
namespace {

constexpr auto kPsTime = std::chrono::seconds(5);

/// Both ends of a pipe, closed at the end of the scope.
struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(std::size_t end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
};

/// Starts ps with its stdout in the pipe; nothing when there is none. The child gets no signal
/// mask of ours, and a process group of its own so that Ctrl-C does not cut its table short.
std::optional<pid_t> spawn_ps(const std::string& path, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string program = "ps";
  std::string options = "auxww";
  const std::array<char*, 3> arguments = {program.data(), options.data(), nullptr};
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, path.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::nullopt;
  return pid;
}

/// Everything the pipe gives until its end; false when that does not come in time.
bool read_all(int descriptor, std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + kPsTime;
  std::array<char, 65536> block;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waiting{descriptor, POLLIN, 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t count = ::read(descriptor, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) return true;
    text.append(block.data(), static_cast<std::size_t>(count));
  }
}

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

std::string run_ps(const std::string& program) {
  Pipe pipe;
  if (pipe.ends[0] < 0) return {};
  const std::optional<pid_t> pid = spawn_ps(program, pipe.ends[1]);
  if (!pid) return {};
  pipe.close_end(1);
  std::string text;
  bool good = read_all(pipe.ends[0], text);
  if (!good) ::kill(*pid, SIGKILL);
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0) {
    // ECHILD: the program ignores SIGCHLD, so that nobody can tell how ps ended.
    if (errno != EINTR) break;
  }
  good = good && status == 0;
  return good ? text : std::string();
}

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

std::string own_ps() {
  PsMachine machine;
  machine.now_s = ::time(nullptr);
  machine.boot_s = parse_boot_time_s(read_text("/proc/stat"));
  machine.ticks_per_s = ::sysconf(_SC_CLK_TCK);
  machine.page_bytes = ::sysconf(_SC_PAGESIZE);
  machine.memory_bytes = parse_memory(read_text("/proc/meminfo")).total_bytes;
  std::vector<PsRow> rows;
  for (ProcessInfo& process : all_processes()) {
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
    row.user = user_name(status.st_uid);
    row.process = std::move(process);
    rows.push_back(std::move(row));
  }
  return format_ps(rows, machine);
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

std::string ps_text() {
  std::string text = run_ps();
  return mask_secrets(text.empty() ? own_ps() : text);
}

}  // namespace prs::monitor
