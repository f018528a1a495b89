#include "logs/csv.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::logs {
namespace {

TEST(Csv, QuotesAFieldOnlyWhenItMust) {
  EXPECT_EQ(csv_field("RUN_DONE"), "RUN_DONE");
  EXPECT_EQ(csv_field(""), "");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"no\""), "\"say \"\"no\"\"\"");
  EXPECT_EQ(csv_field("one\ntwo"), "\"one\ntwo\"");
  EXPECT_EQ(csv_field("one\rtwo"), "\"one\rtwo\"");
  EXPECT_EQ(csv_field(" one"), "\" one\"");
  EXPECT_EQ(csv_field("one "), "\"one \"");
}

std::string after_cutting(std::string_view text) {
  const test::TempDir folder;
  const auto path = folder.path() / "report.csv";
  std::ofstream(path, std::ios::binary) << text;
  cut_torn_csv_record(path);
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Csv, CutsBehindTheLastWholeRecord) {
  EXPECT_EQ(after_cutting(""), "");
  EXPECT_EQ(after_cutting("a,b\n1,2\n"), "a,b\n1,2\n");
  EXPECT_EQ(after_cutting("a,b\n1,2"), "a,b\n");
  EXPECT_EQ(after_cutting("a,b\n1,\"x\ny\"\n"), "a,b\n1,\"x\ny\"\n");
  EXPECT_EQ(after_cutting("a,b\n1,\"x\ny"), "a,b\n");
  EXPECT_EQ(after_cutting("a,b\n1,\"x\"\"\n"), "a,b\n");
  EXPECT_EQ(after_cutting("a,b"), "");
}

TEST(Csv, CuttingAMissingFileIsFineAnythingElseIsNot) {
  const test::TempDir folder;
  cut_torn_csv_record(folder.path() / "none.csv");
  test::expect_error(ErrorCode::kIo, folder.path().string(),
                     [&] { cut_torn_csv_record(folder.path()); });
}

}  // namespace
}  // namespace prs::logs
