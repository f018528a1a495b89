// R1: a completed run with the same entry, settings and inputs is used again instead of run again.
#pragma once

#include <optional>
#include <string>

#include "config/step.hpp"

namespace prs::runtime {

/// What must be equal, besides the inputs, for two runs to have the same result: the entry's
/// content and the settings that the rows depend on. Throws io.
std::string settings_identity(const config::Step& step);

/// With that of the inputs (dataset/identity.hpp): what the history of runs holds.
std::string step_identity(const std::string& settings, const std::string& inputs);

/// When a completed run of the same settings and inputs has its result still: puts it into this
/// step's output folder and says which run it was and what would make the step run again. Nothing
/// otherwise, also when the history cannot be read. The inputs are looked at only when there is a
/// run of the same settings: a million files take seconds. Throws as input_identity() does.
std::optional<std::string> reuse_result(const config::Step& step, const std::string& settings);

}  // namespace prs::runtime
