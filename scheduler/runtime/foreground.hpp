// One mini-batch in the foreground (`prs-gpu run --debug`, `prs-gpu replay`): a worker without an
// agent, that has the terminal. No timeout, no retry, no journal.
#pragma once

#include <filesystem>
#include <string>

#include "config/step.hpp"
#include "dataset/dataset.hpp"

namespace prs::runtime {

struct ForegroundOptions {
  std::string run_id;
  std::filesystem::path program;  ///< prs-gpu itself.
  int debugpy_port = 0;           ///< A script waits there for a debugger; 0: no.
};

/// The first mini-batch of the step's inputs. Throws invalid argument when they are empty, else as
/// the Partitioner.
dataset::MiniBatch first_mini_batch(const config::Step& step);

/// Mini-batch `id` of the job in `output`, as its listing has it. Throws as read_listed().
dataset::MiniBatch recorded_mini_batch(const std::filesystem::path& output, std::int64_t id);

/// Becomes the worker: this process is replaced, with the environment of a job's worker. What the
/// entry writes into its output folder goes to OUTPUT/debug; all else of OUTPUT stays as it is.
/// Throws as run_job() does for an entry that cannot be loaded; io.
[[noreturn]] void run_in_foreground(const config::Step& step, const dataset::MiniBatch& mini_batch,
                                    const ForegroundOptions& options);

}  // namespace prs::runtime
