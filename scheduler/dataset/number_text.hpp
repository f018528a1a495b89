// Numbers as pandas.read_csv reads them from text, eight characters at a time.
#pragma once

#include <cstdint>
#include <string_view>

namespace prs::dataset {

enum class Integer { kValue, kTooLarge, kNone };

/// Blanks around, a sign, and any leading zeros may stand. kTooLarge: digits past 64 bits. `value`
/// is set for kValue only.
Integer parse_integer(std::string_view text, std::int64_t& value);

/// The nearest double of a decimal number, with blanks around and a sign; "inf" and "infinity" in
/// any case. False for anything else, also for the empty text and the words for missing values;
/// `value` then means nothing.
bool parse_number(std::string_view text, double& value);

}  // namespace prs::dataset
