#include <fmt/format.h>

#include <utility>

#include "config/build.hpp"
#include "config/document.hpp"
#include "config/settings.hpp"
#include "config/step.hpp"
#include "config/yaml.hpp"
#include "prs/error.hpp"

namespace prs::config {

struct StepBuilder::State {
  std::filesystem::path path;
  NodePtr root;  ///< Null without a file.
  std::string job;
  std::vector<Assignment> sets;

  void add(const std::string& key, const std::string& name, const std::string& value,
           const std::string& origin) {
    const int rank = static_cast<int>(sets.size()) + 1;
    sets.push_back({key, name, scalar_node(value), origin, {}, rank});
  }
};

StepBuilder::StepBuilder() : state_(std::make_unique<State>()) {}
StepBuilder::~StepBuilder() = default;
StepBuilder::StepBuilder(StepBuilder&&) noexcept = default;
StepBuilder& StepBuilder::operator=(StepBuilder&&) noexcept = default;

void StepBuilder::read_file(const std::filesystem::path& path) {
  if (state_->root) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: a second step file, after {}; a run takes one", path.string(),
                            state_->path.string()));
  }
  state_->root = read_yaml(path);
  state_->path = path;
}

void StepBuilder::set(const std::string& key, const std::string& value, const std::string& origin) {
  const auto fail = [&origin](const std::string& text,
                              ErrorCode code = ErrorCode::kInvalidArgument) {
    throw Error(code, fmt::format("{}: {}", origin, text));
  };
  const KeyInfo info = find_key(key);
  switch (info.kind) {
    case KeyInfo::Kind::kUnknown:
      fail(unknown_key(key));
      break;
    case KeyInfo::Kind::kUnsupported:
      fail(fmt::format("{}: {}", key, info.name), ErrorCode::kUnsupported);
      break;
    case KeyInfo::Kind::kMapping:
      fail(fmt::format("{}: set its keys, as in {}.NAME=VALUE", key, key));
      break;
    case KeyInfo::Kind::kNamed:
      if (!key.starts_with(info.name)) {
        fail(fmt::format("{}: set its entries, as in {}NAME=VALUE", key, info.name));
      }
      // Azure's own command line says inputs.NAME.path.
      state_->add(
          key,
          info.name == "inputs." && key.ends_with(".path") ? key.substr(0, key.size() - 5) : key,
          value, origin);
      break;
    case KeyInfo::Kind::kSpecial:
      if (info.name == "type" || info.name == "task.type" || info.name == "outputs") {
        fail(fmt::format("{}: belongs into a step file; use output for the output folder", key));
      }
      if (info.name == "job") {
        state_->job = value;
      } else {
        if (info.name == "inputs") {
          std::erase_if(state_->sets, [](const Assignment& set) { return set.name == "inputs"; });
        }
        state_->add(key, info.name, value, origin);
      }
      break;
    case KeyInfo::Kind::kSetting:
    case KeyInfo::Kind::kCloudOnly:
      state_->add(key, info.name, value, origin);
      break;
  }
}

void StepBuilder::add_input(const std::string& input, const std::string& origin) {
  state_->add("inputs", "inputs", input, origin);
}

Step StepBuilder::build() const {
  Document document;
  if (state_->root) {
    document = read_document(state_->root, state_->path, state_->job);
  } else if (!state_->job.empty()) {
    document.problems.push_back(
        {ErrorCode::kInvalidArgument, "job: there is no step file to choose a job from"});
  }
  return Build(document, state_->sets).run();
}

}  // namespace prs::config
