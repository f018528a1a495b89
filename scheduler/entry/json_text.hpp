// JSON text without a document.
#pragma once

#include <string>
#include <string_view>

namespace prs::entry {

/// A quoted JSON string; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace prs::entry
