#include "monitor/ps.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "child.hpp"

namespace prs::monitor {
namespace {

PsMachine machine() {
  PsMachine machine;
  machine.now_s = 1795254067;  // 2026-11-21 09:41:07 UTC.
  machine.boot_s = machine.now_s - 200000;
  machine.memory_bytes = 4096LL * 1000;
  return machine;
}

TEST(Ps, M1_TheTableLooksLikeThatOfPs) {
  ProcessInfo init;
  init.pid = 1;
  init.name = "init";
  init.state = 'S';
  init.session = 1;
  init.threads = 1;
  init.virtual_bytes = 10 * 1024;
  init.rss_pages = 15;
  ProcessInfo worker;
  worker.pid = 4711;
  worker.name = "prs-gpu";
  worker.state = 'R';
  worker.session = 1;
  worker.group = 4711;
  worker.terminal = 34817;
  worker.terminal_group = 4711;
  worker.nice = 5;
  worker.threads = 8;
  worker.start_ticks = 199900 * 100;
  worker.cpu_ticks = 75 * 100;
  worker.virtual_bytes = 123456 * 1024;
  worker.rss_pages = 100;
  EXPECT_EQ(
      format_ps({{init, "root", ""}, {worker, "anna", "prs-gpu run step.yml"}}, machine()),
      "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"
      "root           1  0.0  1.5     10    60 ?        Ss   Nov19   0:00 [init]\n"
      "anna        4711 75.0 10.0 123456   400 pts/1    RNl+ 09:39   1:15 prs-gpu run step.yml\n");
}

std::string line_with(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part);
  if (at == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

TEST(Ps, M1_TheTableShowsAProcessThatRuns) {
  const test::Child child;
  const std::string line =
      line_with(ps_text(all_processes()), " " + std::to_string(child.pid()) + " ");
  EXPECT_TRUE(line.ends_with(" cat -u")) << line;
}

TEST(Ps, ValuesOfEnvironmentVariablesAreMasked) {
  EXPECT_EQ(mask_secrets("USER COMMAND\n"
                         "anna prs-gpu run --set environment_variables.KEY=hunter2 secret s.yml\n"
                         "anna prs-gpu run --set environment_variables.KEY\n"
                         "anna vi a=b"),
            "USER COMMAND\n"
            "anna prs-gpu run --set environment_variables.KEY=(set)\n"
            "anna prs-gpu run --set environment_variables.KEY\n"
            "anna vi a=b");
  EXPECT_EQ(mask_secrets(""), "");
}

TEST(Ps, AProcessThatHasEndedIsLeftOut) {
  ProcessInfo ended;
  ended.pid = std::int64_t{1} << 40;  // Beyond what a kernel gives.
  ended.name = "ended";
  const std::string text = ps_text({ended});
  EXPECT_TRUE(text.starts_with("USER "));
  EXPECT_EQ(text.find("ended"), std::string::npos);
}

}  // namespace
}  // namespace prs::monitor
