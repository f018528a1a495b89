// What a person sees while a job runs: on a real (pseudo) terminal, and where nobody watches.

#include <fmt/format.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "job_test.hpp"

namespace prs::test {
namespace {

/// What a terminal shows after some bytes: the lines, as far as prs-gpu's own sequences need it.
class Screen {
 public:
  void feed(const std::string& bytes) {
    pending_ += bytes;
    std::size_t i = 0;
    for (; i < pending_.size(); ++i) {
      if (pending_[i] == '\n') {
        if (++row_ == lines_.size()) lines_.emplace_back();
      } else if (pending_[i] == '\r') {
        column_ = 0;
      } else if (pending_[i] == '\033') {
        const std::size_t end = pending_.find_first_not_of("[0123456789;?", i + 1);
        if (end == std::string::npos) break;  // The rest is still to come.
        control(pending_.substr(i + 1, end - i));
        i = end;
      } else {
        lines_[row_].resize(std::max(lines_[row_].size(), column_), ' ');
        lines_[row_].replace(column_, 1, 1, pending_[i]);
        ++column_;
      }
    }
    pending_.erase(0, i);
  }
  const std::vector<std::string>& lines() const { return lines_; }
  std::string text() const {
    std::string text;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
  }
  bool cursor_shown() const { return cursor_shown_; }

 private:
  void control(const std::string& sequence) {
    if (sequence == "[1A") {
      EXPECT_GT(row_, 0U) << "above the screen";
      if (row_ > 0) --row_;
    } else if (sequence == "[2K") {
      lines_[row_].clear();
    } else if (sequence == "[?25l" || sequence == "[?25h") {
      cursor_shown_ = sequence == "[?25h";
    } else {
      ADD_FAILURE() << "an unknown sequence: ESC " << sequence;
    }
  }

  std::vector<std::string> lines_ = {""};
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  bool cursor_shown_ = true;
  std::string pending_;
};

/// A program on a pseudo-terminal of 80 columns, as its foreground job.
class OnTerminal {
 public:
  OnTerminal(const std::vector<std::string>& arguments, unsigned short rows) {
    std::vector<char*> argv;
    for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    const winsize size{rows, 80, 0, 0};
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      ::signal(SIGINT, SIG_DFL);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    EXPECT_GT(pid_, 0);
  }
  ~OnTerminal() {
    ::close(terminal_);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  void type(const std::string& keys) const {
    ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  /// Reads until the screen holds every one of these; false at the end of the output, or when there
  /// is none for a minute.
  bool wait_for(const std::vector<std::string>& parts) {
    const auto has_all = [&] {
      const std::string text = screen.text();
      return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
        return text.find(part) != std::string::npos;
      });
    };
    while (!has_all()) {
      if (!read_some()) return false;
    }
    return true;
  }
  /// Reads what is left and gives the exit code; -1 after a signal.
  int wait() {
    while (read_some()) {
    }
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  Screen screen;

 private:
  bool read_some() {
    pollfd one{terminal_, POLLIN, 0};
    if (::poll(&one, 1, 60'000) <= 0) return false;
    char buffer[4096];
    const ssize_t size = ::read(terminal_, buffer, sizeof buffer);
    if (size <= 0) return false;  // EIO: nobody has the terminal open any more.
    screen.feed({buffer, static_cast<std::size_t>(size)});
    return true;
  }

  int terminal_ = -1;
  pid_t pid_ = -1;
};

class TerminalRun : public JobTest {};

TEST_F(TerminalRun, U2_ShowsABarAndWhatEachWorkerDoesUntilCtrlC) {
  items({"ok", "hang", "hang"});
  CallReader calls(file("calls"));
  OnTerminal job(command({}, "--log " + file("calls")), 24);
  calls.wait_for("run", "001.txt");
  calls.wait_for("run", "002.txt");
  ASSERT_TRUE(
      job.wait_for({"1/3 mini-batches", "process000 run of mini-batch", "process001 run of"}))
      << job.screen.text();
  // One bar and one line a worker, however often they were drawn.
  EXPECT_EQ(std::count_if(job.screen.lines().begin(), job.screen.lines().end(),
                          [](const std::string& line) { return line.find("1/3") != line.npos; }),
            1);
  job.type("\x03");
  ASSERT_TRUE(job.wait_for({"stopping: running mini-batches may end"})) << job.screen.text();
  job.type("\x03");
  EXPECT_EQ(job.wait(), 130);
  const std::string last = job.screen.text();
  EXPECT_TRUE(job.screen.cursor_shown());
  EXPECT_EQ(last.find("1/3 mini-batches"), std::string::npos) << "the bar is left:\n" << last;
  EXPECT_NE(last.find("Status:       Canceled"), std::string::npos) << last;
  EXPECT_NE(last.find("prs-gpu resume " + file("out")), std::string::npos) << last;
  expect_no_process_left();
}

TEST_F(TerminalRun, ALowTerminalShowsNoMoreLinesThanItHas) {
  items({"hang", "hang", "hang", "hang", "hang", "hang"});
  OnTerminal job(command({"--workers", "6"}), 5);
  ASSERT_TRUE(job.wait_for({"0/6", "more workers: "})) << job.screen.text();
  job.type("\x03");
  ASSERT_TRUE(job.wait_for({"stopping: running mini-batches may end"})) << job.screen.text();
  job.type("\x03");
  EXPECT_EQ(job.wait(), 130);
}

TEST_F(TerminalRun, WhereNobodyWatchesThereArePlainLines) {
  items({"hang", "hang"});
  Process job(command());
  std::string line;
  do {
    line = job.read_error_line();
    ASSERT_FALSE(line.empty());
    EXPECT_EQ(line.find('\033'), std::string::npos) << line;
  } while (line.find("no mini-batch processed yet: process000 run") == std::string::npos);
  job.send(SIGINT);
  job.send(SIGTERM);
  const ProcessResult result = job.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.find('\033'), std::string::npos) << result.err;
}

}  // namespace
}  // namespace prs::test
