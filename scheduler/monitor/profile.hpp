// Where the time of a job goes (`prs-gpu run --profile`): spans of its stages, recorded by each of
// its processes into a file of its own, and put together at the end as a trace that Perfetto and
// chrome://tracing show, and a table.
//
// A recorder's file has a JSON object a line: events of the trace format, and from time to time
// {"sums": {"<track>": {"<stage>": seconds}}}, of which the last one counts. Times are of the
// monotonic clock, which all processes of a node share.
//
//   profile::Recorder recorder(folder / "process000.spans", "process000");
//   { profile::Scope scope(&recorder, profile::Stage::kCompute); engine.run(...); }
//
// Without a recorder a scope costs a comparison.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace prs::profile {

/// In the order of the table.
enum class Stage {
  kStart,     ///< To the first turn of the loop; loading the entry and its init().
  kList,      ///< Listing the inputs, on a thread of its own.
  kDispatch,  ///< Reading workers' messages, deciding, sending.
  kAccept,    ///< Appending accepted rows to the output.
  kJournal,
  kLogs,
  kRead,      ///< Opening and reading files.
  kDecode,    ///< Files to pixels.
  kAssemble,  ///< Putting the images of a batch side by side.
  kCompute,   ///< The model; run() of a script or plugin.
  kRows,      ///< Scores to text.
  kAppend,    ///< Rows to the worker's segment.
  kMessages,  ///< Parsing and writing of messages, in a worker.
  kWaiting,   ///< For messages, workers, or reading threads.
  kFinish,    ///< After the last mini-batch.
};
inline constexpr std::size_t kStages = 15;
std::string_view stage_name(Stage stage) noexcept;

using Clock = std::chrono::steady_clock;
/// Of each stage, without the stages within it.
using Seconds = std::array<double, kStages>;

/// Thread-safe. What cannot be written is lost, silently: a profile is no reason to fail.
class Recorder {
 public:
  /// Replaces the file. The calling thread's track has the name `process`.
  Recorder(const std::filesystem::path& file, std::string process);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// The calling thread gets a track "<process> <what>".
  void name_thread(std::string_view what);
  /// A span on the calling thread's track, of which other spans take `within`. It is within the
  /// scope that is open.
  void add(Stage stage, Clock::time_point start, Clock::time_point end,
           Clock::duration within = Clock::duration(0));
  /// The file is up to date.
  void flush();

 private:
  void name_track(int track, const std::string& name);
  void write_lines();

  const std::string process_;
  std::mutex mutex_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::string lines_;
  std::map<int, std::string> tracks_;  ///< By thread id.
  std::map<int, Seconds> sums_;
};

/// The time of its life is the stage's, but for that of scopes within it on the same thread.
class Scope {
 public:
  /// `recorder` may be null.
  Scope(Recorder* recorder, Stage stage) : recorder_(recorder) {
    if (recorder_ != nullptr) begin(stage);
  }
  ~Scope() {
    if (recorder_ != nullptr) end();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  friend class Recorder;
  void begin(Stage stage);
  void end();

  Recorder* const recorder_;
  Stage stage_ = Stage::kStart;
  Scope* outer_ = nullptr;
  Clock::time_point start_;
  Clock::duration within_{0};
};

/// Writes the trace from the recorders' files, and gives the table: seconds by stage of the program
/// itself (`own`: its recorder's process), of the workers and of their reading threads. Throws io.
std::string write_profile(std::span<const std::filesystem::path> parts, std::string_view own,
                          const std::filesystem::path& trace);

}  // namespace prs::profile
