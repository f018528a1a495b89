// What a job keeps in its output folder, and who may use the folder (O4, O5, X1).
//
//   OUTPUT/parallel_run_step.txt          the result (append_row)
//   OUTPUT/parallel_run_step.txt.partial  accepted rows while the job is not done
//   OUTPUT/logs/                          the log tree
//   OUTPUT/.prs/                          job.sqlite, listing, segments/, metrics/, work/,
//   status.json
#pragma once

#include <filesystem>

#include "config/step.hpp"

namespace prs::runtime {

class JobFolder {
 public:
  explicit JobFolder(std::filesystem::path output) : output_(std::move(output)) {}
  const std::filesystem::path& output() const { return output_; }
  std::filesystem::path logs() const { return output_ / "logs"; }
  std::filesystem::path store() const { return output_ / ".prs"; }
  std::filesystem::path listing() const { return store() / "listing"; }
  std::filesystem::path segments() const { return store() / "segments"; }
  std::filesystem::path metrics() const { return store() / "metrics"; }
  std::filesystem::path work() const { return store() / "work"; }
  std::filesystem::path status() const { return store() / "status.json"; }
  std::filesystem::path result(const config::Step& step) const {
    return output_ / step.append_row_file_name;
  }
  /// Whether a job has ever been here.
  bool has_job() const;

  /// For a new job: makes the folders; with `step.overwrite` removes what an earlier job left, and
  /// nothing else. Throws invalid argument when an earlier job or its result file is there (O5), io
  /// when the folder cannot be written to.
  void prepare_new(const config::Step& step) const;
  /// For a resume: throws invalid argument when there is no job here. Removes stale segments.
  void prepare_resume() const;

 private:
  void refuse_running_job() const;
  void make_folders() const;
  std::filesystem::path output_;
};

}  // namespace prs::runtime
