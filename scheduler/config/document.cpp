#include "config/document.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "config/refusal.hpp"
#include "config/settings.hpp"
#include "config/text.hpp"
#include "config/values.hpp"

namespace prs::config {
namespace {

class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string job) : job_(std::move(job)) {
    document_.read = true;
    document_.path = path;
    document_.folder = path.parent_path();
  }

  Document run(const Node& root) {
    if (root.kind != Node::Kind::kMapping) {
      problem(root.line,
              fmt::format("expected a mapping of settings, found {}", kind_name(root.kind)));
      return std::move(document_);
    }
    const Entry* type = root.find("type");
    const bool is_pipeline =
        root.find("jobs") != nullptr || (type != nullptr && type->value->text == "pipeline");
    document_.v2 = is_pipeline || type != nullptr || root.find("$schema") != nullptr ||
                   root.find("task") != nullptr;
    if (is_pipeline) {
      read_pipeline(root);
    } else {
      if (!job_.empty()) problem(root.line, "job: this file has no jobs to choose from");
      walk(root, "");
    }
    return std::move(document_);
  }

 private:
  void problem(int line, const std::string& text, ErrorCode code = ErrorCode::kInvalidArgument) {
    document_.problems.push_back({code, fmt::format("{}: {}", document_.where(line), text)});
  }
  void note(int line, const std::string& text) {
    document_.notes.push_back(fmt::format("{}: {}", document_.where(line), text));
  }

  /// Whether the value is of that kind; a problem if not.
  bool expect(const std::string& key, const Entry& entry, Node::Kind kind) {
    if (entry.value->kind == kind) return true;
    problem(entry.line, fmt::format("{}: expected {}, found {}", key, kind_name(kind),
                                    kind_name(entry.value->kind)));
    return false;
  }

  void read_pipeline(const Node& root) {
    for (const Entry& entry : root.entries) {
      const KeyInfo info = find_key(entry.key);
      if (entry.key == "inputs" && expect("inputs", entry, Node::Kind::kMapping)) {
        document_.parent_inputs = entry.value->entries;
      } else if (entry.key == "outputs" && expect("outputs", entry, Node::Kind::kMapping)) {
        document_.parent_outputs = entry.value->entries;
      } else if (info.kind == KeyInfo::Kind::kCloudOnly || entry.key == "compute" ||
                 entry.key == "name") {
        note(entry.line, entry.key + " means nothing here");
      } else if (entry.key == "type" && entry.value->text != "pipeline") {
        problem(entry.line, fmt::format("type: {} is not allowed; allowed for a file with jobs: "
                                        "pipeline",
                                        in_quotes(entry.value->text)));
      } else if (info.kind == KeyInfo::Kind::kUnknown && entry.key != "jobs") {
        problem(entry.line, unknown_key(entry.key));
      } else if (entry.key != "jobs" && entry.key != "type" && entry.key != "inputs" &&
                 entry.key != "outputs") {
        problem(entry.line, fmt::format("{}: belongs into a job of type parallel, below 'jobs'",
                                        in_quotes(entry.key)));
      }
    }
    const Entry* jobs = root.find("jobs");
    if (jobs == nullptr) {
      problem(root.line, "jobs: missing; a pipeline needs a job of type parallel");
    } else if (expect("jobs", *jobs, Node::Kind::kMapping)) {
      choose_job(*jobs);
    }
  }

  void choose_job(const Entry& jobs) {
    std::vector<std::string> names;
    const Entry* chosen = nullptr;
    for (const Entry& job : jobs.value->entries) {
      const Entry* type = job.value->find("type");
      if (type == nullptr || type->value->text != "parallel") continue;
      names.push_back(job.key);
      if (job_.empty() ? chosen == nullptr : job.key == job_) chosen = &job;
    }
    if (names.empty()) {
      problem(jobs.line, "jobs: none is of type parallel; that is the kind that runs here");
    } else if (job_.empty() && names.size() > 1) {
      problem(jobs.line, fmt::format("jobs: several are of type parallel: {}; choose one with "
                                     "--set job=NAME",
                                     fmt::join(names, ", ")));
    } else if (chosen == nullptr) {
      problem(jobs.line, fmt::format("job: {} is no job of type parallel; allowed: {}",
                                     in_quotes(job_), fmt::join(names, ", ")));
    } else {
      for (const Entry& job : jobs.value->entries) {
        if (&job != chosen) note(job.line, fmt::format("job {} is not run", in_quotes(job.key)));
      }
      walk(*chosen->value, "");
    }
  }

  /// The settings in a mapping; `prefix` is "" or "task." and the like.
  void walk(const Node& mapping, const std::string& prefix) {
    for (const Entry& entry : mapping.entries) {
      const std::string key = prefix + entry.key;
      const KeyInfo info = find_key(key);
      switch (info.kind) {
        case KeyInfo::Kind::kUnknown:
          problem(entry.line, unknown_key(key));
          break;
        case KeyInfo::Kind::kSetting:
          if (expect(key, entry, Node::Kind::kScalar)) assign(key, info.name, entry);
          break;
        case KeyInfo::Kind::kSpecial:
          read_special(key, info.name, entry);
          break;
        case KeyInfo::Kind::kMapping:
          if (expect(key, entry, Node::Kind::kMapping)) walk(*entry.value, key + ".");
          break;
        case KeyInfo::Kind::kNamed:
          read_named(key, info.name, entry);
          break;
        case KeyInfo::Kind::kCloudOnly:
          note(entry.line, key + " means nothing here");
          break;
        case KeyInfo::Kind::kUnsupported:
          problem(entry.line, fmt::format("{}: {}", key, info.name), ErrorCode::kUnsupported);
          break;
      }
    }
  }

  void assign(const std::string& key, const std::string& name, const Entry& entry) {
    document_.assignments.push_back(
        {key, name, entry.value, document_.where(entry.line), document_.folder, 0});
  }

  void read_special(const std::string& key, const std::string& name, const Entry& entry) {
    const Node& value = *entry.value;
    if (name == "outputs") {
      if (expect(key, entry, Node::Kind::kMapping)) document_.outputs = value.entries;
    } else if (name == "inputs" || name == "arguments" || name == "partition_keys") {
      if (key == "inputs" && value.kind == Node::Kind::kMapping) {
        document_.inputs = value.entries;
      } else if (value.kind == Node::Kind::kScalar || value.kind == Node::Kind::kSequence) {
        assign(key, name, entry);
      } else {
        problem(entry.line, fmt::format("{}: expected a list or a single value, found {}", key,
                                        kind_name(value.kind)));
      }
    } else if (name == "compute_target") {
      if (value.text != "local")
        note(entry.line, key + " means nothing here: the step runs locally");
    } else if (!expect(key, entry, Node::Kind::kScalar)) {
      return;
    } else if (name == "type") {
      check_word(key, entry, {"parallel"});
    } else if (name == "task.type") {
      check_word(key, entry, {"run_function", "function", "model"});
    } else if (name == "job") {
      problem(entry.line, "job: is given with --set, to choose from a pipeline's jobs");
    } else {
      assign(key, name, entry);
    }
  }

  void check_word(const std::string& key, const Entry& entry,
                  const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      if (entry.value->text == word) return;
    }
    problem(entry.line, fmt::format("{}: {} is not allowed; allowed: {}", key,
                                    in_quotes(entry.value->text), fmt::join(words, ", ")));
  }

  /// environment_variables and side_inputs: a mapping of the user's own names, or one of its
  /// entries under a dotted key.
  void read_named(const std::string& key, const std::string& prefix, const Entry& entry) {
    const std::string mapping = prefix.substr(0, prefix.size() - 1);
    if (key != mapping) {
      problem(entry.line, fmt::format("{}: write it as a mapping: {}: {{{}: ...}}", in_quotes(key),
                                      mapping, key.substr(prefix.size())));
      return;
    }
    if (!expect(key, entry, Node::Kind::kMapping)) return;
    for (const Entry& named : entry.value->entries) {
      const std::string name = prefix + named.key;
      const Entry* path = named.value->find("path");  // As v2 writes inputs.
      const Entry& value = path != nullptr && prefix == "side_inputs." ? *path : named;
      if (expect(name, value, Node::Kind::kScalar)) assign(name, name, value);
    }
  }

  Document document_;
  std::string job_;
};

}  // namespace

std::string Document::where(int line) const { return fmt::format("{}:{}", path.string(), line); }

Document read_document(const NodePtr& root, const std::filesystem::path& path,
                       const std::string& job) {
  return Reader(path, job).run(*root);
}

}  // namespace prs::config
