// Fields of rows as their formats want them.
#pragma once

#include <string>
#include <string_view>

namespace prs::entry {

/// A field as RFC 4180 writes it: quoted when it holds a comma, a quote, a line break, or blanks at
/// its ends.
std::string csv_field(std::string_view text);

/// A quoted JSON string; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace prs::entry
