#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "logs/log_files.hpp"
#include "logs/log_tree.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;

/// Files and folders in a folder; none when it is not there.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    found.push_back(entry->path());
  }
  return found;
}

/// Node numbers that have a folder under `folder`, or under any of its folders of nodes.
std::set<int> nodes_of(const Paths& paths) {
  std::set<int> nodes;
  for (const char* part : {"sys/node", "sys/error", "user/error", "user/stdout", "user/stderr",
                           "user/entry_script_log"}) {
    for (const fs::path& folder : entries(paths.root() / part)) {
      const std::string name = folder.filename().string();
      const bool number =
          !name.empty() && name.size() < 9 &&
          std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (number) nodes.insert(std::stoi(name));
    }
  }
  return nodes;
}

/// The files in `root` whose name begins so; by the number within the name, then by name.
std::vector<fs::path> beginning_with(const fs::path& root, std::string_view prefix) {
  std::vector<fs::path> found;
  for (const fs::path& path : entries(root)) {
    if (path.filename().string().starts_with(prefix)) found.push_back(path);
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    const std::string& x = a.native();
    const std::string& y = b.native();
    return x.size() != y.size() ? x.size() < y.size() : x < y;
  });
  return found;
}

void add(std::vector<fs::path>& to, const std::vector<fs::path>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

std::vector<fs::path> of_process(const Paths& paths, int node, const std::string& process,
                                 bool errors_only) {
  std::vector<fs::path> found = {paths.user_error(node, process), paths.system_error(node, process),
                                 paths.user_stderr(node, process),
                                 paths.worker_stderr(node, process)};
  if (errors_only) return found;
  add(found, {paths.worker(node, process), paths.entry_log(node, process),
              paths.user_stdout(node, process), paths.worker_stdout(node, process)});
  return found;
}

/// Error files of all processes: all of one kind, then the next kind.
std::vector<fs::path> all_errors(const Paths& paths) {
  std::vector<fs::path> found = {paths.user_error_summary()};
  const std::set<int> nodes = nodes_of(paths);
  for (const int node : nodes) {
    add(found, beginning_with(paths.user_error(node, "").parent_path(), "process"));
  }
  for (const int node : nodes) {
    add(found, beginning_with(paths.system_error(node, "").parent_path(), ""));
  }
  for (const int node : nodes) {
    add(found, beginning_with(paths.user_stderr(node, "").parent_path(), "process"));
  }
  for (const int node : nodes) {
    for (const fs::path& path : beginning_with(paths.worker(node, "").parent_path(), "process")) {
      if (path.native().ends_with(".stderr.txt")) found.push_back(path);
    }
  }
  return found;
}

}  // namespace

std::vector<fs::path> find_logs(const Paths& paths, bool errors_only, int worker) {
  std::vector<fs::path> found;
  if (worker >= 0) {
    const std::string process = fmt::format("process{:03}", worker);
    for (const int node : nodes_of(paths)) {
      add(found, of_process(paths, node, process, errors_only));
    }
  } else if (errors_only) {
    found = all_errors(paths);
  } else {
    found = {paths.job_result()};
    add(found, beginning_with(paths.root(), "job_progress_overview."));
    found.push_back(paths.user_error_summary());
    add(found, beginning_with(paths.root() / "sys", "master_role."));
    add(found, {paths.processed_mini_batches(), paths.process_summary(), paths.node_summary()});
  }
  std::erase_if(found, [](const fs::path& path) { return !has_text(path); });
  return found;
}

}  // namespace prs::logs
