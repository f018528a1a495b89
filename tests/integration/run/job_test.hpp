// What the tests of `prs-gpu run` share: a step over files whose words tell the faulty plugin what
// to do, the plugin's calls as they happen, and what a job has left behind.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "../program.hpp"

namespace prs::test {

/// The first fields of a CSV file's rows, up to the first one that is quoted.
std::vector<std::vector<std::string>> csv_rows(const std::filesystem::path& path);

/// One call of the plugin: "1234 run /dir/7.txt 0".
struct PluginCall {
  pid_t pid = 0;
  std::string function;
  std::string item;
  std::string gpus;
};

/// The plugin's calls, read from a FIFO: a test waits for the moment it wants, never for time.
class CallReader {
 public:
  explicit CallReader(const std::string& path);
  ~CallReader();
  /// Takes the first call of `function` on an item whose name contains `item`; calls of others,
  /// which may come before it or after it, stay. Fails the test when nothing comes for a minute.
  PluginCall wait_for(const std::string& function, const std::string& item);
  /// The next call, or nothing when the process ends before one comes.
  std::optional<PluginCall> next_before_end_of(pid_t process);
  /// Calls that have come, without waiting.
  std::vector<PluginCall> drain();

 private:
  bool fill(int timeout_ms);
  int descriptor_;
  std::string text_;
  std::deque<PluginCall> calls_;
};

class JobTest : public ProgramTest {
 protected:
  void SetUp() override;

  /// Writes files 000.txt, 001.txt, ... with these verbs into items/.
  void items(const std::vector<std::string>& verbs);
  /// `prs-gpu run` over items/ with the faulty plugin, output out/, one item a mini-batch, two
  /// workers; `more` comes last.
  std::vector<std::string> command(std::vector<std::string> more = {},
                                   const std::string& plugin_arguments = "") const;
  ProcessResult run(std::vector<std::string> more = {},
                    const std::string& plugin_arguments = "") const;
  ProcessResult resume(std::vector<std::string> more = {}) const;

  std::string out(const std::string& name) const { return file("out/" + name); }
  /// The rows of the output file, sorted.
  std::vector<std::string> rows() const;
  /// The rows of these items, as rows() gives them.
  static std::vector<std::string> rows_of(int count);
  /// processed_mini-batches.csv: how often each status stands there.
  std::map<std::string, int> statuses() const;
  /// Expects that no process of this job is left, waiting for those that are about to die.
  void expect_no_process_left() const;
};

/// Waits until the process has ended; false after a minute.
bool wait_for_end(pid_t pid);

}  // namespace prs::test
