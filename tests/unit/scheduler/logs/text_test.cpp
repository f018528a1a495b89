#include "logs/text.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "logs/log_tree.hpp"

namespace prs::logs {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// 2026-11-21 09:41:07 UTC.
constexpr std::int64_t kUnixSeconds = 1795254067;

system_clock::time_point at(std::int64_t unix_ms) {
  return system_clock::time_point(milliseconds(unix_ms));
}

TEST(LogText, L_TimestampsAreUtcWithMilliseconds) {
  EXPECT_EQ(timestamp(at(kUnixSeconds * 1000 + 123)), "2026-11-21 09:41:07.123 UTC");
  EXPECT_EQ(timestamp(at(0)), "1970-01-01 00:00:00.000 UTC");
  EXPECT_EQ(timestamp(at(-1)), "1969-12-31 23:59:59.999 UTC");
  EXPECT_EQ(timestamp_us(kUnixSeconds * 1000000 + 4999), "2026-11-21 09:41:07.004 UTC");
  EXPECT_EQ(timestamp_us(0), "");
}

TEST(LogText, L_TheHourOfAFileNameIsUtc) {
  EXPECT_EQ(utc_hour(at(kUnixSeconds * 1000)), "2026112109");
}

TEST(LogText, L_DurationsAreHoursMinutesSeconds) {
  EXPECT_EQ(duration_text(0), "0:00:00");
  EXPECT_EQ(duration_text(59.999), "0:00:59");
  EXPECT_EQ(duration_text(3725.9), "1:02:05");
  EXPECT_EQ(duration_text(360000), "100:00:00");
  EXPECT_EQ(duration_text(-5), "0:00:00");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "0:00:00");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "8760000:00:00");
}

TEST(LogText, ALineOfTheLogCannotBeForged) {
  EXPECT_EQ(log_line("T", "one"), "T one\n");
  EXPECT_EQ(log_line("T", "one\n"), "T one\n");
  EXPECT_EQ(log_line("T", "one\nT two\r\n"), "T one\n    T two\n");
}

TEST(LogText, TheTellingLineOfATracebackIsItsLast) {
  EXPECT_EQ(
      telling_line("Traceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 7\n"),
      "KeyError: 7");
  EXPECT_EQ(telling_line("\n  model.onnx: not a model\nmore\n"), "model.onnx: not a model");
  EXPECT_EQ(telling_line("first\r\nsecond"), "first");
  EXPECT_EQ(telling_line(" \n"), "(no message)");
}

}  // namespace
}  // namespace prs::logs
