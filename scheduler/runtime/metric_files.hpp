// How metrics come from the workers into the job's journal. A worker appends each one to a file of
// its own as a line of JSON, and so does a process that it forked; the orchestrator takes what is
// there when the worker has finished a mini-batch or has ended. What a killed worker has logged is
// therefore kept, what a killed orchestrator had not taken yet is taken at the resume, and nothing
// is taken twice: the journal stores what came together with how far it has come.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "store/journal.hpp"

namespace prs::runtime {

/// Used by one thread. Takes throw io when a file is there and cannot be read, or the journal
/// cannot be written.
class MetricFiles {
 public:
  /// `folder` need not be there.
  MetricFiles(std::filesystem::path folder, store::Journal& journal)
      : folder_(std::move(folder)), journal_(journal) {}

  /// The file of a worker of node 0.
  std::filesystem::path path(const std::string& process) const;
  /// Gives the journal's buffer what the worker has logged since the last time. A line that is not
  /// whole waits; one that is no metric is left out.
  void take(const std::string& process);
  /// That of all workers: of a job that was killed.
  void take_all();
  /// Whether something has been taken since the last call.
  bool has_news() { return std::exchange(has_news_, false); }
  /// Removes the files; everything is in the journal.
  void remove();

 private:
  std::filesystem::path folder_;
  store::Journal& journal_;
  bool has_news_ = false;
};

}  // namespace prs::runtime
