#include "job_test.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace prs::test {
namespace fs = std::filesystem;

std::vector<std::vector<std::string>> csv_rows(const fs::path& path) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : lines_of(read_text(path))) {
    std::istringstream fields(line.substr(0, line.find('"')));
    std::vector<std::string> row;
    for (std::string field; std::getline(fields, field, ',');) row.push_back(field);
    rows.push_back(row);
  }
  return rows;
}

CallReader::CallReader(const std::string& path) {
  if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo " + path);
  // For writing, too: it never ends, whatever writers come and go.
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

CallReader::~CallReader() { ::close(descriptor_); }

bool CallReader::fill(int timeout_ms) {
  pollfd one{descriptor_, POLLIN, 0};
  if (::poll(&one, 1, timeout_ms) <= 0) return false;
  char buffer[65536];
  const ssize_t size = ::read(descriptor_, buffer, sizeof buffer);
  if (size <= 0) return false;
  text_.append(buffer, static_cast<std::size_t>(size));
  std::size_t end = 0;
  while ((end = text_.find('\n')) != std::string::npos) {
    std::istringstream line(text_.substr(0, end));
    text_.erase(0, end + 1);
    PluginCall call;
    line >> call.pid >> call.function >> call.item;
    std::getline(line >> std::ws, call.gpus);
    calls_.push_back(call);
  }
  return true;
}

PluginCall CallReader::wait_for(const std::string& function, const std::string& item) {
  const auto is_it = [&](const PluginCall& call) {
    return call.function == function && call.item.find(item) != std::string::npos;
  };
  while (true) {
    const auto found = std::find_if(calls_.begin(), calls_.end(), is_it);
    if (found != calls_.end()) {
      PluginCall call = std::move(*found);
      calls_.erase(found);
      return call;
    }
    if (fill(60'000)) continue;
    ADD_FAILURE() << "the plugin was not called to " << function << " " << item;
    return {};
  }
}

std::optional<PluginCall> CallReader::next_before_end_of(pid_t process) {
  const int ended = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  while (calls_.empty()) {
    pollfd both[2] = {{descriptor_, POLLIN, 0}, {ended, POLLIN, 0}};
    ::poll(both, 2, 60'000);
    if (!fill(0)) break;
  }
  ::close(ended);
  if (calls_.empty()) return std::nullopt;
  PluginCall call = std::move(calls_.front());
  calls_.pop_front();
  return call;
}

std::vector<PluginCall> CallReader::drain() {
  while (fill(0)) {
  }
  std::vector<PluginCall> calls(calls_.begin(), calls_.end());
  calls_.clear();
  return calls;
}

void JobTest::SetUp() { ::setenv("PRS_HOME", file("home").c_str(), 1); }

void JobTest::items(const std::vector<std::string>& verbs) {
  fs::create_directories(dir() / "items");
  std::string list;
  for (std::size_t i = 0; i < verbs.size(); ++i) {
    const std::string path = file(fmt::format("items/{:03}.txt", i));
    write_text(path, verbs[i] + "\n");
    list += path + "\n";
  }
  write_text(file("items.list"), list);
}

std::vector<std::string> JobTest::command(std::vector<std::string> more,
                                          const std::string& plugin_arguments) const {
  fs::create_directories(dir() / "marks");
  std::vector<std::string> all =
      prs_gpu_command({"run", "--plugin", PRS_FAULTY_PLUGIN, "--input", "@" + file("items.list"),
                       "--output", file("out"), "--mini-batch-size", "1", "--workers", "2", "--set",
                       "allow_reuse=false", "--set", "resource_monitor_interval=0", "--set",
                       fmt::format("arguments=--marks {} {}", file("marks"), plugin_arguments)});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

ProcessResult JobTest::run(std::vector<std::string> more,
                           const std::string& plugin_arguments) const {
  return run_process(command(std::move(more), plugin_arguments));
}

ProcessResult JobTest::resume(std::vector<std::string> more) const {
  std::vector<std::string> arguments = {"resume", file("out")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return prs_gpu(std::move(arguments));
}

std::vector<std::string> JobTest::rows() const {
  std::vector<std::string> lines = lines_of(read_text(out("parallel_run_step.txt")));
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> JobTest::rows_of(int count) {
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) lines.push_back(fmt::format("{:03}.txt", i));
  return lines;
}

std::map<std::string, int> JobTest::statuses() const {
  std::map<std::string, int> counts;
  for (const std::string& line :
       lines_of(read_text(out("logs/sys/job_report/processed_mini-batches.csv")))) {
    for (const char* status :
         {"RUN_DONE", "RUN_EXCEPTION", "RUN_TIMEOUT", "LOAD_TIMEOUT", "RUN_CRASHED", "RUN_OOM"}) {
      if (line.find(fmt::format(",{},", status)) != std::string::npos) ++counts[status];
    }
  }
  return counts;
}

void JobTest::expect_no_process_left() const {
  const std::string mark = "AZUREML_BI_OUTPUT_PATH=" + file("out");
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    std::ifstream environment(entry.path() / "environ", std::ios::binary);
    std::stringstream text;
    text << environment.rdbuf();
    if (text.str().find(mark) == std::string::npos) continue;
    EXPECT_TRUE(wait_for_end(pid)) << "process " << pid << " is left";
  }
}

bool wait_for_end(pid_t pid) {
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (descriptor < 0) return true;
  pollfd one{descriptor, POLLIN, 0};
  const int ready = ::poll(&one, 1, 60'000);
  ::close(descriptor);
  return ready == 1;
}

}  // namespace prs::test
