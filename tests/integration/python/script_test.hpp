// What the tests of Python entry scripts share: a script per test, run by the real program.
#pragma once

#include <string>
#include <vector>

#include "../run/job_test.hpp"

namespace prs::test {

class ScriptTest : public JobTest {
 protected:
  /// Writes src/<name>.
  void script(const std::string& text, const std::string& name = "score.py") const {
    write_text(file("src/" + name), text);
  }
  /// `prs-gpu run` over items/ with src/score.py, output out/, one worker, one item a mini-batch,
  /// one try; `more` comes last.
  std::vector<std::string> script_command(std::vector<std::string> more = {}) const;
  ProcessResult run_script(std::vector<std::string> more = {}) const {
    return run_process(script_command(std::move(more)));
  }
  /// The output file as it is.
  std::string output() const { return read_text(out("parallel_run_step.txt")); }
  /// A log of the first worker, such as "user/stdout/0/process000.stdout.txt".
  std::string log(const std::string& name) const { return read_text(out("logs/" + name)); }
  std::string stdout_log() const { return log("user/stdout/0/process000.stdout.txt"); }
  std::string error_log() const { return log("user/error/0/process000.txt"); }
};

void expect_in(const std::string& text, const std::string& part);

}  // namespace prs::test
