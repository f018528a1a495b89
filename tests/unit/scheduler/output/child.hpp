// A part of a test that runs in a process of its own: to be killed, to hold locks, to meet limits.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace prs::test {

/// A forked process. Whatever is not waited for is killed at the end of the scope.
class Child {
 public:
  /// What the child's body may use: say() reaches the parent, hear() waits for one byte from it.
  class Line {
   public:
    Line(int in, int out) : in_(in), out_(out) {}
    void say(std::string_view text) const {
      if (::write(out_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
    }
    /// False when the parent has closed its end.
    bool hear() const {
      char byte = 0;
      return ::read(in_, &byte, 1) == 1;
    }

   private:
    int in_;
    int out_;
  };

  /// An exception of `body` is said to the parent, and the exit code is then 1.
  explicit Child(const std::function<void(const Line&)>& body) {
    std::array<int, 2> down{};
    std::array<int, 2> up{};
    if (::pipe(down.data()) != 0 || ::pipe(up.data()) != 0) fail("pipe");
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) {
      ::close(down[1]);
      ::close(up[0]);
      const Line line(down[0], up[1]);
      try {
        body(line);
      } catch (const std::exception& error) {
        line.say(error.what());
        _exit(1);
      }
      _exit(0);
    }
    ::close(down[0]);
    ::close(up[1]);
    in_ = up[0];
    out_ = down[1];
  }
  ~Child() {
    if (pid_ > 0) {
      kill();
      wait();
    }
    ::close(in_);
    ::close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  /// The next `count` bytes that the child says, fewer when it ends before.
  std::string hear(std::size_t count) const {
    std::string text(count, '\0');
    std::size_t filled = 0;
    while (filled < count) {
      const ssize_t got = ::read(in_, text.data() + filled, count - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      filled += static_cast<std::size_t>(got);
    }
    text.resize(filled);
    return text;
  }
  /// Everything until the child ends.
  std::string hear_all() const {
    std::string text;
    for (std::string part = hear(4096); !part.empty(); part = hear(4096)) text += part;
    return text;
  }
  void say() const {
    if (::write(out_, ".", 1) != 1) fail("write");
  }
  void kill() const { ::kill(pid_, SIGKILL); }

  /// The exit code, or minus the signal.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) fail("waitpid");
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
};

}  // namespace prs::test
