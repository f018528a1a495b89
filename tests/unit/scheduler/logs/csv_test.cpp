#include "logs/csv.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::logs {
namespace {

std::string field(std::string_view text) {
  std::string row;
  append_csv_field(row, text);
  return row;
}

TEST(Csv, QuotesAFieldOnlyWhenItMust) {
  EXPECT_EQ(field("RUN_DONE"), "RUN_DONE");
  EXPECT_EQ(field(""), "");
  EXPECT_EQ(field("a,b"), "\"a,b\"");
  EXPECT_EQ(field("say \"no\""), "\"say \"\"no\"\"\"");
  EXPECT_EQ(field("one\ntwo"), "\"one\ntwo\"");
  EXPECT_EQ(field("one\rtwo"), "\"one\rtwo\"");
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
