// Options that take one of a few words.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace prs::cli {

/// Adds `flag`, which takes one of `words` and passes its index to `set`.
void add_word_option(CLI::App& command, const char* flag, std::vector<std::string> words,
                     const std::string& default_word, const char* help,
                     std::function<void(std::size_t)> set);

/// Adds `flag`, which sets `target` to the value that belongs to the given word. `target` must
/// outlive the parsing; what it holds now is the default.
template <typename T>
void add_choice(CLI::App& command, const char* flag, T& target,
                const std::vector<std::pair<const char*, T>>& choices, const char* help) {
  std::vector<std::string> words;
  std::vector<T> values;
  std::string default_word;
  for (const auto& [word, value] : choices) {
    words.emplace_back(word);
    values.push_back(value);
    if (value == target) default_word = word;
  }
  add_word_option(command, flag, std::move(words), default_word, help,
                  [&target, values](std::size_t index) { target = values[index]; });
}

/// How a command prints its result.
enum class Format { kText, kJson };

/// Adds --format, as add_choice().
inline void add_format(CLI::App& command, Format& target) {
  add_choice<Format>(command, "--format", target,
                     {{"text", Format::kText}, {"json", Format::kJson}}, "text or json");
}

}  // namespace prs::cli
