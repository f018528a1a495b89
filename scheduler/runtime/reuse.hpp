// R1: a completed run with the same entry, settings and inputs is used again instead of run again.
#pragma once

#include <optional>
#include <string>

#include "config/step.hpp"

namespace prs::runtime {

/// What must be equal for two runs to have the same result: the entry's content, the settings that
/// the rows depend on, and the inputs (by path, size and time, or by content). Throws io.
std::string step_identity(const config::Step& step);

/// When a completed run of that identity has its result still: puts it into this step's output
/// folder and says which run it was and what would make the step run again. Nothing otherwise, also
/// when the history cannot be read.
std::optional<std::string> reuse_result(const config::Step& step, const std::string& identity);

}  // namespace prs::runtime
