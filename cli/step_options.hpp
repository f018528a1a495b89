// The flags of `run` that become settings of a step.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/step.hpp"

namespace CLI {
class App;
}

namespace prs::cli {

/// One setting given on the command line, in order.
struct GivenSetting {
  std::string key;
  std::string value;
  std::string origin;  ///< The flag.
};

struct StepOptions {
  std::filesystem::path file;        ///< STEP.yml; may be empty.
  std::filesystem::path parameters;  ///< --parameters; may be empty.
  std::vector<std::string> inputs;
  std::vector<std::string> assignments;  ///< --set key=value
  std::vector<GivenSetting> given;
};

/// STEP.yml, --parameters, --model, --input, --output, --set and the flags of the settings people
/// change most.
void add_step_options(CLI::App& command, StepOptions& options);

/// The checked step: the file, then PRS_PARAM_... of the environment, the parameters file, the
/// command line. Throws UsageError for a --set without "=", prs::Error for the rest.
config::Step build_step(const StepOptions& options);

/// KEY=VALUE for a job that is resumed: limits, tries, timeouts, the number of workers and what is
/// logged may change, nothing that the rows depend on. Throws UsageError for another key.
void override_limits(config::Step& step, const std::vector<std::string>& assignments);

/// The same from the step `now` with resume_from: `step`, the job's, gets its limits. Throws
/// invalid argument listing every other setting in which the two differ.
void continue_with(const config::Step& now, config::Step& step);

}  // namespace prs::cli
