#include "config/bindings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "config/refusal.hpp"
#include "config/text.hpp"
#include "config/values.hpp"

namespace prs::config {
namespace {

const Entry* find(const std::vector<Entry>& entries, const std::string& name) {
  for (const Entry& entry : entries) {
    if (entry.key == name) return &entry;
  }
  return nullptr;
}

std::vector<std::string> keys_of(const std::vector<Entry>& entries) {
  std::vector<std::string> keys;
  for (const Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

[[noreturn]] void refuse_name(const std::string& room, const std::string& name,
                              const std::vector<Entry>& known) {
  refuse(fmt::format("{}.{} is not declared; declared: {}", room, name,
                     known.empty() ? "none" : fmt::format("{}", fmt::join(keys_of(known), ", "))));
}

std::string trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") + 1 - first));
}

bool is_literal_type(const std::string& type) {
  return type == "string" || type == "number" || type == "integer" || type == "boolean";
}

/// The scalar under `key` of a named input or output, or "".
std::string scalar_of(const Entry& entry, const std::string& key, const std::string& room) {
  const Entry* found = entry.value->find(key);
  if (found == nullptr || found->value->kind == Node::Kind::kNull) return "";
  if (found->value->kind != Node::Kind::kScalar) {
    refuse(fmt::format("{}.{}.{}: expected a single value, found {}", room, entry.key, key,
                       kind_name(found->value->kind)));
  }
  return found->value->text;
}

void check_keys(const Entry& entry, const std::string& room) {
  static const std::vector<std::string> kKnown = {"type",    "path",     "mode", "description",
                                                  "default", "optional", "enum", "min",
                                                  "max",     "value",    "name", "version"};
  for (const Entry& key : entry.value->entries) {
    if (std::find(kKnown.begin(), kKnown.end(), key.key) != kKnown.end()) continue;
    refuse(fmt::format("unknown key {} of {}.{}; known: {}", in_quotes(key.key), room, entry.key,
                       fmt::join(kKnown, ", ")));
  }
}

}  // namespace

Bindings::Bindings(const Document& document, std::map<std::string, Assignment> overrides)
    : document_(document), overrides_(std::move(overrides)) {}

std::vector<std::string> Bindings::input_names() const { return keys_of(document_.inputs); }
std::vector<std::string> Bindings::output_names() const { return keys_of(document_.outputs); }

std::optional<std::string> Bindings::only_reference(const std::string& text,
                                                    const std::string& room) {
  const std::string trimmed = trim(text);
  if (!trimmed.starts_with("${{") || trimmed.find("}}") != trimmed.size() - 2) return std::nullopt;
  const std::string inner = trim(std::string_view(trimmed).substr(3, trimmed.size() - 5));
  if (!inner.starts_with(room + ".")) return std::nullopt;
  return inner.substr(room.size() + 1);
}

BoundInput Bindings::input(const std::string& name) const {
  const Entry* entry = find(document_.inputs, name);
  if (entry == nullptr) refuse_name("inputs", name, document_.inputs);
  return read_input(*entry, true);
}

BoundInput Bindings::parent_input(const std::string& name) const {
  const Entry* entry = find(document_.parent_inputs, name);
  if (entry == nullptr) refuse_name("parent.inputs", name, document_.parent_inputs);
  return read_input(*entry, false);
}

BoundInput Bindings::read_input(const Entry& entry, bool of_job) const {
  const std::string room = of_job ? "inputs" : "parent.inputs";
  BoundInput input;
  input.folder = document_.folder;
  input.where = document_.where(entry.line);
  std::string path;
  std::string literal;
  switch (entry.value->kind) {
    case Node::Kind::kNull:
      break;
    case Node::Kind::kSequence:
      refuse(fmt::format("{}.{}: expected a mapping or a single value, found a list", room,
                         entry.key));
    case Node::Kind::kScalar:
      literal = entry.value->text;
      input.given = true;
      break;
    case Node::Kind::kMapping:
      check_keys(entry, room);
      input.type = scalar_of(entry, "type", room);
      input.optional = lower_case(scalar_of(entry, "optional", room)) == "true";
      path = scalar_of(entry, "path", room);
      literal = scalar_of(entry, "value", room);
      if (literal.empty()) literal = scalar_of(entry, "default", room);
      if (path.empty() && !is_literal_type(input.type)) path = std::exchange(literal, "");
      input.is_path = !is_literal_type(input.type);
      input.given = !path.empty() || !literal.empty();
      break;
  }
  // An override of the job's own input, or of the pipeline's where the job has none of that name.
  const auto override = overrides_.find(entry.key);
  if (override != overrides_.end() && (of_job || !find(document_.inputs, entry.key))) {
    input.given = true;
    input.folder = override->second.folder;
    input.where = override->second.where;
    const std::string& text = override->second.node->text;
    input.value = input.is_path ? read_path(text, override->second.folder).string() : text;
    return input;
  }
  if (!input.given) return input;
  const std::string& text = input.is_path ? path : literal;
  const auto parent = of_job ? only_reference(text, "parent.inputs") : std::nullopt;
  if (parent) {
    BoundInput bound = parent_input(*parent);
    if (bound.type.empty()) bound.type = input.type;
    if (input.is_path && !bound.is_path && bound.given) {
      bound.value = read_path(bound.value, bound.folder).string();
      bound.is_path = true;
    }
    return bound;
  }
  input.value = expand(text, false);
  if (input.is_path) input.value = read_path(input.value, document_.folder).string();
  return input;
}

BoundOutput Bindings::output(const std::string& name) const {
  const Entry* entry = find(document_.outputs, name);
  if (entry == nullptr) refuse_name("outputs", name, document_.outputs);
  return read_output(*entry, true);
}

BoundOutput Bindings::read_output(const Entry& entry, bool of_job) const {
  const std::string room = of_job ? "outputs" : "parent.outputs";
  BoundOutput output;
  output.where = document_.where(entry.line);
  std::string path;
  if (entry.value->kind == Node::Kind::kMapping) {
    check_keys(entry, room);
    output.type = scalar_of(entry, "type", room);
    path = scalar_of(entry, "path", room);
  } else if (entry.value->kind == Node::Kind::kScalar) {
    path = entry.value->text;
  } else if (entry.value->kind == Node::Kind::kSequence) {
    refuse(fmt::format("{}.{}: expected a mapping or a path, found a list", room, entry.key));
  }
  if (path.empty()) return output;
  const auto parent = of_job ? only_reference(path, "parent.outputs") : std::nullopt;
  if (parent) {
    const Entry* found = find(document_.parent_outputs, *parent);
    if (found == nullptr) refuse_name("parent.outputs", *parent, document_.parent_outputs);
    BoundOutput bound = read_output(*found, false);
    if (!output.type.empty()) bound.type = output.type;
    return bound;
  }
  output.path = read_path(expand(path, false), document_.folder);
  return output;
}

std::string Bindings::expand(const std::string& text) const { return expand(text, true); }

/// `of_job`: inputs and outputs without "parent." are in reach.
std::string Bindings::expand(const std::string& text, bool of_job) const {
  std::string result;
  std::size_t position = 0;
  for (;;) {
    const std::size_t v2 = text.find("${{", position);
    // Any other ${...} is the entry's own affair.
    const std::size_t begin = std::min(v2, text.find("${side_inputs.", position));
    if (begin == std::string::npos) return result + text.substr(position);
    const std::size_t braces = begin == v2 ? 2 : 1;
    const std::size_t from = begin + 1 + braces;
    const std::size_t end = text.find(std::string(braces, '}'), from);
    if (end == std::string::npos) {
      refuse(fmt::format("{} has ${} without {}", in_quotes(text), std::string(braces, '{'),
                         std::string(braces, '}')));
    }
    result += text.substr(position, begin - position);
    result += evaluate(trim(std::string_view(text).substr(from, end - from)), of_job);
    position = end + braces;
  }
}

std::string Bindings::evaluate(const std::string& expression, bool of_job) const {
  const auto after = [&expression](const std::string& prefix) -> std::optional<std::string> {
    if (!expression.starts_with(prefix)) return std::nullopt;
    return expression.substr(prefix.size());
  };
  const auto value_of = [&expression](const BoundInput& input) {
    if (!input.given) {
      refuse(fmt::format("${{{{{}}}}} has no value; give one with --set inputs.NAME=VALUE",
                         expression));
    }
    return input.value;
  };
  const auto path_of = [this](const BoundOutput& output, const std::string& name) {
    return (output.path.empty() ? output_folder_ / name : output.path).string();
  };
  if (expression.starts_with("parent.jobs.")) {
    refuse(
        fmt::format("${{{{{}}}}} comes from another job, which is not run here; give a local "
                    "path with --set inputs.NAME=PATH",
                    expression));
  }
  if (const auto name = after("parent.inputs.")) return value_of(parent_input(*name));
  if (of_job) {
    if (const auto name = after("inputs.")) return value_of(input(*name));
    if (const auto name = after("outputs.")) return path_of(output(*name), *name);
    if (const auto name = after("side_inputs.")) {
      const auto found = side_inputs_.find(*name);
      if (found != side_inputs_.end()) return found->second.string();
      refuse(fmt::format("side_inputs.{} is not declared", *name));
    }
  }
  if (const auto name = after("parent.outputs.")) {
    const Entry* found = find(document_.parent_outputs, *name);
    if (found == nullptr) refuse_name("parent.outputs", *name, document_.parent_outputs);
    return path_of(read_output(*found, false), *name);
  }
  refuse(
      fmt::format("${{{{{}}}}} means nothing here; known: inputs.NAME, outputs.NAME, "
                  "side_inputs.NAME, parent.inputs.NAME, parent.outputs.NAME",
                  expression));
}

}  // namespace prs::config
