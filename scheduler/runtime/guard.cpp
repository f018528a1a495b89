#include "runtime/guard.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <prs/error.hpp>
#include <random>
#include <string_view>

namespace prs::runtime {
namespace {

using Clock = std::chrono::steady_clock;

/// How long the guard goes on with processes that do not die, such as in a disk's uninterruptible
/// wait.
constexpr auto kPatience = std::chrono::seconds(10);

std::string random_token() {
  std::random_device random;
  return fmt::format("PRS_GPU_JOB_TOKEN={:08x}{:08x}{:08x}{:08x}", random(), random(), random(),
                     random());
}

/// Whether the process carries the variable. What has ended, or is another user's, does not.
bool carries(const char* pid, std::string_view variable) {
  const Fd file(::open(fmt::format("/proc/{}/environ", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::string text(1, '\0');
  std::array<char, 16384> buffer;
  ssize_t size = 0;
  while ((size = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text.find('\0' + std::string(variable) + '\0') != std::string::npos;
}

/// Kills every process that carries the variable and waits for the end of one. False when there was
/// none.
bool kill_some(std::string_view variable, Clock::time_point until) {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), ::closedir);
  if (!processes) return false;
  Fd killed;
  while (const dirent* entry = ::readdir(processes.get())) {
    const int pid = std::atoi(entry->d_name);
    if (pid <= 0 || pid == ::getpid()) continue;
    // Held before it is looked at: its number cannot become another's meanwhile.
    Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process || !carries(entry->d_name, variable)) continue;
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    killed = std::move(process);
  }
  if (!killed) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  pollfd end{killed.get(), POLLIN, 0};
  if (left.count() > 0) ::poll(&end, 1, static_cast<int>(left.count()));
  return true;
}

/// The life of the guard, in its process. `alive`: a pipe that ends with the agent.
[[noreturn]] void guard(int alive, const std::string& variable) {
  // Out of reach of the terminal's Ctrl-C and of kills of the agent's group.
  ::setsid();
  ::prctl(PR_SET_NAME, "prs-gpu guard");
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  // It must hold nothing open that others wait for: the job's lock, the user's pipes.
  ::dup2(alive, STDIN_FILENO);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(null, STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) {
  }
  const Clock::time_point until = Clock::now() + kPatience;
  // Again, as long as there are any: one may have started another meanwhile.
  while (Clock::now() < until && kill_some(variable, until)) {
  }
  ::_exit(0);
}

}  // namespace

Guard::Guard() : variable_(random_token()) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kIo, fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  const Fd watched(ends[0]);
  alive_ = Fd(ends[1]);
  pid_ = ::fork();
  if (pid_ == 0) guard(watched.get(), variable_);
  if (pid_ < 0) {
    throw Error(ErrorCode::kIo, fmt::format("cannot start a process: {}", std::strerror(errno)));
  }
}

Guard::~Guard() {
  begin_end();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace prs::runtime
