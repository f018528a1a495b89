// A child process that lives until the end of its scope: `cat`, waiting for input.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>

namespace prs::test {

class Child {
 public:
  Child() {
    if (::pipe2(input_.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe");
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input_[0], STDIN_FILENO);
    std::string program = "cat";
    std::string argument = "-u";
    const std::array<char*, 3> arguments = {program.data(), argument.data(), nullptr};
    const int error =
        ::posix_spawn(&pid_, "/bin/cat", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::generic_category(), "/bin/cat");
  }
  ~Child() {
    ::close(input_[1]);
    ::close(input_[0]);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

 private:
  std::array<int, 2> input_{-1, -1};
  pid_t pid_ = 0;
};

}  // namespace prs::test
