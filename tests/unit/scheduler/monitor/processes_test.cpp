#include "monitor/processes.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "child.hpp"

namespace prs::monitor {
namespace {

TEST(Processes, AStatLineIsReadWhateverTheName) {
  const auto process = parse_process_stat(
      "4711 (a) S (b) R 17 18 19 34816 20 4194304 1 2 3 4 150 50 5 6 20 -5 7 0 99000 8192000 "
      "250 18446744073709551615 1 1\n");
  ASSERT_TRUE(process.has_value());
  EXPECT_EQ(process->pid, 4711);
  EXPECT_EQ(process->name, "a) S (b");
  EXPECT_EQ(process->state, 'R');
  EXPECT_EQ(process->parent_pid, 17);
  EXPECT_EQ(process->group, 18);
  EXPECT_EQ(process->session, 19);
  EXPECT_EQ(process->terminal, 34816);
  EXPECT_EQ(process->terminal_group, 20);
  EXPECT_EQ(process->cpu_ticks, 200);
  EXPECT_EQ(process->nice, -5);
  EXPECT_EQ(process->threads, 7);
  EXPECT_EQ(process->start_ticks, 99000);
  EXPECT_EQ(process->virtual_bytes, 8192000);
  EXPECT_EQ(process->rss_pages, 250);
}

TEST(Processes, AnythingElseIsNoStatLine) {
  EXPECT_FALSE(parse_process_stat(""));
  EXPECT_FALSE(parse_process_stat("4711"));
  EXPECT_FALSE(parse_process_stat("4711 (cat) S 1 2"));
  EXPECT_FALSE(parse_process_stat(")("));
}

TEST(Processes, M1_IoIsWhatWentToStorage) {
  const ProcessIo io = parse_process_io(
      "rchar: 9\nwchar: 9\nsyscr: 9\nsyscw: 9\nread_bytes: 4096\nwrite_bytes: 8192\n"
      "cancelled_write_bytes: 9\n");
  EXPECT_EQ(io.read_bytes, 4096);
  EXPECT_EQ(io.written_bytes, 8192);
}

TEST(Processes, TheTreeHoldsChildrenWithSmallerPidsToo) {
  const auto process = [](std::int64_t pid, std::int64_t parent) {
    ProcessInfo info;
    info.pid = pid;
    info.parent_pid = parent;
    return info;
  };
  const std::vector<ProcessInfo> tree =
      tree_of({process(1, 0), process(5, 90), process(7, 5), process(50, 1), process(90, 50)}, 50);
  ASSERT_EQ(tree.size(), 4u);
  EXPECT_EQ(tree[0].pid, 5);
  EXPECT_EQ(tree[1].pid, 7);
  EXPECT_EQ(tree[2].pid, 50);
  EXPECT_EQ(tree[3].pid, 90);
}

TEST(Processes, AChildIsInOurTree) {
  const test::Child child;
  const std::vector<ProcessInfo> tree = tree_of(all_processes(), ::getpid());
  const auto found = std::find_if(tree.begin(), tree.end(), [&child](const ProcessInfo& process) {
    return process.pid == child.pid();
  });
  ASSERT_NE(found, tree.end());
  EXPECT_EQ(found->parent_pid, ::getpid());
  EXPECT_EQ(found->threads, 1);
  const auto self = std::find_if(tree.begin(), tree.end(), [](const ProcessInfo& process) {
    return process.pid == ::getpid();
  });
  ASSERT_NE(self, tree.end());
  EXPECT_GT(self->rss_pages, 100);
}

}  // namespace
}  // namespace prs::monitor
