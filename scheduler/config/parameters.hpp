// Parameters of one run beside the step file (C2): from the environment and from a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace prs::config {

/// One setting for StepBuilder::set().
struct Parameter {
  std::string key;
  std::string value;
  std::string origin;  ///< "PRS_PARAM_RUN_MAX_TRY", "night.yml:3".
};

/// The pipeline parameters among `variables` ("NAME=value"): PRS_PARAM_ and the parameter's name in
/// capitals. Throws invalid argument for another name after PRS_PARAM_, listing those there are.
std::vector<Parameter> parameters_of_environment(const char* const* variables);

/// A YAML or JSON file: a mapping of any settings that are a single value, by v1 or v2 name, nested
/// or dotted. Throws invalid argument (file:line) for lists and for a setting that is given twice;
/// else as StepBuilder::read_file.
std::vector<Parameter> read_parameters(const std::filesystem::path& path);

}  // namespace prs::config
