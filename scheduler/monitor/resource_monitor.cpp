#include "monitor/resource_monitor.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "logs/csv.hpp"
#include "logs/log_files.hpp"
#include "logs/log_tree.hpp"
#include "logs/text.hpp"
#include "monitor/proc_files.hpp"
#include "monitor/processes.hpp"
#include "monitor/ps.hpp"
#include "prs/error.hpp"

namespace prs::monitor {
namespace {

namespace fs = std::filesystem;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::string_view kNodeHeader =
    "Utc Time,Cpu Percent,Memory Total (MB),Memory Available (MB),Memory Used (MB),"
    "Memory Used Percent,Disk Io Read Count,Disk Io Write Count,Disk Io Read (MB),"
    "Disk Io Write (MB),Network Sent (MB),Network Recv (MB),# of TCP Connections,"
    "# of UDP Connections";
constexpr std::string_view kDiskHeader =
    "Utc Time,Folder,Disk Total (MB),Disk Used (MB),Disk Available (MB),Disk Used Percent,"
    "Inodes Available\n";
constexpr std::string_view kProcessHeader =
    "Utc Time,Pid,Parent Pid,Name,Cpu Percent,Memory Rss (MB),Threads,Disk Io Read (MB),"
    "Disk Io Write (MB)\n";

/// The first row comes early, but a short job shall have one alone, at its end.
constexpr auto kFirstSampleDelay = std::chrono::seconds(1);

double megabytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

double percent(double amount, double of) { return of > 0 ? 100 * amount / of : 0; }

/// "name.csv" -> the first of "name.1.csv", "name.2.csv", ... that is free.
fs::path free_name(const fs::path& path) {
  for (int n = 1;; ++n) {
    fs::path candidate = path;
    candidate.replace_extension(fmt::format(".{}.csv", n));
    std::error_code error;
    if (!fs::exists(candidate, error)) return candidate;
  }
}

/// CPU time of a process at a moment; pids are used again, start times tell them apart.
using ProcessKey = std::pair<std::int64_t, std::int64_t>;
struct CpuReading {
  std::int64_t ticks = 0;
  SteadyTime time;
};

}  // namespace

struct ResourceMonitor::State {
  void loop();
  void sample();
  void sample_node(const std::string& stamp);
  void sample_disk(const std::string& stamp);
  void sample_processes(const std::string& stamp, const std::vector<ProcessInfo>& processes);
  void append_csv(const fs::path& path, std::string_view header, std::string_view rows);
  std::vector<gpu::Usage> gpus() const;

  fs::path folder;
  fs::path watched;
  std::chrono::milliseconds interval{0};
  GpuUsage gpu_usage;

  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;  ///< Guarded by mutex.

  // Of the thread alone.
  logs::LogFiles files;
  std::set<fs::path> begun;  ///< CSV files whose header is known to be right.
  std::vector<int> gpu_columns;
  CpuTicks cpu_before;
  std::map<ProcessKey, CpuReading> processes_before;

  std::thread thread;
};

ResourceMonitor::ResourceMonitor(fs::path perf_folder, fs::path watched,
                                 std::chrono::milliseconds interval, GpuUsage gpu_usage)
    : state_(std::make_unique<State>()) {
  if (interval.count() <= 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("resource_monitor_interval: {} ms; expected more than 0 (0 means that "
                            "no monitor is made)",
                            interval.count()));
  }
  state_->folder = std::move(perf_folder);
  state_->watched = std::move(watched);
  state_->interval = interval;
  state_->gpu_usage = std::move(gpu_usage);
  // Signals are for the orchestrator's thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    state_->thread = std::thread([state = state_.get()] { state->loop(); });
  } catch (const std::system_error& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw Error(ErrorCode::kUnavailable,
                fmt::format("resource monitor: cannot start a thread: {}", error.what()));
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ResourceMonitor::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
}

ResourceMonitor::~ResourceMonitor() {
  stop();
  state_->thread.join();
}

void ResourceMonitor::State::loop() {
  try {
    cpu_before = parse_cpu_ticks(read_text("/proc/stat"));
  } catch (
      const std::exception&) {  // Out of memory: the first row counts from the machine's start.
  }
  SteadyTime next = std::chrono::steady_clock::now() + kFirstSampleDelay;
  for (bool last = false; !last;) {
    {
      std::unique_lock lock(mutex);
      last = wake.wait_until(lock, next, [this] { return stop; });
    }
    sample();
    // A sample that took longer than the interval does not make the next ones hurry.
    next = std::max(next + interval, std::chrono::steady_clock::now());
  }
}

void ResourceMonitor::State::sample() {
  const auto now = std::chrono::system_clock::now();
  const std::string stamp = logs::timestamp(now);
  const std::string hour = logs::utc_hour(now);
  const auto attempt = [](const auto& part) {
    try {
      part();
    } catch (const std::exception&) {  // Dropped; see the class.
    }
  };
  attempt([&] { sample_node(stamp); });
  attempt([&] { sample_disk(stamp); });
  std::vector<ProcessInfo> processes;
  attempt([&] { processes = all_processes(); });
  attempt([&] { sample_processes(stamp, processes); });
  attempt([&] {
    // "2026-11-21 09:41:07.123 UTC": the minute is at 14.
    files.replace(folder / "os" / hour / ("processes_" + stamp.substr(14, 2)), ps_text(processes));
  });
}

std::vector<gpu::Usage> ResourceMonitor::State::gpus() const {
  try {
    return gpu_usage ? gpu_usage() : std::vector<gpu::Usage>();
  } catch (const std::exception&) {
    return {};
  }
}

void ResourceMonitor::State::sample_node(const std::string& stamp) {
  const std::vector<gpu::Usage> usage = gpus();
  const fs::path path = folder / "node_resource_usage.csv";
  if (!begun.contains(path)) {
    gpu_columns.clear();
    for (const gpu::Usage& gpu : usage) gpu_columns.push_back(gpu.index);
  }
  std::string header(kNodeHeader);
  for (const int index : gpu_columns) {
    header += fmt::format(
        ",GPU {0} Utilization Percent,GPU {0} Memory Used (MB),GPU {0} Memory Total (MB),"
        "GPU {0} Temperature (C),GPU {0} Power (W)",
        index);
  }
  header += '\n';

  const CpuTicks cpu = parse_cpu_ticks(read_text("/proc/stat"));
  const Memory memory = parse_memory(read_text("/proc/meminfo"));
  const DiskIo disk = parse_disk_io(read_text("/proc/diskstats"), is_hardware_disk);
  const Network network = parse_network(read_text("/proc/net/dev"));
  const Sockets sockets =
      parse_sockets(read_text("/proc/net/sockstat"), read_text("/proc/net/sockstat6"));
  std::string row = fmt::format(
      "{},{:.1f},{:.0f},{:.0f},{:.0f},{:.1f},{},{},{:.1f},{:.1f},{:.1f},{:.1f},{},{}", stamp,
      cpu_percent(cpu_before, cpu), megabytes(memory.total_bytes),
      megabytes(memory.available_bytes), megabytes(memory.used_bytes()),
      percent(megabytes(memory.used_bytes()), megabytes(memory.total_bytes)), disk.reads,
      disk.writes, megabytes(disk.read_bytes), megabytes(disk.written_bytes),
      megabytes(network.sent_bytes), megabytes(network.received_bytes), sockets.tcp, sockets.udp);
  cpu_before = cpu;
  for (const int index : gpu_columns) {
    const auto gpu = std::find_if(usage.begin(), usage.end(),
                                  [index](const gpu::Usage& u) { return u.index == index; });
    const gpu::Usage values = gpu == usage.end() ? gpu::Usage{} : *gpu;
    for (const double value : {values.utilization_percent, values.memory_used_mb,
                               values.memory_total_mb, values.temperature_c, values.power_w}) {
      row += value < 0 ? "," : fmt::format(",{:.1f}", value);
    }
  }
  append_csv(path, header, row + '\n');
}

void ResourceMonitor::State::sample_disk(const std::string& stamp) {
  struct statvfs status {};
  if (::statvfs(watched.c_str(), &status) != 0) return;
  const auto blocks = [&status](fsblkcnt_t count) {
    return static_cast<double>(count) * static_cast<double>(status.f_frsize) / (1024 * 1024);
  };
  const double used = blocks(status.f_blocks - status.f_bfree);
  const double available = blocks(status.f_bavail);
  std::string row = stamp + ',';
  logs::append_csv_field(row, watched.native());
  // As df does: what is reserved for root counts neither as used nor as available.
  row += fmt::format(",{:.0f},{:.0f},{:.0f},{:.1f},{}\n", blocks(status.f_blocks), used, available,
                     percent(used, used + available), status.f_favail);
  append_csv(folder / "node_disk_usage.csv", kDiskHeader, row);
}

void ResourceMonitor::State::sample_processes(const std::string& stamp,
                                              const std::vector<ProcessInfo>& processes) {
  const double ticks_per_s = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  // /proc/uptime is the clock that start_ticks are of.
  const double uptime_s = std::strtod(read_text("/proc/uptime").c_str(), nullptr);
  const SteadyTime now = std::chrono::steady_clock::now();
  std::map<ProcessKey, CpuReading> readings;
  std::string rows;
  for (const ProcessInfo& process : tree_of(processes, ::getpid())) {
    const ProcessKey key{process.pid, process.start_ticks};
    readings[key] = {process.cpu_ticks, now};
    const auto before = processes_before.find(key);
    const bool known = before != processes_before.end();
    const double ticks =
        static_cast<double>(process.cpu_ticks - (known ? before->second.ticks : 0));
    const double seconds = known
                               ? std::chrono::duration<double>(now - before->second.time).count()
                               : uptime_s - static_cast<double>(process.start_ticks) / ticks_per_s;
    const ProcessIo io = parse_process_io(read_text(fmt::format("/proc/{}/io", process.pid)));
    rows += fmt::format("{},{},{},", stamp, process.pid, process.parent_pid);
    logs::append_csv_field(rows, process.name);
    rows += fmt::format(",{:.1f},{:.1f},{},{:.1f},{:.1f}\n", percent(ticks / ticks_per_s, seconds),
                        megabytes(process.rss_pages * page_bytes), process.threads,
                        megabytes(io.read_bytes), megabytes(io.written_bytes));
  }
  processes_before = std::move(readings);
  append_csv(folder / "processes_resource_usage.csv", kProcessHeader, rows);
}

void ResourceMonitor::State::append_csv(const fs::path& path, std::string_view header,
                                        std::string_view rows) {
  std::string text;
  if (!begun.contains(path)) {
    logs::cut_torn_csv_record(path);
    const std::string there = read_text(path);
    if (!there.empty() && !std::string_view(there).starts_with(header)) {
      fs::rename(path, free_name(path));
    }
    if (!std::string_view(there).starts_with(header)) text = header;
  }
  text += rows;
  files.append_now(path, text);
  // A full disk may have refused the header.
  std::error_code error;
  if (fs::file_size(path, error) > 0 && !error) begun.insert(path);
}

}  // namespace prs::monitor
