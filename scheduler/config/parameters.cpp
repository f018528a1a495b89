#include "config/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string_view>

#include "config/settings.hpp"
#include "config/yaml.hpp"
#include "prs/error.hpp"

namespace prs::config {
namespace {

constexpr std::string_view kPrefix = "PRS_PARAM_";

/// Those that Azure calls pipeline parameters.
constexpr std::array kPipelineParameters = {
    "mini_batch_size",        "node_count",  "process_count_per_node", "logging_level",
    "run_invocation_timeout", "run_max_try",
};

std::string variable_of(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return std::string(kPrefix) + name;
}

void collect(const Node& mapping, const std::string& prefix, const std::string& file,
             std::vector<Parameter>& parameters) {
  for (const Entry& entry : mapping.entries) {
    const std::string key = prefix + entry.key;
    switch (entry.value->kind) {
      case Node::Kind::kMapping:
        collect(*entry.value, key + ".", file, parameters);
        break;
      case Node::Kind::kScalar:
        parameters.push_back({key, entry.value->text, fmt::format("{}:{}", file, entry.line)});
        break;
      case Node::Kind::kNull:
      case Node::Kind::kSequence:
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{}:{}: {}: expected a single value, found {}", file, entry.line,
                                key, kind_name(entry.value->kind)));
    }
  }
}

/// Of two names of one setting neither is the later one.
void refuse_twice_given(const std::vector<Parameter>& parameters) {
  std::map<std::string, const Parameter*> seen;
  for (const Parameter& parameter : parameters) {
    const KeyInfo info = find_key(parameter.key);
    if (info.kind != KeyInfo::Kind::kSetting) continue;
    const auto [place, is_new] = seen.emplace(info.name, &parameter);
    if (is_new) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} sets what {} ({}) sets; give one of them", parameter.origin,
                            parameter.key, place->second->key, place->second->origin));
  }
}

}  // namespace

std::vector<Parameter> parameters_of_environment(const char* const* variables) {
  std::vector<Parameter> parameters;
  for (; *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    if (!variable.starts_with(kPrefix)) continue;
    const std::string name(variable.substr(0, variable.find('=')));
    const auto found = std::find_if(kPipelineParameters.begin(), kPipelineParameters.end(),
                                    [&](const char* known) { return variable_of(known) == name; });
    if (found == kPipelineParameters.end()) {
      std::string known;
      for (const char* one : kPipelineParameters) known += " " + variable_of(one);
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("environment variable {}: no pipeline parameter; known:{}; others "
                              "with --set or --parameters",
                              name, known));
    }
    const std::size_t equals = variable.find('=');
    parameters.push_back(
        {*found, std::string(variable.substr(std::min(equals, variable.size() - 1) + 1)), name});
  }
  return parameters;
}

std::vector<Parameter> read_parameters(const std::filesystem::path& path) {
  const NodePtr root = read_yaml(path);
  if (root->kind != Node::Kind::kMapping) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: expected a mapping of settings, found {}", path.string(),
                            kind_name(root->kind)));
  }
  std::vector<Parameter> parameters;
  collect(*root, "", path.string(), parameters);
  refuse_twice_given(parameters);
  return parameters;
}

}  // namespace prs::config
