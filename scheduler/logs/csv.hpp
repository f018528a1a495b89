// CSV as RFC 4180 has it, with "\n" as record separator.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace prs::logs {

/// Appends a field, quoted when it holds a comma, a quote, a line break, or blanks at its ends.
void append_csv_field(std::string& row, std::string_view field);

/// The same field alone.
std::string csv_field(std::string_view field);

/// Cuts a CSV file behind its last whole record: a crash may leave half a record, whose open quote
/// would swallow what is appended later. A missing file is fine. Throws io naming the file.
void cut_torn_csv_record(const std::filesystem::path& path);

}  // namespace prs::logs
