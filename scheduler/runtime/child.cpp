#include "runtime/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <prs/error.hpp>

#include "runtime/worker.hpp"

namespace prs::runtime {
namespace {

[[noreturn]] void fail_with(int error, const std::string& what) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(error)));
}

Fd open_log(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!fd) fail_with(errno, "cannot open " + path.string());
  return fd;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

/// Another descriptor for the same, beyond those that a worker finds: dup2 onto itself would leave
/// it closed on exec.
Fd beyond_workers_own(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kWorkerWeights + 1));
  if (!copy) fail_with(errno, "cannot make a worker's descriptors");
  return copy;
}

/// posix_spawn's attributes and file actions, destroyed with the scope.
struct SpawnSetup {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;

  SpawnSetup(int out, int err, int socket, int claims, int weights) {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
    // A group of its own: Ctrl-C in the terminal reaches the agent alone, and a kill reaches
    // whatever the entry has started.
    ::posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, socket, kWorkerSocket);
    ::posix_spawn_file_actions_adddup2(&actions, claims, kWorkerClaims);
    if (weights >= 0) ::posix_spawn_file_actions_adddup2(&actions, weights, kWorkerWeights);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

}  // namespace

Fd shared_weights_file() {
  Fd file(::memfd_create("prs-gpu-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  // What a worker has mapped must not vanish below it.
  if (file && ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return {};
  return file;
}

std::string ExitStatus::to_string() const {
  if (!signaled) return fmt::format("exit code {}", code);
  return fmt::format("signal {} ({}{})", code, ::strsignal(code), core ? ", core dumped" : "");
}

Child::Child(const ChildOptions& options) {
  const Fd out = open_log(options.stdout_file);
  const Fd err = open_log(options.stderr_file);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    fail_with(errno, "cannot make a worker's socket");
  }
  socket_ = Fd(ends[0]);
  Fd child_end(ends[1]);
  child_end = beyond_workers_own(child_end.get());
  const Fd child_claims = beyond_workers_own(claims_.fd());
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  const Fd weights =
      options.shared_weights >= 0 ? beyond_workers_own(options.shared_weights) : Fd();
  const SpawnSetup setup(out.get(), err.get(), child_end.get(), child_claims.get(), weights.get());
  const std::vector<char*> arguments = pointers(options.arguments);
  const std::vector<char*> environment = pointers(options.environment);
  const int error = ::posix_spawn(&pid_, arguments[0], &setup.actions, &setup.attributes,
                                  arguments.data(), environment.data());
  if (error != 0) fail_with(error, "cannot start " + options.arguments[0]);
  pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) {
    const int pidfd_error = errno;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    fail_with(pidfd_error, "pidfd_open (Linux 5.3 or newer is needed)");
  }
}

Child::~Child() {
  if (pid_ > 0 && !reaped_) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Child::signal_group(int signal) const {
  if (!reaped_) ::kill(-pid_, signal);
}

void Child::signal(int signal) const {
  if (!reaped_) ::kill(pid_, signal);
}

ExitStatus Child::reap() {
  // While the process is not reaped, its number and its group's cannot be given to others.
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (WIFSIGNALED(status)) {
    return {.signaled = true, .code = WTERMSIG(status), .core = WCOREDUMP(status) != 0};
  }
  return {.signaled = false, .code = WEXITSTATUS(status)};
}

std::int64_t kernel_oom_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  std::int64_t value = 0;
  while (file >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return -1;
}

}  // namespace prs::runtime
