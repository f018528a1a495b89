#include "monitor/proc_files.hpp"

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <system_error>

#include "monitor/fields.hpp"

namespace prs::monitor {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

CpuTicks parse_cpu_ticks(std::string_view stat) {
  CpuTicks ticks;
  for_each_line(stat, [&ticks](std::string_view line) {
    if (!line.starts_with("cpu ")) return;
    const std::vector<std::string_view> field = fields_of(line);
    // user nice system idle iowait irq softirq steal; guest times are within user and nice.
    for (std::size_t i = 1; i < field.size() && i <= 8; ++i) {
      const std::int64_t count = integer(field[i]);
      ticks.total += count;
      if (i != 4 && i != 5) ticks.busy += count;
    }
  });
  return ticks;
}

double cpu_percent(const CpuTicks& before, const CpuTicks& after) {
  const std::int64_t total = after.total - before.total;
  const std::int64_t busy = after.busy - before.busy;
  // The kernel's idle and iowait counters may step back a little.
  if (total <= 0 || busy <= 0) return 0;
  return busy >= total ? 100 : 100.0 * static_cast<double>(busy) / static_cast<double>(total);
}

std::int64_t parse_boot_time_s(std::string_view stat) {
  std::int64_t seconds = 0;
  for_each_line(stat, [&seconds](std::string_view line) {
    if (line.starts_with("btime ")) seconds = integer(line.substr(6));
  });
  return seconds;
}

Memory parse_memory(std::string_view meminfo) {
  Memory memory;
  for_each_line(meminfo, [&memory](std::string_view line) {
    const std::vector<std::string_view> field = fields_of(line);
    if (field.size() < 2) return;
    if (field[0] == "MemTotal:") memory.total_bytes = integer(field[1]) * 1024;
    if (field[0] == "MemAvailable:") memory.available_bytes = integer(field[1]) * 1024;
  });
  return memory;
}

DiskIo parse_disk_io(std::string_view diskstats,
                     const std::function<bool(std::string_view device)>& is_disk) {
  constexpr std::int64_t kSectorBytes = 512;  // Of this file, whatever the device's own.
  DiskIo io;
  for_each_line(diskstats, [&](std::string_view line) {
    const std::vector<std::string_view> field = fields_of(line);
    if (field.size() < 10 || !is_disk(field[2])) return;
    io.reads += integer(field[3]);
    io.read_bytes += integer(field[5]) * kSectorBytes;
    io.writes += integer(field[7]);
    io.written_bytes += integer(field[9]) * kSectorBytes;
  });
  return io;
}

bool is_hardware_disk(std::string_view device) {
  std::error_code ignored;
  return fs::exists(fs::path("/sys/block") / device / "device", ignored);
}

Network parse_network(std::string_view net_dev) {
  Network network;
  for_each_line(net_dev, [&network](std::string_view line) {
    // A large count may follow the colon without a space.
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::vector<std::string_view> field = fields_of(line.substr(colon + 1));
    if (field.size() < 9) return;
    network.received_bytes += integer(field[0]);
    network.sent_bytes += integer(field[8]);
  });
  return network;
}

Sockets parse_sockets(std::string_view sockstat, std::string_view sockstat6) {
  Sockets sockets;
  for (const std::string_view text : {sockstat, sockstat6}) {
    for_each_line(text, [&sockets](std::string_view line) {
      const std::vector<std::string_view> field = fields_of(line);
      if (field.empty()) return;
      // "TCP: inuse 5 orphan 0 tw 2 alloc 6 mem 1", "UDP6: inuse 1": a name, and pairs.
      const bool tcp = field[0] == "TCP:" || field[0] == "TCP6:";
      const bool udp = field[0] == "UDP:" || field[0] == "UDP6:";
      for (std::size_t i = 1; i + 1 < field.size(); i += 2) {
        if (tcp && (field[i] == "inuse" || field[i] == "tw")) sockets.tcp += integer(field[i + 1]);
        if (udp && field[i] == "inuse") sockets.udp += integer(field[i + 1]);
      }
    });
  }
  return sockets;
}

}  // namespace prs::monitor
