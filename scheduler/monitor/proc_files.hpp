// What the kernel tells of the machine under /proc. parse_* are pure: text in, numbers out; what a
// line does not hold reads as 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace prs::monitor {

/// A file's text; "" when it cannot be read (no IPv6: no sockstat6).
std::string read_text(const std::filesystem::path& path);

/// /proc/stat, first line: ticks of all cores since boot.
struct CpuTicks {
  std::int64_t busy = 0;
  std::int64_t total = 0;
};
CpuTicks parse_cpu_ticks(std::string_view stat);
/// Percent of all cores between two readings; 0 when no tick passed.
double cpu_percent(const CpuTicks& before, const CpuTicks& after);
/// Unix time of boot in seconds: "btime" of /proc/stat.
std::int64_t parse_boot_time_s(std::string_view stat);

/// /proc/meminfo.
struct Memory {
  std::int64_t total_bytes = 0;
  std::int64_t available_bytes = 0;
  std::int64_t used_bytes() const { return total_bytes - available_bytes; }
};
Memory parse_memory(std::string_view meminfo);

/// /proc/diskstats, summed over the devices that `is_disk` takes: partitions and stacked devices
/// (md, dm, loop) would count the same transfer again.
struct DiskIo {
  std::int64_t reads = 0;
  std::int64_t writes = 0;
  std::int64_t read_bytes = 0;
  std::int64_t written_bytes = 0;
};
DiskIo parse_disk_io(std::string_view diskstats,
                     const std::function<bool(std::string_view device)>& is_disk);
/// Whether /sys knows hardware behind the block device.
bool is_hardware_disk(std::string_view device);

/// /proc/net/dev, summed over all interfaces, lo too.
struct Network {
  std::int64_t received_bytes = 0;
  std::int64_t sent_bytes = 0;
};
Network parse_network(std::string_view net_dev);

/// /proc/net/sockstat and sockstat6: sockets in use, TCP's with those that wait for their end. The
/// tables of the sockets themselves (/proc/net/tcp) cost the kernel milliseconds.
struct Sockets {
  std::int64_t tcp = 0;
  std::int64_t udp = 0;
};
Sockets parse_sockets(std::string_view sockstat, std::string_view sockstat6);

}  // namespace prs::monitor
