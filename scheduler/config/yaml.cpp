#include "config/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>

#include "config/text.hpp"
#include "prs/error.hpp"

namespace prs::config {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::int64_t kMaxNodes = 20000;
constexpr std::size_t kMaxDepth = 64;

[[noreturn]] void fail_at(const std::string& name, int line, int column, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}:{}:{}: {}", name, line, column, what));
}

/// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, const std::string& name) : text_(text), name_(name) {
    lines_.push_back(0);
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '\n') lines_.push_back(at + 1);
    }
  }

  NodePtr root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add_leaf(mark, anchor, Node::Kind::kNull, "");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                const std::string& value) override {
    check_quotes(mark);
    add_leaf(mark, anchor, Node::Kind::kScalar, value);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(mark, "an alias inside the value that it stands for");
    count(mark, found->second.size);
    attach(mark, found->second.node);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(mark, anchor, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(mark, anchor, Node::Kind::kMapping);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    std::shared_ptr<Node> node;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    std::int64_t nodes_before;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    std::map<std::string, int> lines;  ///< Of the keys so far.
  };
  struct Anchor {
    NodePtr node;
    std::int64_t size;  ///< Nodes in it, aliases expanded.
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    fail_at(name_, mark.line + 1, mark.column + 1, what);
  }

  void count(const YAML::Mark& mark, std::int64_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes) {
      fail(mark, fmt::format("more than {} values, aliases expanded", kMaxNodes));
    }
  }

  /// yaml-cpp takes the end of the file for the end of a quoted text, with all keys in it.
  void check_quotes(const YAML::Mark& mark) const {
    const auto line = static_cast<std::size_t>(mark.line);
    if (line >= lines_.size()) return;
    std::size_t at = lines_[line] + static_cast<std::size_t>(mark.column);
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return;
    const char quote = text_[at];
    for (++at; at < text_.size(); ++at) {
      const bool is_pair =
          quote == '"' ? text_[at] == '\\' : text_[at] == '\'' && text_.substr(at + 1, 1) == "'";
      if (is_pair) {
        ++at;
      } else if (text_[at] == quote) {
        return;
      }
    }
    fail(mark, fmt::format("a quote ({}) that is never closed", quote));
  }

  void add_leaf(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind, std::string text) {
    count(mark, 1);
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->line = mark.line + 1;
    node->text = std::move(text);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {node, 1};
    attach(mark, std::move(node));
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    if (frames_.size() >= kMaxDepth) fail(mark, fmt::format("nested deeper than {}", kMaxDepth));
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->line = mark.line + 1;
    frames_.push_back({std::move(node), mark, anchor, nodes_, false, {}, 0, {}});
    count(mark, 1);
  }

  void close() {
    const Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.anchor != YAML::NullAnchor) {
      anchors_[frame.anchor] = {frame.node, nodes_ - frame.nodes_before};
    }
    attach(frame.mark, frame.node);
  }

  /// Hands a finished value to the container that is open, or makes it the root.
  void attach(const YAML::Mark& mark, NodePtr node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node->kind == Node::Kind::kSequence) {
      frame.node->items.push_back(std::move(node));
    } else if (frame.has_key) {
      frame.node->entries.push_back({std::move(frame.key), frame.key_line, std::move(node)});
      frame.has_key = false;
    } else {
      take_key(mark, frame, *node);
    }
  }

  void take_key(const YAML::Mark& mark, Frame& frame, const Node& node) const {
    if (node.kind != Node::Kind::kScalar) {
      fail(mark, fmt::format("{} as a key; expected a name", kind_name(node.kind)));
    }
    frame.has_key = true;
    frame.key = node.text;
    frame.key_line = mark.line + 1;
    const auto [first, is_new] = frame.lines.emplace(node.text, frame.key_line);
    if (!is_new) {
      fail(mark,
           fmt::format("{}: given twice, first in line {}", in_quotes(node.text), first->second));
    }
  }

  const std::string& text_;
  const std::string& name_;
  std::vector<std::size_t> lines_;  ///< Where each begins.
  NodePtr root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  std::int64_t nodes_ = 0;
};

/// The scanner ends at some control characters as if the file did; none belongs into YAML.
void check_characters(const std::string& text, const std::string& name) {
  int line = 1;
  int column = 1;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F) {
      fail_at(name, line, column,
              fmt::format("control character 0x{:02x}; expected UTF-8 text", byte));
    }
    if (c == '\n') {
      ++line;
      column = 0;
    }
    ++column;
  }
}

void check_size(std::size_t bytes, const std::string& name) {
  if (bytes > kMaxBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: larger than {} bytes; this is no step file", name, kMaxBytes));
  }
}

}  // namespace

const Entry* Node::find(const std::string& key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

const char* kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  return "";
}

NodePtr scalar_node(std::string text) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kScalar;
  node->text = std::move(text);
  return node;
}

NodePtr parse_yaml(const std::string& text, const std::string& name) {
  check_size(text.size(), name);
  check_characters(text, name);
  TreeBuilder builder(text, name);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    TreeBuilder rest(text, name);
    if (parser.HandleNextDocument(rest)) {
      const int line = rest.root() ? rest.root()->line : 1;
      fail_at(name, line, 1, "a second YAML document; a step file has one");
    }
  } catch (const YAML::Exception& error) {
    fail_at(name, error.mark.line + 1, error.mark.column + 1, error.msg);
  }
  if (!builder.root() || builder.root()->kind == Node::Kind::kNull) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: the file is empty", name));
  }
  return builder.root();
}

NodePtr read_yaml(const std::filesystem::path& path) {
  const auto fail = [&path](const char* what) {
    throw Error(ErrorCode::kIo, fmt::format("{}: {}: {}", path.string(), what,
                                            std::generic_category().message(errno)));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::kIo, fmt::format("{}: a folder; expected a step file", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot open the step file");
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) fail("cannot read the step file");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_yaml(text, path.string());
}

}  // namespace prs::config
