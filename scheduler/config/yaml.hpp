// A YAML file as a tree with line numbers, for step files only: they are untrusted input, so size,
// depth and the number of nodes are bounded, and a repeated key is an error.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace prs::config {

struct Node;
/// Aliases share the node of their anchor.
using NodePtr = std::shared_ptr<const Node>;

/// One key of a mapping.
struct Entry {
  std::string key;
  int line = 0;
  NodePtr value;
};

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  int line = 0;                ///< From 1; 0: from the command line.
  std::string text;            ///< Of a scalar, as written, without quotes.
  std::vector<NodePtr> items;  ///< Of a sequence.
  std::vector<Entry> entries;  ///< Of a mapping, in the order of the file.

  /// The entry with that key, or null.
  const Entry* find(const std::string& key) const;
};

/// "nothing", "a single value", "a list" or "a mapping".
const char* kind_name(Node::Kind kind);

/// A scalar of our own making.
NodePtr scalar_node(std::string text);

/// The one document of `text`; `name` begins every message. Throws invalid argument as
/// StepBuilder::read_file says, and for an empty document.
NodePtr parse_yaml(const std::string& text, const std::string& name);

/// Reads and parses a file. Throws io when it cannot be read.
NodePtr read_yaml(const std::filesystem::path& path);

}  // namespace prs::config
