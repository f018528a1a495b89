// The text of readme.txt.
#pragma once

#include <string_view>

namespace prs::logs {

std::string_view readme_text();

}  // namespace prs::logs
