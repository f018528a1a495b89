#include "monitor/proc_files.hpp"

#include <gtest/gtest.h>

namespace prs::monitor {
namespace {

TEST(ProcFiles, M1_CpuTicksAreThoseOfAllCores) {
  const CpuTicks ticks = parse_cpu_ticks(
      "cpu  100 20 30 800 50 6 7 8 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nbtime 1795254067\n");
  EXPECT_EQ(ticks.total, 100 + 20 + 30 + 800 + 50 + 6 + 7 + 8);
  EXPECT_EQ(ticks.busy, 100 + 20 + 30 + 6 + 7 + 8);
  EXPECT_EQ(parse_boot_time_s("cpu  1 2\nbtime 1795254067\n"), 1795254067);
  EXPECT_EQ(parse_cpu_ticks("").total, 0);
}

TEST(ProcFiles, M1_CpuPercentIsOfTheTimeBetween) {
  EXPECT_DOUBLE_EQ(cpu_percent({100, 1000}, {150, 1200}), 25);
  EXPECT_DOUBLE_EQ(cpu_percent({100, 1000}, {100, 1000}), 0);
  EXPECT_DOUBLE_EQ(cpu_percent({100, 1000}, {250, 1100}), 100);
  EXPECT_DOUBLE_EQ(cpu_percent({100, 1000}, {90, 1100}), 0);
}

TEST(ProcFiles, M1_UsedMemoryIsWhatIsNotAvailable) {
  const Memory memory =
      parse_memory("MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n");
  EXPECT_EQ(memory.total_bytes, 1024000);
  EXPECT_EQ(memory.available_bytes, 409600);
  EXPECT_EQ(memory.used_bytes(), 614400);
  EXPECT_EQ(parse_memory("").used_bytes(), 0);
}

TEST(ProcFiles, M1_DiskTransfersAreCountedOnce) {
  const DiskIo io = parse_disk_io(
      "   7       0 loop0 9 9 9 9 9 9 9 9 9 9 9\n"
      " 254       0 vda 100 5 2000 30 40 6 8000 50 0 60 70 0 0 0 0 0 0\n"
      " 254       1 vda1 99 5 1999 30 39 6 7999 50 0 60 70\n"
      " 259       0 nvme0n1 1 0 2 0 3 0 4 0 0 0 0\n"
      " 8 0 sda 1 2\n",
      [](std::string_view device) {
        return device == "vda" || device == "nvme0n1" || device == "sda";
      });
  EXPECT_EQ(io.reads, 101);
  EXPECT_EQ(io.writes, 43);
  EXPECT_EQ(io.read_bytes, 2002 * 512);
  EXPECT_EQ(io.written_bytes, 8004 * 512);
}

TEST(ProcFiles, ADeviceThatIsNotThereIsNoDisk) {
  EXPECT_FALSE(is_hardware_disk("loop0"));
  EXPECT_FALSE(is_hardware_disk("no-such-disk"));
}

TEST(ProcFiles, M1_NetworkIsTheSumOfAllInterfaces) {
  const Network network = parse_network(
      "Inter-|   Receive                            |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets\n"
      "    lo:    6534      58    0    0    0     0          0         0     6534      58    0\n"
      "  eth0:3544726177   70960    0    0    0     0          0         0  3270526   41367    "
      "0\n");
  EXPECT_EQ(network.received_bytes, 3544732711);
  EXPECT_EQ(network.sent_bytes, 3277060);
}

TEST(ProcFiles, M1_SocketsOfBothProtocolFamiliesAreCounted) {
  const Sockets sockets = parse_sockets(
      "sockets: used 290\nTCP: inuse 5 orphan 1 tw 2 alloc 6 mem 1\nUDP: inuse 3 mem 9\n"
      "UDPLITE: inuse 7\nRAW: inuse 8\n",
      "TCP6: inuse 4\nUDP6: inuse 1\nUDPLITE6: inuse 7\n");
  EXPECT_EQ(sockets.tcp, 5 + 2 + 4);
  EXPECT_EQ(sockets.udp, 3 + 1);
  EXPECT_EQ(parse_sockets("", "").tcp, 0);
}

TEST(ProcFiles, AFileThatIsNotThereReadsAsNothing) {
  EXPECT_EQ(read_text("/proc/no-such-table"), "");
}

TEST(ProcFiles, M1_ThisMachinesTablesMakeSense) {
  const CpuTicks ticks = parse_cpu_ticks(read_text("/proc/stat"));
  EXPECT_GT(ticks.busy, 0);
  EXPECT_GE(ticks.total, ticks.busy);
  EXPECT_GT(parse_boot_time_s(read_text("/proc/stat")), 1'500'000'000);
  const Memory memory = parse_memory(read_text("/proc/meminfo"));
  EXPECT_GT(memory.available_bytes, 1 << 20);
  EXPECT_GT(memory.total_bytes, memory.available_bytes);
  const DiskIo io =
      parse_disk_io(read_text("/proc/diskstats"), [](std::string_view) { return true; });
  EXPECT_GE(io.reads, 0);
  EXPECT_GE(io.read_bytes, 0);
}

}  // namespace
}  // namespace prs::monitor
