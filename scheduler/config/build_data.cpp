// Where the data comes from and where it goes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "config/build.hpp"
#include "config/text.hpp"
#include "config/values.hpp"

namespace prs::config {

namespace fs = std::filesystem;

// Output.

void Build::read_output() {
  const std::optional<Assignment> folder = winner("output");
  const std::optional<Assignment> target = winner("append_row_to");
  std::optional<fs::path> target_folder;
  if (target) read_append_row_to(*target, target_folder);
  std::string origin;
  if (folder && (!target || folder->rank >= target->rank || !target_folder)) {
    attempt(*folder, [&] { step_.output = read_path(text_of(*folder), folder->folder); });
    if (target && target->rank == folder->rank && target_folder && *target_folder != step_.output) {
      report_conflict(*folder, *target);
    }
    origin = folder->where;
  } else if (target_folder) {
    step_.output = *target_folder;
    origin = target->where;
  } else if (const fs::path declared = declared_output(); !declared.empty()) {
    step_.output = declared;
    origin = "outputs";
  } else {
    problem("output: missing; give the folder to write to");
    return;
  }
  std::error_code ignored;
  if (fs::exists(step_.output, ignored) && !fs::is_directory(step_.output, ignored)) {
    problem(fmt::format("{}: output: {} is a file; expected a folder", origin,
                        in_quotes(step_.output.string())));
  }
  bindings_.set_output_folder(step_.output);
  show("output", step_.output.string(), origin);
}

/// The file is a setting of its own; it says append_row too.
void Build::read_append_row_to(const Assignment& target, std::optional<fs::path>& folder) {
  attempt(target, [&] {
    const auto as = [&target](const char* name, const std::string& text) {
      return Assignment{target.key, name, scalar_node(text), target.where, {}, target.rank};
    };
    given_["output_action"].push_back(as("output_action", "append_row"));
    fs::path file;
    if (const auto name = Bindings::only_reference(target.node->text, "outputs")) {
      const BoundOutput output = bindings_.output(*name);
      if (output.path.empty()) return;
      if (output.type != "uri_file") {
        folder = output.path;
        return;
      }
      file = output.path;
    } else {
      file = read_path(text_of(target), target.folder);
    }
    folder = file.parent_path();
    given_["append_row_file_name"].push_back(as("append_row_file_name", file.filename()));
  });
}

/// The path of the only output that has one, or "".
fs::path Build::declared_output() {
  fs::path only;
  for (const std::string& name : bindings_.output_names()) {
    const Assignment at{"outputs." + name, "", nullptr, document_.path.string(), {}, 0};
    attempt(at, [&] {
      const BoundOutput output = bindings_.output(name);
      if (output.path.empty()) return;
      if (!only.empty()) refuse("several outputs have a path; give the folder to write to: output");
      only = output.type == "uri_file" ? output.path.parent_path() : output.path;
    });
  }
  return only;
}

// Inputs.

/// The v2 input that the mini-batches come from, or "".
std::string Build::main_input() const {
  for (const Assignment& assignment : document_.assignments) {
    if (assignment.name != "inputs") continue;
    return Bindings::only_reference(assignment.node->text, "inputs").value_or("");
  }
  std::string only;
  for (const Entry& entry : document_.inputs) {
    if (entry.value->kind != Node::Kind::kMapping) continue;
    const Entry* type = entry.value->find("type");
    if (type != nullptr && (type->value->text == "string" || type->value->text == "number" ||
                            type->value->text == "integer" || type->value->text == "boolean")) {
      continue;
    }
    if (!only.empty()) return "";
    only = entry.key;
  }
  return only;
}

void Build::read_inputs() {
  // D9: whatever the inputs are, they mean nothing then.
  if (!winners("rank_mini_batch_count").empty()) return;
  // add_input() gives each input a rank of its own; together they replace those of the file.
  std::vector<Assignment> lists;
  for (const Assignment& list : given_["inputs"]) {
    if (list.rank > 0) lists.push_back(list);
  }
  if (lists.empty()) {
    lists = given_["inputs"];
    if (lists.size() > 1) {
      problem(lists[1],
              fmt::format("also given as {} ({}); give one of them", lists[0].key, lists[0].where));
    }
  }
  const std::string main = main_input();
  if (lists.empty() && !main.empty()) {
    // The only input that v2's mapping has needs no input_data.
    lists.push_back({"inputs", "inputs", scalar_node("${{inputs." + main + "}}"),
                     document_.path.string(), document_.folder, 0});
  }
  if (lists.empty()) {
    const std::vector<std::string> names = bindings_.input_names();
    problem(names.empty() ? "inputs: missing; give files, folders, globs or @lists"
                          : fmt::format("input_data: missing; which of the inputs: {}",
                                        fmt::join(names, ", ")));
    return;
  }
  const std::size_t problems_before = problems_.size();
  for (const Assignment& list : lists) read_input_list(list);
  if (step_.inputs.empty() && problems_.size() == problems_before) {
    problem(lists[0], "the list is empty; give at least one file, folder, glob or @list");
  }
  show("inputs", fmt::format("{}", fmt::join(step_.inputs, ", ")), lists[0].where);
}

void Build::read_input_list(const Assignment& list) {
  const auto read_one = [this, &list](const Node& item) {
    const Entry* type = item.find("type");
    if (type != nullptr) read_input_type(type->value->text);
    const Entry* path = item.find("path");
    const Node& value = path != nullptr ? *path->value : item;
    if (value.kind != Node::Kind::kScalar) {
      refuse(fmt::format("expected a path, found {}", kind_name(value.kind)));
    }
    const auto name = Bindings::only_reference(value.text, "inputs");
    if (!name) {
      step_.inputs.push_back(read_input(bindings_.expand(value.text), list.folder));
      return;
    }
    const BoundInput input = bindings_.input(*name);
    read_input_type(input.type);
    if (!input.given) {
      refuse(
          fmt::format("inputs.{} has no path; give one with --set inputs.{}=PATH", *name, *name));
    }
    step_.inputs.push_back(input.is_path ? input.value : read_input(input.value, input.folder));
  };
  if (list.node->kind != Node::Kind::kSequence) {
    attempt(list, [&] { read_one(*list.node); });
    return;
  }
  for (const NodePtr& item : list.node->items) {
    Assignment at = list;
    at.where = document_.where(item->line);
    attempt(at, [&] { read_one(*item); });
  }
}

/// v2's types say what the data is; in v1 and where nothing is said, names tell.
void Build::read_input_type(const std::string& type) {
  if (!winners("input_kind").empty()) return;
  if (type == "mltable") step_.input_kind = InputKind::kTabular;
  // A script of v2 gets the paths of its files, whatever is in them.
  const bool is_path = type == "uri_file" || type == "uri_folder";
  if (is_path && !winners("entry_script").empty()) step_.input_kind = InputKind::kFiles;
}

/// D8: a list of names, or one text with commas.
void Build::read_partition_keys() {
  const std::optional<Assignment> keys = winner("partition_keys");
  if (!keys) return;
  attempt(*keys, [&] {
    std::vector<std::string>& names = step_.partition_keys;
    if (keys->node->kind == Node::Kind::kSequence) {
      for (const NodePtr& item : keys->node->items) names.push_back(item->text);
    } else {
      std::istringstream list(text_of(*keys));
      for (std::string name; std::getline(list, name, ',');) {
        const std::size_t begin = name.find_first_not_of(' ');
        const std::size_t end = name.find_last_not_of(' ');
        names.push_back(begin == std::string::npos ? "" : name.substr(begin, end - begin + 1));
      }
    }
    if (names.empty()) refuse("the list is empty; name at least one key, or leave it out");
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto end = names.begin() + static_cast<std::ptrdiff_t>(i);
      if (names[i].empty()) refuse("an empty name in the list");
      if (std::find(names.begin(), end, names[i]) != end) {
        refuse(fmt::format("{} stands in the list twice", in_quotes(names[i])));
      }
    }
    if (!winners("mini_batch_size").empty()) {
      if (!document_.v2) {
        refuse(
            "given together with mini_batch_size; each combination of values is one mini-batch, "
            "so leave one of them out");
      }
      step_.notes.push_back(fmt::format(
          "{}: partition_keys decides; mini_batch_size means nothing beside it", keys->where));
    }
  });
  show("partition_keys", fmt::format("{}", fmt::join(step_.partition_keys, ", ")), keys->where);
}

void Build::read_side_inputs() {
  const std::string main = main_input();
  for (const std::string& name : bindings_.input_names()) {
    if (name == main) continue;
    const Assignment at{"inputs." + name, "", nullptr, document_.path.string(), {}, 0};
    attempt(at, [&] {
      const BoundInput input = bindings_.input(name);
      if (!input.is_path || (!input.given && input.optional)) return;
      if (!input.given) refuse(fmt::format("has no path; give one with --set {}=PATH", at.key));
      if (input.type == "mltable") {
        refuse("is an mltable; side inputs are files and folders (S1)");
      }
      given_["side_inputs." + name].insert(
          given_["side_inputs." + name].begin(),
          {at.key, "side_inputs." + name, scalar_node(input.value), input.where, {}, 0});
    });
  }
  for (const auto& given : given_) {
    const std::string& name = given.first;
    if (!name.starts_with("side_inputs.")) continue;
    const std::optional<Assignment> side = winner(name);
    attempt(*side, [&] {
      const fs::path path = read_path(text_of(*side), side->folder);
      std::error_code ignored;
      if (!fs::exists(path, ignored)) refuse(in_quotes(path.string()) + " does not exist");
      step_.side_inputs[name.substr(12)] = path;
      show(name, path.string(), side->where);
    });
  }
  bindings_.set_side_inputs(step_.side_inputs);
}

}  // namespace prs::config
