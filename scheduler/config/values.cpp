#include "config/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "config/refusal.hpp"
#include "config/text.hpp"

namespace prs::config {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 50;
constexpr std::size_t kMinName = 3;
constexpr std::size_t kMaxName = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

/// Whether all of `text` is one number of type T.
template <typename T>
bool parse(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && next == end && !text.empty();
}

/// "100kb", "1 MB": digits, at most one space, a unit. False when it is no such thing, or too much.
bool parse_with_unit(std::string_view text, std::int64_t& bytes) {
  const std::size_t digits =
      static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
  std::int64_t value = 0;
  if (!parse(text.substr(0, digits), value)) return false;
  text.remove_prefix(digits);
  if (text.starts_with(' ')) text.remove_prefix(1);
  const std::string unit = lower_case(text);
  const int shift = unit == "kb" ? 10 : unit == "mb" ? 20 : unit == "gb" ? 30 : -1;
  if (shift < 0 || value > (kMaxFileBytes >> shift)) return false;
  bytes = value << shift;
  return true;
}

bool is_name(std::string_view text) {
  return text.size() >= kMinName && text.size() <= kMaxName && is_lower(text.front()) &&
         text.back() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
           return is_lower(c) || is_digit(c) || c == '-';
         });
}

/// The scheme of a URL or of an azureml: reference, else "".
std::string cloud_scheme(std::string_view text) {
  if (lower_case(text.substr(0, 8)) == "azureml:") return "azureml:";
  const std::size_t end = text.find("://");
  if (end == std::string_view::npos || end == 0) return "";
  const bool is_scheme =
      std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
        return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '+' || c == '-' ||
               c == '.';
      });
  const std::string scheme = lower_case(text.substr(0, end + 3));
  return is_scheme && scheme != "file://" ? scheme : "";
}

}  // namespace

void refuse_value(const std::string& value, const std::string& allowed) {
  refuse(fmt::format("{} is not allowed; allowed: {}", in_quotes(value), allowed));
}

std::int64_t read_whole(const std::string& text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  if (!parse(text, value) || value < min || value > max) {
    refuse_value(text, fmt::format("a whole number in [{}, {}]", min, max));
  }
  return value;
}

double read_number(const std::string& text, double min, double max, bool above_min) {
  double value = 0.0;
  const bool fits = parse(text, value) && std::isfinite(value) && value >= min && value <= max &&
                    !(above_min && value <= min);
  if (!fits) {
    refuse_value(text, fmt::format("a number in {}{}, {}]", above_min ? '(' : '[', min, max));
  }
  return value;
}

bool read_bool(const std::string& text) {
  const std::string word = lower_case(text);
  if (word == "true" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "no" || word == "off") return false;
  refuse_value(text, "true or false");
}

MiniBatchSize read_mini_batch_size(const std::string& text) {
  MiniBatchSize size;
  std::string_view digits = text;
  if (lower_case(text.substr(0, 5)) == "rows:") {
    size.unit = MiniBatchSize::Unit::kRows;
    digits.remove_prefix(5);
  }
  const bool is_count = parse(digits, size.value) && size.value <= kInt32Max;
  if (!is_count && size.unit == MiniBatchSize::Unit::kItems) {
    size.unit = MiniBatchSize::Unit::kBytes;
    if (!parse_with_unit(text, size.value)) size.value = 0;
  } else if (!is_count) {
    size.value = 0;
  }
  if (size.value < 1) {
    refuse_value(text, fmt::format("a number of items in [1, {}], rows:N with N in [1, {}], or "
                                   "bytes as digits with kb, mb or gb in [1 kb, 1048576 gb]",
                                   kInt32Max, kInt32Max));
  }
  return size;
}

std::string show_mini_batch_size(const MiniBatchSize& size) {
  switch (size.unit) {
    case MiniBatchSize::Unit::kItems:
      return std::to_string(size.value);
    case MiniBatchSize::Unit::kRows:
      return fmt::format("rows:{}", size.value);
    case MiniBatchSize::Unit::kBytes:
      break;
  }
  if (size.value % 1024 != 0) return std::to_string(size.value);
  const std::int64_t kib = size.value >> 10;
  if (kib % (1 << 20) == 0) return fmt::format("{}gb", kib >> 20);
  if (kib % (1 << 10) == 0) return fmt::format("{}mb", kib >> 10);
  return fmt::format("{}kb", kib);
}

std::int64_t read_bytes(const std::string& text) {
  std::int64_t bytes = 0;
  const bool plain = parse(text, bytes);
  if ((!plain && !parse_with_unit(text, bytes)) || bytes < 0 || bytes > kMaxFileBytes) {
    refuse_value(text, "bytes as a whole number, or digits with kb, mb or gb, up to 1048576 gb");
  }
  return bytes;
}

std::string read_name(const std::string& text) {
  if (!is_name(text)) {
    refuse_value(text,
                 "3 to 32 of a-z, 0-9 and -, beginning with a letter, not ending with -; for "
                 "example " +
                     make_name(text));
  }
  return text;
}

std::string make_name(const std::string& text) {
  std::string name;
  for (const char c : lower_case(text)) {
    const bool fits = is_lower(c) || is_digit(c);
    if (name.empty() && !is_lower(c)) continue;
    if (fits) {
      name += c;
    } else if (name.back() != '-') {
      name += '-';
    }
  }
  name.resize(std::min(name.size(), kMaxName));
  while (!name.empty() && name.back() == '-') name.pop_back();
  if (name.empty()) return "step";
  return name.size() < kMinName ? name + "-step" : name;
}

std::string read_file_name(const std::string& text) {
  constexpr std::size_t kMaxBytes = 240;  // Leaves room for ".partial" within 255.
  const bool fits =
      !text.empty() && text.size() <= kMaxBytes && text != "." && text != ".." &&
      std::none_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F ||
               std::string_view("~\"#%&*:<>?/\\{|}").find(c) != std::string_view::npos;
      });
  if (!fits) {
    refuse_value(text, R"(a file name of 1 to 240 bytes without ~ " # % & * : < > ? / \ { | })");
  }
  return text;
}

std::string read_device(const std::string& text) {
  constexpr std::string_view kCuda = "cuda:";
  std::int64_t index = -1;
  const bool fits = text == "auto" || text == "cpu" || text == "cuda" ||
                    (text.starts_with(kCuda) && is_digit(text.back()) &&
                     parse(std::string_view(text).substr(kCuda.size()), index) && index >= 0);
  if (!fits) refuse_value(text, "auto, cpu, cuda or cuda:N");
  return text;
}

std::string read_numbers(const std::string& text) {
  std::string numbers = text;
  std::erase(numbers, ' ');
  std::string_view rest = numbers;
  for (;;) {
    const std::size_t comma = rest.find(',');
    double value = 0.0;
    if (!parse(rest.substr(0, comma), value) || !std::isfinite(value)) {
      refuse_value(text, "a number, or numbers separated by commas");
    }
    if (comma == std::string_view::npos) return numbers;
    rest.remove_prefix(comma + 1);
  }
}

std::string read_resize(const std::string& text) {
  const std::string word = lower_case(text);
  const std::size_t x = word.find('x');
  std::int64_t width = 0;
  std::int64_t height = 0;
  if (x != std::string::npos && parse(std::string_view(word).substr(0, x), width) &&
      parse(std::string_view(word).substr(x + 1), height) && width > 0 && height > 0) {
    return word;
  }
  if (word == "true" || word == "false") return word;
  refuse_value(text, "true, false, or WxH such as 224x224");
}

std::filesystem::path read_path(const std::string& text, const std::filesystem::path& folder) {
  if (text.empty()) refuse("'' is no path");
  if (text.find('\0') != std::string::npos) refuse(in_quotes(text) + " is no path");
  if (const std::string scheme = cloud_scheme(text); !scheme.empty()) {
    refuse(
        fmt::format("{} is not on this machine ({}); data and models must be local files: "
                    "download it and give its path",
                    in_quotes(text), scheme));
  }
  const bool is_file_url = lower_case(text.substr(0, 7)) == "file://";
  const std::filesystem::path path = is_file_url ? text.substr(7) : text;
  const auto absolute = std::filesystem::absolute(folder / path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

std::string read_input(const std::string& text, const std::filesystem::path& folder) {
  if (text == "-") return text;
  if (text.starts_with('@')) return "@" + read_path(text.substr(1), folder).string();
  return read_path(text, folder).string();
}

std::string show_number(double value) { return fmt::format("{}", value); }

}  // namespace prs::config
