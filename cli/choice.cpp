#include "choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

namespace prs::cli {

void add_word_option(CLI::App& command, const char* flag, std::vector<std::string> words,
                     const std::string& default_word, const char* help,
                     std::function<void(std::size_t)> set) {
  const auto parse = [flag, words = std::move(words), set](const std::string& text) {
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) {
      throw CLI::ValidationError(flag,
                                 fmt::format("'{}' is none of {}", text, fmt::join(words, ", ")));
    }
    set(static_cast<std::size_t>(found - words.begin()));
  };
  command.add_option_function<std::string>(flag, parse, help)
      ->type_name("WORD")
      ->default_str(default_word);
}

}  // namespace prs::cli
