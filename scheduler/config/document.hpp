// What a step file says, still unchecked: which keys have which values in which line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/yaml.hpp"
#include "prs/error.hpp"

namespace prs::config {

/// One key given a value.
struct Assignment {
  std::string key;    ///< As spelled: "retry_settings.max_retries", "--error_threshold".
  std::string name;   ///< What it sets: "run_max_try", "model", "side_inputs.labels", ...
  NodePtr node;       ///< The value.
  std::string where;  ///< "step.yml:12", "--set".
  std::filesystem::path folder;  ///< Relative paths in it are relative to this; "": working folder.
  int rank = 0;                  ///< The highest one wins: 0 is the file, then set() in call order.
};

struct Problem {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string text;
};

struct Document {
  bool read = false;  ///< False: there is no file.
  bool v2 = false;    ///< v2's defaults hold.
  std::filesystem::path path;
  std::filesystem::path folder;
  std::vector<Assignment> assignments;
  // v2's named inputs and outputs, of the job and of the pipeline around it.
  std::vector<Entry> inputs, outputs, parent_inputs, parent_outputs;
  std::vector<Problem> problems;
  std::vector<std::string> notes;

  std::string where(int line) const;
};

/// Interprets the file's tree; `job` names the job of a pipeline, or is empty.
Document read_document(const NodePtr& root, const std::filesystem::path& path,
                       const std::string& job);

}  // namespace prs::config
