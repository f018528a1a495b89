#include "output/assembly.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::output {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FileSizeLimit;
using test::read_file;
using test::TempDir;
using test::write_file;

class AssemblyTest : public testing::Test {
 protected:
  AssemblyTest() {
    options_.final_path = dir_.path() / "out/rows.txt";
    options_.segment_folder = dir_.path() / "out/.prs/segments";
  }

  /// The range of `rows` in a segment of their own.
  Range segment(const std::string& name, const std::string& rows) const {
    fs::create_directories(options_.segment_folder);
    return SegmentWriter(options_.segment_folder / name).append(rows);
  }
  fs::path final_path() const { return options_.final_path; }
  fs::path partial() const { return final_path().string() + ".partial"; }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_.path() / "out")) {
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempDir dir_;
  AssemblyOptions options_;
};

using Names = std::vector<std::string>;

TEST_F(AssemblyTest, O4_TheFinalNameAppearsWhenTheJobIsDone) {
  options_.header = "file label";
  Assembly assembly(options_);
  SegmentWriter writer(options_.segment_folder / "process000");
  const Range first = writer.append("a 1\nb 2\n");
  writer.append("a try that was killed\n");
  const Range second = writer.append("c 3\n");
  const Placement placed = assembly.accept(0, first);
  EXPECT_EQ(placed.offset, 11);
  EXPECT_EQ(placed.length, 19);
  const Placement next = assembly.accept(1, second);
  EXPECT_EQ(next.offset, 19);
  EXPECT_EQ(next.length, 23);
  EXPECT_EQ(assembly.partial_path(), partial());
  EXPECT_EQ(files(), Names{"rows.txt.partial"});
  EXPECT_EQ(read_file(partial()), "file label\na 1\nb 2\nc 3\n");

  assembly.publish();
  EXPECT_EQ(files(), Names{"rows.txt"});
  EXPECT_EQ(read_file(final_path()), "file label\na 1\nb 2\nc 3\n");
}

TEST_F(AssemblyTest, O4_AFailedJobLeavesPartial) {
  {
    Assembly assembly(options_);
    assembly.accept(0, segment("s", "a 1\n"));
    assembly.keep_partial();
  }
  EXPECT_EQ(files(), Names{"rows.txt.partial"});
  EXPECT_EQ(read_file(partial()), "a 1\n");
}

TEST_F(AssemblyTest, O4_ADamagedSegmentIsRefusedAndPartialEndsWhereItEnded) {
  Assembly assembly(options_);
  assembly.accept(0, segment("good", "a 1\n"));
  // Larger than the buffer: its first part is written before the damage is found.
  std::string rows(3'000'000, 'x');
  const Range large = segment("large", rows);
  rows[2'900'000] = 'y';
  write_file(options_.segment_folder / "large", rows);
  expect_error(ErrorCode::kIo, "large: bytes 0 + 3000000 are damaged: their checksum is",
               [&] { assembly.accept(1, large); });
  EXPECT_EQ(read_file(partial()), "a 1\n");

  const Range torn = segment("torn", "b 2\nc 3\n");
  fs::resize_file(options_.segment_folder / "torn", 5);
  expect_error(ErrorCode::kIo, "torn: ends at byte 5", [&] { assembly.accept(1, torn); });
  expect_error(ErrorCode::kIo, "missing: cannot open the file", [&] {
    assembly.accept(1, {"missing", 0, 4, 0});
  });
  EXPECT_EQ(assembly.accept(1, segment("again", "b 2\n")).offset, 4);
  assembly.publish();
  EXPECT_EQ(read_file(final_path()), "a 1\nb 2\n");
}

TEST_F(AssemblyTest, O4_ARangeThatIsNoneIsRefused) {
  Assembly assembly(options_);
  const Range good = segment("s", "a 1\n");
  const std::vector<Range> bad = {{"", 0, 4, good.crc32c},   {"../segments/s", 0, 4, good.crc32c},
                                  {"..", 0, 4, good.crc32c}, {"s", -1, 4, good.crc32c},
                                  {"s", 0, -4, good.crc32c}, {"s", INT64_MAX, 4, 0},
                                  {"s", 0, INT64_MAX, 0},    {"s", 0, 3, good.crc32c},
                                  {"s", 1, 3, good.crc32c},  {"s", 0, 4, good.crc32c + 1}};
  for (const Range& range : bad) EXPECT_THROW(assembly.accept(0, range), Error);
  EXPECT_EQ(read_file(partial()), "");
  EXPECT_EQ(assembly.accept(0, good).length, 4);
}

TEST_F(AssemblyTest, O4_WhatWasNotJournaledIsCutOnResume) {
  options_.header = "file label\n";
  std::int64_t journaled = 0;
  {
    Assembly assembly(options_);
    journaled = assembly.accept(0, segment("s0", "a 1\n")).length;
    assembly.accept(1, segment("s1", "not journaled\n"));
  }
  Assembly assembly(options_, journaled);
  EXPECT_EQ(read_file(partial()), "file label\na 1\n");
  EXPECT_EQ(assembly.accept(1, segment("s2", "b 2\n")).offset, journaled);
  assembly.publish();
  EXPECT_EQ(read_file(final_path()), "file label\na 1\nb 2\n");
}

TEST_F(AssemblyTest, O4_AFreshStartReplacesPartial) {
  Assembly(options_).accept(0, segment("s0", "never journaled\n"));
  Assembly assembly(options_);
  assembly.accept(0, segment("s1", "a 1\n"));
  assembly.publish();
  EXPECT_EQ(read_file(final_path()), "a 1\n");
  EXPECT_GE(Assembly::kept_length(final_path()), 4) << "a resume is to take nothing back";
}

TEST_F(AssemblyTest, O4_RowsThatTheJournalCountsMustBeThere) {
  expect_error(ErrorCode::kIo, "rows.txt.partial: is missing, but the job's journal counts 4 bytes",
               [&] { Assembly(options_, 4); });
  write_file(partial(), "a 1");
  expect_error(ErrorCode::kIo, "has 3 bytes, but the job's journal counts 4",
               [&] { Assembly(options_, 4); });
  EXPECT_EQ(read_file(partial()), "a 1");
  EXPECT_EQ(Assembly::partial_length(final_path()), 3);
  EXPECT_EQ(Assembly::kept_length(final_path()), 3);
  EXPECT_EQ(Assembly::partial_head(final_path(), 2), "a ");
  EXPECT_EQ(Assembly::partial_length(dir_.path() / "none"), -1);
  EXPECT_EQ(Assembly::kept_length(dir_.path() / "none"), -1);
}

TEST_F(AssemblyTest, O5_AnOutputFileAlreadyThereIsAnError) {
  fs::create_directories(final_path().parent_path());
  write_file(final_path(), "precious\n");
  const std::string text = final_path().string() + ": exists already; --overwrite replaces it";
  expect_error(ErrorCode::kInvalidArgument, text, [&] { Assembly assembly(options_); });
  expect_error(ErrorCode::kInvalidArgument, text, [&] { Assembly(options_, 4); });
  EXPECT_EQ(files(), Names{"rows.txt"});
}

TEST_F(AssemblyTest, O5_AnOutputFileThatCameDuringTheJobIsKept) {
  for (const bool ordered : {false, true}) {
    options_.ordered = ordered;
    Assembly assembly(options_);
    const std::string name = ordered ? "ordered" : "plain";
    assembly.accept(1, segment(name + "1", "b 2\n"));
    assembly.accept(0, segment(name + "0", "a 1\n"));
    write_file(final_path(), "precious\n");
    expect_error(ErrorCode::kInvalidArgument, "exists already", [&] { assembly.publish(); });
    EXPECT_EQ(read_file(final_path()), "precious\n");
    EXPECT_EQ(read_file(partial()), "b 2\na 1\n");
    EXPECT_EQ(files(), (Names{"rows.txt", "rows.txt.partial"}));
    fs::remove(final_path());
    assembly.publish();
    EXPECT_EQ(read_file(final_path()), ordered ? "a 1\nb 2\n" : "b 2\na 1\n");
    fs::remove(final_path());
  }
}

TEST_F(AssemblyTest, O3_OrderedSortsByMiniBatch) {
  options_.ordered = true;
  options_.header = "file label";
  std::vector<std::int64_t> ids(500);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i) * 3;
  // From nothing to more than the buffer.
  const auto rows = [](std::int64_t id) {
    const std::int64_t lines = id == 300 ? 300'000 : id % 7;
    std::string text;
    for (std::int64_t i = 0; i < lines; ++i) text += std::to_string(id) + "\n";
    return text;
  };
  std::string expected = "file label\n";
  for (const std::int64_t id : ids) expected += rows(id);

  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  Assembly assembly(options_);
  SegmentWriter writer(options_.segment_folder / "s");
  for (const std::int64_t id : ids) assembly.accept(id, writer.append(rows(id)));
  assembly.publish();
  EXPECT_EQ(files(), Names{"rows.txt"});
  EXPECT_TRUE(read_file(final_path()) == expected);
}

TEST_F(AssemblyTest, O3_OrderedWithoutRowsKeepsTheHeader) {
  options_.ordered = true;
  options_.header = "file label";
  Assembly(options_).publish();
  EXPECT_EQ(read_file(final_path()), "file label\n");
}

TEST_F(AssemblyTest, O3_OrderedSortsAfterAResumeToo) {
  options_.ordered = true;
  options_.header = "file label";
  Placement two;
  Placement zero;
  {
    Assembly assembly(options_);
    two = assembly.accept(2, segment("s2", "c 3\n"));
    zero = assembly.accept(0, segment("s0", "a 1\n"));
    assembly.accept(9, segment("s9", "not journaled\n"));
  }
  options_.header = "";  // The file has it.
  Assembly assembly(options_, zero.length);
  assembly.restore(0, zero.offset, 4);
  assembly.restore(2, two.offset, 4);
  assembly.accept(1, segment("s1", "b 2\n"));
  assembly.publish();
  EXPECT_EQ(read_file(final_path()), "file label\na 1\nb 2\nc 3\n");
}

TEST_F(AssemblyTest, O3_OrderedRefusesWhatDoesNotFit) {
  options_.ordered = true;
  Assembly assembly(options_);
  assembly.accept(1, segment("s1", "b 2\n"));
  for (const auto& [offset, size] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {-1, 2}, {0, -1}, {0, 5}, {5, 0}, {1, INT64_MAX}}) {
    expect_error(ErrorCode::kIo, "the job's journal places mini-batch 7",
                 [&, o = offset, s = size] { assembly.restore(7, o, s); });
  }
  assembly.accept(1, segment("s2", "b 2\n"));
  expect_error(ErrorCode::kInternal, "mini-batch 1 is in it twice", [&] { assembly.publish(); });
  EXPECT_EQ(read_file(partial()), "b 2\nb 2\n");
}

TEST_F(AssemblyTest, O3_OrderedRefusesRowsOfUnknownMiniBatches) {
  options_.ordered = true;
  Assembly(options_).accept(0, segment("s0", "a 1\n"));
  Assembly assembly(options_, 4);
  assembly.accept(1, segment("s1", "b 2\n"));
  assembly.restore(2, 1, 1);
  expect_error(ErrorCode::kInternal, "5 of 7 bytes belong to known mini-batches",
               [&] { assembly.publish(); });
}

TEST_F(AssemblyTest, O2_ConvertedRowsAreTheFinalFile) {
  options_.ordered = true;
  options_.convert = [](const fs::path& rows, const fs::path& target) {
    write_file(target, "converted:\n" + read_file(rows));
  };
  {
    Assembly assembly(options_);
    assembly.accept(1, segment("s1", "b\n"));
    assembly.accept(0, segment("s0", "a\n"));
    assembly.publish();
  }
  EXPECT_EQ(read_file(final_path()), "converted:\na\nb\n");
  EXPECT_EQ(files(), Names{"rows.txt"});
  // Killed right before .partial went: it is made again.
  write_file(partial(), "b\na\n");
  fs::create_hard_link(final_path(), final_path().string() + ".converted");
  {
    Assembly assembly(options_, 4);
    assembly.restore(1, 0, 2);
    assembly.restore(0, 2, 2);
    assembly.publish();
  }
  EXPECT_EQ(read_file(final_path()), "converted:\na\nb\n");
  EXPECT_EQ(files(), Names{"rows.txt"});
  // Killed after that: there is nothing left to do.
  Assembly(options_, 4).publish();
  EXPECT_EQ(read_file(final_path()), "converted:\na\nb\n");
}

TEST_F(AssemblyTest, O2_RowsThatCannotBeConvertedStayInThePartialFile) {
  options_.convert = [](const fs::path&, const fs::path& target) {
    write_file(target, "half of it");
    throw Error(ErrorCode::kInvalidArgument, "row 1 is no object");
  };
  Assembly assembly(options_);
  assembly.accept(0, segment("s0", "a\n"));
  expect_error(ErrorCode::kInvalidArgument, "no object", [&] { assembly.publish(); });
  EXPECT_EQ(files(), Names{"rows.txt.partial"});
  EXPECT_EQ(read_file(partial()), "a\n");
}

TEST_F(AssemblyTest, X1_AJobKilledRightAfterPublishIsFinishedByResume) {
  for (const bool ordered : {false, true}) {
    options_.ordered = ordered;
    const std::string name = ordered ? "ordered" : "plain";
    {
      Assembly assembly(options_);
      assembly.accept(1, segment(name + "1", "b 2\n"));
      assembly.accept(0, segment(name + "0", "a 1\n"));
      assembly.publish();
    }
    const std::string content = read_file(final_path());
    Assembly assembly(options_, 8);
    assembly.restore(1, 0, 4);
    assembly.restore(0, 4, 4);
    expect_error(ErrorCode::kInvalidArgument, "exists already", [&] {
      assembly.accept(2, {"s", 0, 0, 0});
    });
    assembly.publish();
    assembly.publish();
    assembly.keep_partial();
    EXPECT_EQ(read_file(final_path()), content);
    EXPECT_EQ(files(), Names{"rows.txt"});
    fs::remove(final_path());
  }
}

TEST_F(AssemblyTest, X1_AJobKilledWithinAnOrderedPublishIsFinishedByResume) {
  options_.ordered = true;
  const auto resume = [&] {
    Assembly assembly(options_, 8);
    EXPECT_EQ(files(), Names{"rows.txt.partial"});
    assembly.restore(0, 4, 4);
    assembly.restore(1, 0, 4);
    assembly.publish();
    EXPECT_EQ(read_file(final_path()), "a 1\nb 2\n");
    EXPECT_EQ(files(), Names{"rows.txt"});
    fs::remove(final_path());
  };
  fs::create_directories(final_path().parent_path());
  write_file(partial(), "b 2\na 1\n");
  write_file(final_path().string() + ".sorted", "a 1");
  resume();
  write_file(partial(), "b 2\na 1\n");
  write_file(final_path(), "a 1\nb 2\n");
  fs::create_hard_link(final_path(), final_path().string() + ".sorted");
  resume();
}

TEST_F(AssemblyTest, O5_AFileThatCameToAnInterruptedJobIsKept) {
  const auto refused = [&] {
    write_file(partial(), "b 2\na 1\n");
    write_file(final_path(), "of mine!");
    expect_error(ErrorCode::kInvalidArgument, "exists already", [&] { Assembly(options_, 8); });
    EXPECT_EQ(read_file(final_path()), "of mine!");
    EXPECT_EQ(read_file(partial()), "b 2\na 1\n");
  };
  fs::create_directories(final_path().parent_path());
  refused();
  options_.ordered = true;
  refused();
  // Beside a copy that the job had made.
  write_file(final_path().string() + ".sorted", "a 1\nb 2\n");
  refused();
  options_.convert = [](const fs::path& rows, const fs::path& target) {
    write_file(target, read_file(rows));
  };
  refused();
  // Without it the job goes on.
  fs::remove(final_path());
  Assembly assembly(options_, 8);
  assembly.restore(0, 4, 4);
  assembly.restore(1, 0, 4);
  assembly.publish();
  EXPECT_EQ(read_file(final_path()), "a 1\nb 2\n");
  EXPECT_EQ(files(), Names{"rows.txt"});
}

TEST_F(AssemblyTest, TheFoldersErrorsNameThem) {
  write_file(dir_.path() / "out", "a file");
  expect_error(ErrorCode::kIo, (dir_.path() / "out").string() + ": cannot create the folder",
               [&] { Assembly assembly(options_); });
}

}  // namespace
}  // namespace prs::output
