#include "config/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "config/refusal.hpp"
#include "config/settings.hpp"
#include "config/text.hpp"

namespace prs::config {
namespace {

struct Token {
  std::string text;
  std::string where;
};

class ArgumentParser {
 public:
  ArgumentParser(const Assignment& arguments, const Document& document, bool v2)
      : arguments_(arguments), document_(document), options_(argument_options(v2)) {
    for (const std::string& name : reserved_arguments()) {
      if (std::find(options_.begin(), options_.end(), name) == options_.end()) {
        reserved_.push_back(name);
      }
    }
  }

  ParsedArguments run() {
    tokenize();
    if (!tokens_.empty() && !tokens_[0].text.starts_with('-')) {
      problem(tokens_[0].where, fmt::format("{} is the first argument; the first must begin with -",
                                            in_quotes(tokens_[0].text)));
    }
    while (next_ < tokens_.size()) {
      const Token& token = tokens_[next_];
      if (token.text.find("$[[") != std::string::npos) {
        problem(token.where,
                "$[[...]] is not supported; write the argument without it or leave "
                "it out",
                ErrorCode::kUnsupported);
        return std::move(parsed_);
      }
      if (token.text == "--") {
        for (; next_ < tokens_.size(); ++next_) parsed_.own.push_back(tokens_[next_].text);
      } else if (!token.text.starts_with("--") || !take_option(token)) {
        parsed_.own.push_back(token.text);
        ++next_;
      }
    }
    return std::move(parsed_);
  }

 private:
  void problem(const std::string& where, const std::string& text,
               ErrorCode code = ErrorCode::kInvalidArgument) {
    parsed_.problems.push_back({code, fmt::format("{}: {}: {}", where, arguments_.key, text)});
  }

  void tokenize() {
    const Node& node = *arguments_.node;
    if (node.kind == Node::Kind::kScalar) {
      try {
        for (std::string& word : split_command_line(node.text)) {
          tokens_.push_back({std::move(word), arguments_.where});
        }
      } catch (const Refusal& refusal) {
        problem(arguments_.where, refusal.text, refusal.code);
      }
      return;
    }
    for (const NodePtr& item : node.items) {
      const std::string where = document_.where(item->line);
      if (item->kind == Node::Kind::kScalar) {
        tokens_.push_back({item->text, where});
      } else {
        problem(where, fmt::format("expected a single value, found {}", kind_name(item->kind)));
      }
    }
  }

  /// Takes the token, and its value, when it is one of PRS's options or a mistake.
  bool take_option(const Token& token) {
    const std::size_t equals = token.text.find('=');
    const std::string name =
        token.text.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
    const std::string option = find_option(token, name);
    if (option.empty()) return false;
    ++next_;
    if (option == kMistake) return true;
    std::string value;
    if (equals != std::string::npos) {
      value = token.text.substr(equals + 1);
    } else if (next_ < tokens_.size() && !tokens_[next_].text.starts_with("--")) {
      value = tokens_[next_++].text;
    } else {
      problem(token.where, fmt::format("--{} has no value", name));
      return true;
    }
    std::string key = "--" + name;
    if (option != name) {
      key += fmt::format(" (--{})", option);
      parsed_.notes.push_back(fmt::format("{}: --{} is taken as --{}", token.where, name, option));
    }
    parsed_.options.push_back(
        {key, option, scalar_node(value), token.where, arguments_.folder, arguments_.rank});
    return true;
  }

  /// The option that `name` stands for; "" when it is the entry's own; kMistake after a problem.
  std::string find_option(const Token& token, const std::string& name) {
    const auto has = [&name](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (has(options_)) return name;
    if (has(reserved_)) {
      problem(token.where, fmt::format("--{0} is reserved: PRS passes it to the entry itself; set "
                                       "the step's key {0} instead",
                                       name));
      return kMistake;
    }
    std::vector<std::string> matches;
    for (const std::string& option : options_) {
      if (!name.empty() && option.starts_with(name)) matches.push_back(option);
    }
    if (matches.size() <= 1) return matches.empty() ? "" : matches[0];
    problem(token.where,
            fmt::format("--{} may be any of --{}; write it out", name, fmt::join(matches, ", --")));
    return kMistake;
  }

  static constexpr const char* kMistake = "=";

  const Assignment& arguments_;
  const Document& document_;
  std::vector<std::string> options_;
  std::vector<std::string> reserved_;
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  ParsedArguments parsed_;
};

}  // namespace

ParsedArguments parse_arguments(const Assignment& arguments, const Document& document, bool v2) {
  return ArgumentParser(arguments, document, v2).run();
}

}  // namespace prs::config
