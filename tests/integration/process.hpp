// Child processes of tests: started with pipes, fed, signalled, waited for.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace prs::test {

struct ProcessResult {
  int exit_code = -1;  ///< -1: ended by `signal`.
  int signal = 0;
  std::string out;
  std::string err;
};

/// A running child. Its pipes hold one page each, so that it soon waits for its reader: a test
/// that has read one line knows that a child with much more to say is not done.
class Process {
 public:
  /// `arguments[0]` is the path of the program. Throws std::system_error.
  explicit Process(const std::vector<std::string>& arguments, const std::string& input = {});
  /// Kills the child if it was not waited for.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// The next line of standard output (of standard error) without its line feed; "" at the end.
  std::string read_line() { return read_line(out_, out_text_); }
  std::string read_error_line() { return read_line(err_, err_text_); }
  void close_output();
  void send(int signal) const;
  pid_t pid() const { return pid_; }
  /// Reads what is left of both streams until they end, and waits.
  ProcessResult wait();

 private:
  static std::string read_line(int descriptor, std::string& buffered);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string out_text_;  ///< Read, but not asked for yet.
  std::string err_text_;
};

/// Runs to the end.
ProcessResult run_process(const std::vector<std::string>& arguments, const std::string& input = {});

}  // namespace prs::test
