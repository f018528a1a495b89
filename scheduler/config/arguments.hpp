// The entry's arguments: what is the entry's own, and which options PRS takes from among them (C).
#pragma once

#include <string>
#include <vector>

#include "config/document.hpp"

namespace prs::config {

struct ParsedArguments {
  std::vector<std::string> own;     ///< In order, references unexpanded.
  std::vector<Assignment> options;  ///< System options.
  std::vector<Problem> problems;
  std::vector<std::string> notes;
};

/// `arguments` is a list, or one text that is split as a shell would. Options may be abbreviated as
/// long as one option fits (Azure's own parser allows it, and published samples rely on it); behind
/// a lone "--" everything is the entry's.
ParsedArguments parse_arguments(const Assignment& arguments, const Document& document, bool v2);

}  // namespace prs::config
