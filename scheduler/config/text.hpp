// Small pieces of text: values in messages, nearest names, command lines.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace prs::config {

/// ASCII letters in lower case, whatever the locale.
std::string lower_case(std::string_view text);

/// The text between single quotes, fit for a line of a message: control characters as \xNN, long
/// texts cut.
std::string in_quotes(std::string_view text);

/// The candidate with the fewest edits from `word` when that is close enough to be a slip, else "".
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// Words as a POSIX shell splits them: blanks, '...', "..." and backslashes; ${{ ... }} stays
/// whole. Throws Refusal for a quote that is never closed.
std::vector<std::string> split_command_line(std::string_view text);

}  // namespace prs::config
