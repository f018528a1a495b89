#include "runtime/job_folder.hpp"

#include <fmt/format.h>

#include <prs/error.hpp>
#include <system_error>

#include "store/journal.hpp"

namespace prs::runtime {
namespace fs = std::filesystem;
namespace {

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) {
    throw Error(ErrorCode::kIo,
                fmt::format("cannot remove {}: {}", path.string(), error.message()));
  }
}

fs::path partial(const fs::path& result) { return result.string() + ".partial"; }

}  // namespace

bool JobFolder::has_job() const {
  std::error_code error;
  return fs::exists(store() / "job.sqlite", error);
}

void JobFolder::prepare_new(const config::Step& step) const {
  refuse_running_job();
  const fs::path file = result(step);
  std::error_code error;
  if (step.overwrite) {
    for (const fs::path& old : {store(), logs(), file, partial(file)}) remove_tree(old);
  } else if (has_job()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("output {} holds an earlier job: continue it with `prs-gpu resume {}`, "
                            "replace it with --overwrite, or choose another folder",
                            output_.string(), output_.string()));
  } else if (step.output_action == config::OutputAction::kAppendRow && fs::exists(file, error)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("output file {} is there already: --overwrite replaces it", file.string()));
  }
  make_folders();
}

void JobFolder::prepare_resume() const {
  if (!has_job()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} holds no job to resume (no {})", output_.string(),
                            (store() / "job.sqlite").string()));
  }
  refuse_running_job();
  remove_tree(segments());
  make_folders();
}

void JobFolder::refuse_running_job() const {
  // The journal's lock decides in the end; this comes before anything is removed.
  if (!store::Journal::in_use(store())) return;
  throw Error(ErrorCode::kUnavailable,
              fmt::format("a job is running in {}: see `prs-gpu status {}`, wait for its end or "
                          "stop it",
                          output_.string(), output_.string()));
}

void JobFolder::make_folders() const {
  for (const fs::path& folder : {output_, store(), segments(), logs()}) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
      throw Error(ErrorCode::kIo, fmt::format("cannot create the output folder {}: {}",
                                              folder.string(), error.message()));
    }
  }
}

}  // namespace prs::runtime
