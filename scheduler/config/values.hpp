// Readers of single values: text in, value out, or a Refusal that names the allowed range. "0" is
// always zero, never "not set".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/step.hpp"

namespace prs::config {

constexpr std::int64_t kInt32Max = 2147483647;

/// A decimal number in [min, max], and nothing else.
std::int64_t read_whole(const std::string& text, std::int64_t min, std::int64_t max);

/// A finite decimal number in [min, max]; with `above_min` in (min, max].
double read_number(const std::string& text, double min, double max, bool above_min);

/// true or false (also yes, no, on, off, as YAML 1.1 has it), any case.
bool read_bool(const std::string& text);

/// D2, D3: "10", "rows:10", "100kb", "1 MB". At most 2^31 - 1 items or rows, 2^50 bytes.
MiniBatchSize read_mini_batch_size(const std::string& text);
/// The same form back.
std::string show_mini_batch_size(const MiniBatchSize& size);

/// Bytes: a whole number, or one with kb, mb or gb (1024-based). [0, 2^50].
std::int64_t read_bytes(const std::string& text);

/// C: 3-32 characters, ^[a-z]([-a-z0-9]*[a-z0-9])?$.
std::string read_name(const std::string& text);
/// The nearest valid name: "My Step" becomes "my-step".
std::string make_name(const std::string& text);

/// C: a file name without ~ " # % & * : < > ? / \ { | }.
std::string read_file_name(const std::string& text);

/// "auto", "cpu", "cuda" or "cuda:N".
std::string read_device(const std::string& text);

/// Finite numbers separated by commas, as they were written, without blanks.
std::string read_numbers(const std::string& text);

/// "true", "false", or "WxH" with both at least 1.
std::string read_resize(const std::string& text);

/// A path on this machine, absolute and normalised; relative ones are in `folder`. Refuses azureml:
/// and URLs other than file://.
std::filesystem::path read_path(const std::string& text, const std::filesystem::path& folder);

/// The same for one of `inputs`: @LIST keeps its @, and "-" stays as it is.
std::string read_input(const std::string& text, const std::filesystem::path& folder);

/// 600 as "600", 0.5 as "0.5".
std::string show_number(double value);

}  // namespace prs::config
