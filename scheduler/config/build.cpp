#include "config/build.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "config/arguments.hpp"
#include "config/text.hpp"
#include "config/values.hpp"

namespace prs::config {
namespace {

namespace fs = std::filesystem;

bool ends_with(const std::string& text, const std::string& ending) {
  return lower_case(text).ends_with(ending);
}

const char* kind_key(EntrySpec::Kind kind) {
  switch (kind) {
    case EntrySpec::Kind::kScript:
      return "entry_script";
    case EntrySpec::Kind::kPlugin:
      return "plugin";
    case EntrySpec::Kind::kModel:
      break;
  }
  return "model";
}

std::map<std::string, Assignment> input_overrides(const std::vector<Assignment>& sets) {
  std::map<std::string, Assignment> overrides;
  for (const Assignment& set : sets) {
    if (set.name.starts_with("inputs.")) overrides[set.name.substr(7)] = set;
  }
  return overrides;
}

}  // namespace

Build::Build(const Document& document, const std::vector<Assignment>& sets)
    : document_(document),
      problems_(document.problems),
      bindings_(document, input_overrides(sets)) {
  step_.notes = document.notes;
  for (const Assignment& assignment : document.assignments) add(assignment);
  for (const Assignment& assignment : sets) add(assignment);
  check_overrides(sets);
}

Step Build::run() {
  read_arguments();
  read_idle_keys();
  read_output();
  read_inputs();
  read_partition_keys();
  read_side_inputs();
  read_entry();
  expand_arguments();
  read_environment();
  read_settings();
  if (!problems_.empty()) fail();
  sort_origins();
  return std::move(step_);
}

void Build::add(const Assignment& assignment) {
  if (find_key(assignment.key).kind == KeyInfo::Kind::kCloudOnly) {
    step_.notes.push_back(
        fmt::format("{}: {} means nothing here", assignment.where, assignment.key));
  } else {
    given_[assignment.name].push_back(assignment);
  }
}

void Build::check_overrides(const std::vector<Assignment>& sets) {
  const auto declares = [](const std::vector<Entry>& entries, const std::string& name) {
    return std::any_of(entries.begin(), entries.end(),
                       [&name](const Entry& entry) { return entry.key == name; });
  };
  for (const Assignment& set : sets) {
    if (!set.name.starts_with("inputs.")) continue;
    const std::string name = set.name.substr(7);
    if (declares(document_.inputs, name) || declares(document_.parent_inputs, name)) continue;
    std::vector<std::string> names = bindings_.input_names();
    for (const Entry& entry : document_.parent_inputs) names.push_back(entry.key);
    problem(set, fmt::format("the step file declares no such input; declared: {}",
                             names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
  }
}

void Build::problem(const Assignment& at, const std::string& text, ErrorCode code) {
  problems_.push_back({code, fmt::format("{}: {}: {}", at.where, at.key, text)});
}

void Build::problem(const std::string& text) {
  problems_.push_back({ErrorCode::kInvalidArgument, text});
}

void Build::fail() const {
  std::vector<std::string> lines;
  bool only_unsupported = true;
  for (const Problem& problem : problems_) {
    only_unsupported = only_unsupported && problem.code == ErrorCode::kUnsupported;
    if (std::find(lines.begin(), lines.end(), problem.text) == lines.end()) {
      lines.push_back(problem.text);
    }
  }
  throw Error(only_unsupported ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument,
              fmt::format("{}", fmt::join(lines, "\n")));
}

std::vector<Assignment> Build::winners(const std::string& name) const {
  const auto found = given_.find(name);
  if (found == given_.end()) return {};
  int rank = 0;
  for (const Assignment& assignment : found->second) rank = std::max(rank, assignment.rank);
  std::vector<Assignment> best;
  for (const Assignment& assignment : found->second) {
    if (assignment.rank == rank) best.push_back(assignment);
  }
  return best;
}

std::optional<Assignment> Build::winner(const std::string& name) {
  const std::vector<Assignment> best = winners(name);
  if (best.empty()) return std::nullopt;
  for (const Assignment& other : best) {
    if (other.node->text != best[0].node->text) report_conflict(best[0], other);
  }
  return best[0];
}

void Build::report_conflict(const Assignment& a, const Assignment& b) {
  problem(fmt::format("{}: {}: {} and {}: {}: {} set the same thing differently; give one of them",
                      a.where, a.key, in_quotes(a.node->text), b.where, b.key,
                      in_quotes(b.node->text)));
}

void Build::show(const std::string& key, const std::string& value, const std::string& origin,
                 const std::string& unit) {
  step_.origins.push_back({key, value, unit, origin});
}

/// What runs on what comes first; the settings follow in their table's order.
void Build::sort_origins() {
  const auto place = [](const SettingOrigin& origin) {
    if (origin.key == "name") return 0;
    if (origin.key == "entry_script" || origin.key == "plugin" || origin.key == "model") return 1;
    if (origin.key == "source_directory" || origin.key == "python") return 2;
    if (origin.key == "arguments") return 3;
    if (origin.key == "inputs") return 4;
    if (origin.key.starts_with("side_inputs.")) return 5;
    if (origin.key == "output") return 6;
    return origin.key.starts_with("environment_variables.") ? 8 : 7;
  };
  std::stable_sort(
      step_.origins.begin(), step_.origins.end(),
      [&place](const SettingOrigin& a, const SettingOrigin& b) { return place(a) < place(b); });
}

// Arguments.

void Build::read_arguments() {
  const std::vector<Assignment> lists = winners("arguments");
  if (lists.empty()) return;
  if (lists.size() > 1) {
    problem(lists[1],
            fmt::format("also given as {} ({}); give one of them", lists[0].key, lists[0].where));
  }
  arguments_ = lists[0];
  ParsedArguments parsed = parse_arguments(*arguments_, document_, document_.v2);
  problems_.insert(problems_.end(), parsed.problems.begin(), parsed.problems.end());
  step_.notes.insert(step_.notes.end(), parsed.notes.begin(), parsed.notes.end());
  step_.entry.arguments = std::move(parsed.own);
  for (const Assignment& option : parsed.options) {
    given_[option.name].push_back(option);
  }
}

void Build::read_idle_keys() {
  for (const auto& given : given_) {
    const std::string& name = given.first;
    for (const Assignment& assignment : given.second) {
      if (name == "compute_target") {
        if (assignment.node->text == "local") continue;
      } else if (!is_idle_option(name)) {
        continue;
      }
      attempt(assignment, [&] {
        if (name.ends_with("_to_parent")) read_bool(text_of(assignment));
        step_.notes.push_back(
            fmt::format("{}: {} means nothing here", assignment.where, assignment.key));
      });
    }
  }
}

void Build::expand_arguments() {
  if (!arguments_) return;
  for (std::string& argument : step_.entry.arguments) {
    attempt(*arguments_, [&] { argument = bindings_.expand(argument); });
  }
  if (!step_.entry.arguments.empty()) {
    show("arguments", fmt::format("{}", fmt::join(step_.entry.arguments, " ")), arguments_->where);
  }
}

// Entry.

void Build::read_entry() {
  std::vector<Assignment> entries;
  for (const char* name : {"entry_script", "model", "plugin"}) {
    for (const Assignment& entry : winners(name)) entries.push_back(entry);
  }
  // Beside a Python script, model is what the script loads. Only from the command line does it
  // replace a script, that of the file.
  const auto script = std::find_if(entries.begin(), entries.end(), [](const Assignment& entry) {
    return entry.name == "entry_script" && ends_with(entry.node->text, ".py");
  });
  if (script != entries.end()) {
    const bool in_file = script->rank == 0;
    std::erase_if(entries, [in_file](const Assignment& entry) {
      return entry.name == "model" && (entry.rank == 0 || !in_file);
    });
  }
  int rank = 0;
  for (const Assignment& entry : entries) rank = std::max(rank, entry.rank);
  std::erase_if(entries, [rank](const Assignment& entry) { return entry.rank < rank; });
  if (entries.empty()) {
    problem(
        "model: missing; give an ONNX model (model), a Python script (entry_script) or a native "
        "plugin (plugin)");
    return;
  }
  if (entries.size() > 1) report_conflict(entries[0], entries[1]);
  read_source_directory();
  attempt(entries[0], [&] { set_entry(entries[0]); });
  read_python();
  if (step_.entry.kind == EntrySpec::Kind::kScript) read_script_model();
}

void Build::read_python() {
  const std::optional<Assignment> python = winner("python");
  if (!python) return;
  attempt(*python, [&] {
    if (step_.entry.kind != EntrySpec::Kind::kScript) {
      refuse("means something for a Python script (entry_script) only");
    }
    step_.entry.python = read_path(text_of(*python), python->folder);
    std::error_code ignored;
    if (!fs::is_regular_file(step_.entry.python, ignored)) {
      refuse(fmt::format("{} is no interpreter; give a file such as .venv/bin/python",
                         in_quotes(step_.entry.python.string())));
    }
    show("python", step_.entry.python.string(), python->where);
  });
}

void Build::read_script_model() {
  const std::optional<Assignment> model = winner("model");
  if (!model) return;
  attempt(*model, [&] {
    step_.entry.model = read_path(text_of(*model), model->folder);
    std::error_code ignored;
    if (!fs::exists(step_.entry.model, ignored)) {
      refuse(in_quotes(step_.entry.model.string()) + " does not exist");
    }
    show("model", step_.entry.model.string(), model->where);
  });
}

void Build::read_source_directory() {
  const std::optional<Assignment> source = winner("source_directory");
  if (!source) return;
  attempt(*source,
          [&] { step_.entry.source_directory = read_path(text_of(*source), source->folder); });
  show("source_directory", step_.entry.source_directory.string(), source->where);
}

void Build::set_entry(const Assignment& entry) {
  const std::string text = text_of(entry);
  EntrySpec& spec = step_.entry;
  fs::path folder = entry.folder;
  spec.kind = entry.name == "model" ? EntrySpec::Kind::kModel : EntrySpec::Kind::kPlugin;
  if (entry.name == "entry_script") {
    if (ends_with(text, ".py")) {
      spec.kind = EntrySpec::Kind::kScript;
    } else if (ends_with(text, ".onnx")) {
      spec.kind = EntrySpec::Kind::kModel;
    } else if (!ends_with(text, ".so")) {
      refuse_value(text, "a Python script (.py), a native plugin (.so) or an ONNX model (.onnx)");
    }
    if (!spec.source_directory.empty()) folder = spec.source_directory;
  }
  spec.path = read_path(text, folder);
  if (entry.name == "entry_script" && !spec.source_directory.empty()) {
    const fs::path relative = spec.path.lexically_relative(spec.source_directory);
    if (relative.empty() || *relative.begin() == "..") {
      refuse(fmt::format("{} is outside of the source folder {}", in_quotes(text),
                         in_quotes(spec.source_directory.string())));
    }
  }
  std::error_code ignored;
  if (!fs::is_regular_file(spec.path, ignored)) {
    refuse(fmt::format("{} is no file", in_quotes(spec.path.string())));
  }
  // Of a model, v2's code folder means nothing.
  if (spec.kind == EntrySpec::Kind::kModel) {
    spec.source_directory.clear();
  } else if (!spec.source_directory.empty() && !fs::is_directory(spec.source_directory, ignored)) {
    refuse(fmt::format("the source folder {} does not exist",
                       in_quotes(spec.source_directory.string())));
  }
  // A script's siblings are imported from there.
  if (spec.kind == EntrySpec::Kind::kScript && spec.source_directory.empty()) {
    spec.source_directory = spec.path.parent_path();
  }
  show(kind_key(spec.kind), spec.path.string(), entry.where);
}

void Build::read_environment() {
  const std::string prefix = "environment_variables.";
  for (const auto& given : given_) {
    const std::string& name = given.first;
    if (!name.starts_with(prefix)) continue;
    const std::optional<Assignment> variable = winner(name);
    const std::string key = name.substr(prefix.size());
    attempt(*variable, [&] {
      if (key.find('=') != std::string::npos || key.find('\0') != std::string::npos) {
        refuse(in_quotes(key) + " is no name; allowed: a name without '='");
      }
      const std::string value = text_of(*variable);
      if (value.find('\0') != std::string::npos) refuse("a value cannot hold a zero byte");
      step_.environment_variables[key] = value;
      // Not the value: it may be a secret, and the table goes into logs.
      show(name, "(set)", variable->where);
    });
  }
}

// Single values.

void Build::read_settings() {
  std::vector<std::string> wheres;
  for (const Setting& setting : settings()) wheres.push_back(read_setting(setting));
  if (winners("progress_update_timeout").empty()) {
    step_.progress_update_timeout =
        std::max(Seconds(600),
                 step_.run_max_try * (step_.run_invocation_timeout + step_.task_overhead_timeout) +
                     Seconds(60));
  }
  for (std::size_t i = 0; i < wheres.size(); ++i) {
    const Setting& setting = settings()[i];
    const std::string value = setting.show(step_);
    if (value.empty()) continue;
    constexpr const char* kUnits[] = {"items", "bytes", "rows"};
    const bool is_size = setting.key == "mini_batch_size";
    show(setting.key, value, wheres[i],
         is_size ? kUnits[static_cast<std::size_t>(step_.mini_batch_size.unit)] : setting.unit);
  }
  if (document_.read && !document_.v2 && winners("error_threshold").empty()) {
    step_.notes.push_back(
        fmt::format("{}: error_threshold is not set; PRS's v1 requires it, here it is -1: no limit",
                    document_.path.string()));
  }
  check_model_options();
  if (step_.rank_mini_batch_count > 0 && step_.entry.kind == EntrySpec::Kind::kModel) {
    problem(*winner("rank_mini_batch_count"),
            "a model has nothing to score in mini-batches without input; they are for a Python "
            "script (entry_script) or a plugin");
  }
}

std::string Build::read_setting(const Setting& setting) {
  std::vector<Assignment> best = winners(setting.key);
  if (setting.key == "name") adapt_name(best);
  if (best.empty()) return default_of(setting);
  std::optional<std::string> first;
  for (const Assignment& assignment : best) {
    attempt(assignment, [&] {
      std::string text = text_of(assignment);
      const bool is_path = setting.key == "class_names" || setting.key == "calibrate";
      if (is_path) text = read_path(text, assignment.folder).string();
      setting.read(step_, text, assignment.key);
      const std::string value = setting.show(step_);
      if (!first) first = value;
      if (value != *first) report_conflict(best[0], assignment);
    });
  }
  return best[0].where;
}

/// v2 allows more names than v1 does.
void Build::adapt_name(std::vector<Assignment>& names) {
  if (names.empty() || names[0].rank > 0 || !document_.v2) return;
  const std::string name = make_name(names[0].node->text);
  if (name == names[0].node->text) return;
  step_.notes.push_back(fmt::format("{}: name {} becomes '{}'", names[0].where,
                                    in_quotes(names[0].node->text), name));
  names[0].node = scalar_node(name);
}

/// Stores the default where it depends on something; gives its origin.
std::string Build::default_of(const Setting& setting) {
  if (setting.key == "mini_batch_size") step_.mini_batch_size.given = false;
  if (setting.key == "name" && document_.read) {
    step_.name = make_name(document_.path.stem().string());
  } else if (setting.key == "mini_batch_size" && document_.v2) {
    step_.mini_batch_size.value = 1;
    return "default (v2)";
  } else if (setting.key == "output_action" && document_.v2 &&
             winners("append_row_file_name").empty()) {
    step_.output_action = OutputAction::kSummaryOnly;
    return "default (v2)";
  } else if (setting.key == "progress_update_timeout") {
    return "computed";
  }
  return "default";
}

void Build::check_model_options() {
  if (!step_.profiling_module.empty() && step_.entry.kind != EntrySpec::Kind::kScript) {
    step_.notes.push_back("profiling_module means nothing for a model or a plugin");
  }
  if (step_.entry.kind == EntrySpec::Kind::kModel) return;
  for (const auto& [name, value] : step_.model_options) {
    step_.notes.push_back(
        fmt::format("model_options.{} means nothing for a {}", name,
                    step_.entry.kind == EntrySpec::Kind::kPlugin ? "plugin" : "script"));
  }
}

}  // namespace prs::config
