// Text on a terminal: how many columns it takes, and cutting it to fit.
#pragma once

#include <string>
#include <string_view>

namespace prs::monitor {

/// The text with every control character and every byte that is not UTF-8 replaced by '?': a name
/// must not move the cursor.
std::string printable(std::string_view text);

/// Columns that printable text takes: most characters one, East Asian wide ones and emoji two,
/// combining marks none.
int display_width(std::string_view text);

/// The longest beginning of printable text that takes at most `columns`; where something is cut
/// off and there is room for it, the last column is "~".
std::string fit(std::string_view text, int columns);

/// fit(), then filled with blanks to exactly `columns`.
std::string fit_padded(std::string_view text, int columns);

}  // namespace prs::monitor
