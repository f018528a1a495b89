#include "entry/model_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <system_error>

#include <prs/error.hpp>

#include "dataset/dataset.hpp"

namespace prs::entry {
namespace {

[[noreturn]] void fail_argument(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

bool parse_bool(const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "true") return true;
  if (lower == "false") return false;
  fail_argument(fmt::format("'{}' is neither true nor false", text));
}

std::int64_t parse_integer(const std::string& text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || last != end || value < min || value > max) {
    fail_argument(fmt::format("'{}' is no whole number from {} to {}", text, min, max));
  }
  return value;
}

/// "age, height": blanks around names mean nothing.
std::vector<std::string> parse_names(std::string_view text) {
  std::vector<std::string> names;
  for (;;) {
    const std::size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (name.empty()) fail_argument("an empty name; expected names such as age,height");
    names.emplace_back(name);
    if (comma == std::string_view::npos) return names;
    text.remove_prefix(comma + 1);
  }
}

using Setter = std::function<void(const std::string& text, ScorerOptions& options)>;

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> kSetters = {
      {"batch",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.max_batch = parse_integer(text, 1, std::int64_t{1} << 24);
       }},
      {"channels",
       [](const std::string& text, ScorerOptions& options) {
         if (text != "1" && text != "3")
           fail_argument(fmt::format("'{}' is neither 1 nor 3", text));
         options.engine.preprocess.channels = text == "1" ? 1 : 3;
       }},
      {"channel_order",
       [](const std::string& text, ScorerOptions& options) {
         if (text != "rgb" && text != "bgr")
           fail_argument(fmt::format("'{}' is neither rgb nor bgr", text));
         options.engine.preprocess.bgr = text == "bgr";
       }},
      {"class_names",
       [](const std::string& text, ScorerOptions& options) { options.class_names = text; }},
      {"columns", [](const std::string& text,
                     ScorerOptions& options) { options.columns = parse_names(text); }},
      {"invert",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.preprocess.invert = parse_bool(text);
       }},
      {"layout",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.preprocess.layout = parse_layout(text);
       }},
      {"max_pixels",
       [](const std::string& text, ScorerOptions& options) {
         options.max_pixels = parse_integer(text, 1, std::int64_t{1} << 40);
       }},
      {"mean",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.preprocess.mean = parse_numbers(text);
       }},
      {"output",
       [](const std::string& text, ScorerOptions& options) { options.engine.output = text; }},
      {"precision",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.precision = parse_precision(text);
       }},
      {"resize",
       [](const std::string& text, ScorerOptions& options) {
         options.resize = true;
         if (text.find_first_of("0123456789") == std::string::npos) {
           options.resize = parse_bool(text);
         } else {
           parse_size(text, options.engine.preprocess);
         }
       }},
      {"scale",
       [](const std::string& text, ScorerOptions& options) {
         const std::vector<double> numbers = parse_numbers(text);
         if (numbers.size() != 1) fail_argument(fmt::format("'{}' is not one number", text));
         options.engine.preprocess.scale = numbers[0];
       }},
      {"std", [](const std::string& text,
                 ScorerOptions& options) { options.engine.preprocess.std = parse_numbers(text); }},
      {"threads",
       [](const std::string& text, ScorerOptions& options) {
         options.engine.threads = static_cast<int>(parse_integer(text, 0, 4096));
       }},
  };
  return kSetters;
}

}  // namespace

std::vector<double> parse_numbers(std::string_view text) {
  std::vector<double> numbers;
  const char* position = text.data();
  const char* const end = position + text.size();
  for (;;) {
    double number = 0.0;
    const auto [next, error] = std::from_chars(position, end, number);
    if (error != std::errc() || !std::isfinite(number) || (next != end && *next != ',')) {
      fail_argument(fmt::format("'{}' is no number or comma-separated numbers", text));
    }
    numbers.push_back(number);
    if (next == end) return numbers;
    position = next + 1;
  }
}

void parse_size(std::string_view text, PreprocessOverrides& overrides) {
  std::int64_t extents[2] = {0, 0};
  const char* const end = text.data() + text.size();
  const auto [middle, error] = std::from_chars(text.data(), end, extents[0]);
  if (error == std::errc() && middle != end && (*middle == 'x' || *middle == 'X')) {
    const auto [last, last_error] = std::from_chars(middle + 1, end, extents[1]);
    if (last_error == std::errc() && last == end && extents[0] > 0 && extents[1] > 0) {
      overrides.width = extents[0];
      overrides.height = extents[1];
      return;
    }
  }
  fail_argument(fmt::format("'{}' is no size such as 224x224", text));
}

ScorerOptions scorer_options(const config::Step& step) {
  ScorerOptions options;
  options.model = step.entry.path;
  options.engine.device = step.device;
  options.engine.threads = 1;
  options.tables = dataset::names_tables(dataset::input_spec(step));
  for (const auto& [key, value] : step.model_options) {
    const auto setter = setters().find(key);
    if (setter == setters().end()) {
      std::string known;
      for (const auto& [name, unused] : setters()) known += (known.empty() ? "" : ", ") + name;
      fail_argument(fmt::format("model_options: unknown key '{}'; known are {}", key, known));
    }
    try {
      setter->second(value, options);
    } catch (const Error& error) {
      fail_argument(fmt::format("model_options: {}: {}", key, error.message()));
    }
  }
  return options;
}

}  // namespace prs::entry
