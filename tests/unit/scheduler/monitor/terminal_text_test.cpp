#include "monitor/terminal_text.hpp"

#include <gtest/gtest.h>

namespace prs::monitor {
namespace {

TEST(TerminalText, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width(""), 0);
  EXPECT_EQ(display_width("process000"), 10);
  EXPECT_EQ(display_width("größe"), 5);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("🚀"), 2);
}

TEST(TerminalText, CutsBetweenCharacters) {
  EXPECT_EQ(fit("größe", 5), "größe");
  EXPECT_EQ(fit("größe", 4), "grö~");
  EXPECT_EQ(fit("größe", 1), "~");
  EXPECT_EQ(fit("größe", 0), "");
  EXPECT_EQ(fit("日本語", 5), "日本~");
  EXPECT_EQ(fit("日本語", 4), "日~");
  EXPECT_EQ(fit_padded("日本", 6), "日本  ");
  EXPECT_EQ(fit_padded("日本語", 4), "日~ ");
}

TEST(TerminalText, ANameCannotMoveTheCursor) {
  EXPECT_EQ(printable("a\x1b[2Jb\n"), "a?[2Jb?");
  EXPECT_EQ(printable("\xff\xfe größe"), "?? größe");
  EXPECT_EQ(printable("\xe6\x97"), "??");
  EXPECT_EQ(printable("\xc0\x80"), "??");
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");
  EXPECT_EQ(printable("\u202e"), "?");
  EXPECT_EQ(printable("\u0085"), "?");
}

}  // namespace
}  // namespace prs::monitor
