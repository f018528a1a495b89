#include "monitor/resource_monitor.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include "child.hpp"
#include "logs/text.hpp"
#include "monitor/fields.hpp"
#include "support/expect_error.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

namespace prs::monitor {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::string_view kNodeHeader =
    "Utc Time,Cpu Percent,Memory Total (MB),Memory Available (MB),Memory Used (MB),Memory Used "
    "Percent,Disk Io Read Count,Disk Io Write Count,Disk Io Read (MB),Disk Io Write (MB),Network "
    "Sent (MB),Network Recv (MB),# of TCP Connections,# of UDP Connections";

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  for_each_line(test::read_file(path), [&lines](std::string_view line) {
    if (!line.empty()) lines.emplace_back(line);
  });
  return lines;
}

/// Fields of a record without quotes.
std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ',') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

std::vector<gpu::Usage> no_gpus() { return {}; }

class ResourceMonitorTest : public testing::Test {
 protected:
  /// A short life of a monitor; how many samples it took: one at its end, and on a machine that is
  /// busy perhaps the first one too.
  std::size_t sample(const ResourceMonitor::GpuUsage& gpus = no_gpus) {
    std::size_t samples = 0;
    ResourceMonitor(perf_, folder_.path(), hours(1), [&] {
      ++samples;
      return gpus();
    });
    return samples;
  }

  test::TempDir folder_;
  fs::path perf_ = folder_.path() / "perf/0";
};

TEST_F(ResourceMonitorTest, M1_TheNodesRowIsWithinBounds) {
  const std::size_t samples = sample();
  const auto lines = lines_of(perf_ / "node_resource_usage.csv");
  ASSERT_EQ(lines.size(), 1 + samples);
  EXPECT_EQ(lines[0], kNodeHeader);
  const auto row = csv_fields(lines[1]);
  ASSERT_EQ(row.size(), 14u);
  EXPECT_TRUE(row[0].ends_with(" UTC")) << row[0];
  std::vector<double> value;
  for (const std::string& field : row) value.push_back(std::strtod(field.c_str(), nullptr));
  EXPECT_GE(value[1], 0);
  EXPECT_LE(value[1], 100);
  EXPECT_GT(value[2], 64);
  EXPECT_NEAR(value[2], value[3] + value[4], 1.5);
  EXPECT_NEAR(value[5], 100 * value[4] / value[2], 1);
  for (std::size_t i = 6; i < 14; ++i) EXPECT_GE(value[i], 0) << lines[1];
}

TEST_F(ResourceMonitorTest, M1_EachGpuHasItsColumns) {
  gpu::Usage first;
  first.index = 0;
  first.utilization_percent = 87;
  first.memory_used_mb = 1024;
  first.memory_total_mb = 24576;
  first.temperature_c = 61;
  first.power_w = 250.5;
  gpu::Usage second;
  second.index = 3;
  const std::size_t samples = sample([&] { return std::vector<gpu::Usage>{first, second}; });
  const auto lines = lines_of(perf_ / "node_resource_usage.csv");
  ASSERT_EQ(lines.size(), 1 + samples);
  EXPECT_EQ(lines[0], std::string(kNodeHeader) +
                          ",GPU 0 Utilization Percent,GPU 0 Memory Used (MB),GPU 0 Memory Total "
                          "(MB),GPU 0 Temperature (C),GPU 0 Power (W),GPU 3 Utilization "
                          "Percent,GPU 3 Memory Used (MB),GPU 3 Memory Total (MB),GPU 3 "
                          "Temperature (C),GPU 3 Power (W)");
  EXPECT_TRUE(lines[1].ends_with(",87.0,1024.0,24576.0,61.0,250.5,,,,,")) << lines[1];
}

TEST_F(ResourceMonitorTest, ADriverThatFailsIsNoGpu) {
  const std::size_t samples =
      sample([]() -> std::vector<gpu::Usage> { throw Error(ErrorCode::kInternal, "driver"); });
  const auto lines = lines_of(perf_ / "node_resource_usage.csv");
  ASSERT_EQ(lines.size(), 1 + samples);
  EXPECT_EQ(lines[0], kNodeHeader);
}

TEST_F(ResourceMonitorTest, M1_TheDisksRowIsThatOfTheWatchedFolder) {
  const std::size_t samples = sample();
  const auto lines = lines_of(perf_ / "node_disk_usage.csv");
  ASSERT_EQ(lines.size(), 1 + samples);
  EXPECT_EQ(lines[0],
            "Utc Time,Folder,Disk Total (MB),Disk Used (MB),Disk Available (MB),Disk Used "
            "Percent,Inodes Available");
  const auto row = csv_fields(lines[1]);
  ASSERT_EQ(row.size(), 7u);
  EXPECT_EQ(row[1], folder_.path().string());
  const double total = std::strtod(row[2].c_str(), nullptr);
  EXPECT_GT(total, 0);
  EXPECT_NEAR(total, static_cast<double>(fs::space(folder_.path()).capacity) / (1024 * 1024), 1);
}

TEST_F(ResourceMonitorTest, M1_AProcessOfOursHasARow) {
  const test::Child child;
  sample();
  const auto lines = lines_of(perf_ / "processes_resource_usage.csv");
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0],
            "Utc Time,Pid,Parent Pid,Name,Cpu Percent,Memory Rss (MB),Threads,Disk Io Read "
            "(MB),Disk Io Write (MB)");
  bool child_found = false;
  bool self_found = false;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto row = csv_fields(lines[i]);
    ASSERT_EQ(row.size(), 9u) << lines[i];
    EXPECT_GE(std::strtod(row[4].c_str(), nullptr), 0) << lines[i];
    if (row[1] == std::to_string(child.pid())) {
      child_found = true;
      EXPECT_EQ(row[2], std::to_string(::getpid()));
      EXPECT_EQ(row[3], "cat");
      EXPECT_EQ(row[6], "1");
    }
    if (row[1] == std::to_string(::getpid())) {
      self_found = true;
      EXPECT_GT(std::strtod(row[5].c_str(), nullptr), 1);
      EXPECT_GE(std::strtod(row[6].c_str(), nullptr), 2);
    }
  }
  EXPECT_TRUE(child_found);
  EXPECT_TRUE(self_found);
}

TEST_F(ResourceMonitorTest, M1_WhatPsPrintsLiesUnderItsHourAndMinute) {
  const test::Child child;
  const std::string hour_before = logs::utc_hour(std::chrono::system_clock::now());
  sample();
  const std::string hour_after = logs::utc_hour(std::chrono::system_clock::now());
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(perf_ / "os")) {
    if (entry.is_regular_file()) found.push_back(entry.path());
  }
  ASSERT_FALSE(found.empty());
  const std::string hour = found[0].parent_path().filename().string();
  EXPECT_TRUE(hour == hour_before || hour == hour_after) << hour;
  const std::string name = found[0].filename().string();
  EXPECT_TRUE(name.starts_with("processes_")) << name;
  EXPECT_EQ(name.size(), std::string("processes_41").size()) << name;
  const std::string text = test::read_file(found[0]);
  EXPECT_TRUE(text.starts_with("USER "));
  EXPECT_NE(text.find(" " + std::to_string(child.pid()) + " "), std::string::npos);
}

TEST_F(ResourceMonitorTest, M_SamplesAtTheInterval) {
  std::mutex mutex;
  std::condition_variable sampled;
  int samples = 0;
  {
    const ResourceMonitor monitor(perf_, folder_.path(), milliseconds(1), [&] {
      const std::lock_guard lock(mutex);
      ++samples;
      sampled.notify_all();
      return std::vector<gpu::Usage>();
    });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(sampled.wait_for(lock, std::chrono::seconds(60), [&] { return samples >= 3; }));
  }
  const auto lines = lines_of(perf_ / "node_resource_usage.csv");
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(samples) + 1);
  EXPECT_GE(samples, 4);  // Once more at the end.
}

TEST_F(ResourceMonitorTest, X1_AResumedJobContinuesTheFiles) {
  const std::size_t before = sample();
  const std::size_t after = sample();
  for (const char* name : {"node_resource_usage.csv", "node_disk_usage.csv"}) {
    EXPECT_EQ(lines_of(perf_ / name).size(), 1 + before + after) << name;
  }
}

TEST_F(ResourceMonitorTest, OtherGpusBeginAnotherFile) {
  const std::size_t before = sample();
  const std::size_t after = sample([] { return std::vector<gpu::Usage>(1); });
  EXPECT_EQ(lines_of(perf_ / "node_resource_usage.1.csv").size(), 1 + before);
  EXPECT_EQ(lines_of(perf_ / "node_resource_usage.csv").size(), 1 + after);
}

TEST_F(ResourceMonitorTest, AFolderThatCannotBeMadeDropsTheSamples) {
  std::ofstream(folder_.path() / "perf") << "a file in the way";
  sample();
  EXPECT_EQ(test::read_file(folder_.path() / "perf"), "a file in the way");
}

TEST_F(ResourceMonitorTest, AnIntervalOfNothingIsRefused) {
  test::expect_error(ErrorCode::kInvalidArgument, "resource_monitor_interval",
                     [&] { ResourceMonitor(perf_, folder_.path(), milliseconds(0), no_gpus); });
}

}  // namespace
}  // namespace prs::monitor
