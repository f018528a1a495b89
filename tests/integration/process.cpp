#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace prs::test {
namespace {

[[noreturn]] void fail_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::pair<int, int> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("pipe2");
  if (::fcntl(ends[0], F_SETPIPE_SZ, 4096) < 0) fail_errno("F_SETPIPE_SZ");
  return {ends[0], ends[1]};
}

/// A file in memory that holds `input`, at its beginning.
int make_input(const std::string& input) {
  const int descriptor = ::memfd_create("stdin", MFD_CLOEXEC);
  if (descriptor < 0) fail_errno("memfd_create");
  const ssize_t written = ::pwrite(descriptor, input.data(), input.size(), 0);
  if (written != static_cast<ssize_t>(input.size())) fail_errno("pwrite");
  return descriptor;
}

/// Appends what can be read now; false at the end of the stream.
bool read_some(int descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    if (count >= 0) return count > 0;
    if (errno != EINTR) fail_errno("read");
  }
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& input) {
  const int stdin_file = make_input(input);
  const auto [out_read, out_write] = make_pipe();
  const auto [err_read, err_write] = make_pipe();
  out_ = out_read;
  err_ = err_read;

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, stdin_file, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out_write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_write, STDERR_FILENO);
  // Whoever runs the tests may ignore SIGINT, as shells do for background jobs.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = ::posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  for (const int descriptor : {stdin_file, out_write, err_write}) ::close(descriptor);
  if (error != 0) throw std::system_error(error, std::generic_category(), arguments[0]);
}

Process::~Process() {
  for (const int descriptor : {out_, err_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

std::string Process::read_line(int descriptor, std::string& buffered) {
  std::size_t end = 0;
  while ((end = buffered.find('\n')) == std::string::npos) {
    if (!read_some(descriptor, buffered)) return std::exchange(buffered, {});
  }
  std::string line = buffered.substr(0, end);
  buffered.erase(0, end + 1);
  return line;
}

void Process::close_output() { ::close(std::exchange(out_, -1)); }

void Process::send(int signal) const {
  if (::kill(pid_, signal) != 0) fail_errno("kill");
}

ProcessResult Process::wait() {
  ProcessResult result{-1, 0, std::move(out_text_), std::move(err_text_)};
  std::array<pollfd, 2> streams = {pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  const std::array<std::string*, 2> texts = {&result.out, &result.err};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    if (::poll(streams.data(), streams.size(), -1) < 0 && errno != EINTR) fail_errno("poll");
    for (std::size_t i = 0; i < streams.size(); ++i) {
      const bool ready = streams[i].fd >= 0 && streams[i].revents != 0;
      if (ready && !read_some(streams[i].fd, *texts[i])) streams[i].fd = -1;
    }
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) fail_errno("waitpid");
  }
  pid_ = -1;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

ProcessResult run_process(const std::vector<std::string>& arguments, const std::string& input) {
  return Process(arguments, input).wait();
}

}  // namespace prs::test
