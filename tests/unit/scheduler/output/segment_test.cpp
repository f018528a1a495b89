#include "output/segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include "output/read_window.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::output {
namespace {

using test::expect_error;
using test::FileSizeLimit;
using test::read_file;
using test::TempDir;

std::string bytes_of(const std::filesystem::path& segment, const Range& range) {
  return read_file(segment).substr(static_cast<std::size_t>(range.offset),
                                   static_cast<std::size_t>(range.size_bytes));
}

TEST(Segment, RangesSayWhereTheRowsLie) {
  const TempDir dir;
  const auto path = dir.path() / "process000.rows";
  SegmentWriter writer(path);
  const Range first = writer.append("cat 1\ncat 2\n");
  const Range none = writer.append("");
  const Range second = writer.append("dog\n");
  EXPECT_EQ(first.segment, "process000.rows");
  EXPECT_EQ(first.offset, 0);
  EXPECT_EQ(first.size_bytes, 12);
  EXPECT_EQ(first.crc32c, crc32c("cat 1\ncat 2\n"));
  EXPECT_EQ(none.offset, 12);
  EXPECT_EQ(none.size_bytes, 0);
  EXPECT_EQ(none.crc32c, 0U);
  EXPECT_EQ(second.offset, 12);
  EXPECT_EQ(second.size_bytes, 4);
  EXPECT_EQ(read_file(path), "cat 1\ncat 2\ndog\n");
}

TEST(Segment, RowsOfSeveralMiniBatchesHaveRangesOfTheirOwn) {
  const TempDir dir;
  const auto path = dir.path() / "process000.rows";
  SegmentWriter writer(path);
  writer.append("before\n");
  const std::array<std::string_view, 3> rows = {"cat\n", "", "dog 1\ndog 2\n"};
  const std::vector<Range> ranges = writer.append(rows);
  ASSERT_EQ(ranges.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(ranges[i].segment, "process000.rows");
    EXPECT_EQ(bytes_of(path, ranges[i]), rows[i]);
    EXPECT_EQ(ranges[i].crc32c, crc32c(rows[i]));
  }
  EXPECT_EQ(bytes_of(path, writer.append("after\n")), "after\n");
}

TEST(ReadWindow, SeesWhatWasAppendedBehindWhatItHolds) {
  const TempDir dir;
  const auto path = dir.path() / "rows";
  const std::string large(200'000, 'x');
  SegmentWriter writer(path);
  writer.append("one\n");
  const Descriptor file = open_file(path, O_RDONLY);
  ReadWindow window;
  EXPECT_EQ(window.read(file, path, 0, 4), "one\n");
  EXPECT_EQ(window.read(file, path, 4, 0), "");
  expect_error(ErrorCode::kIo, "ends at byte 4, 1 bytes before",
               [&] { window.read(file, path, 0, 5); });
  writer.append("two\n");
  EXPECT_EQ(window.read(file, path, 2, 6), "e\ntwo\n");
  writer.append(large);
  EXPECT_EQ(window.read(file, path, 8, 200'000), large);
  EXPECT_EQ(window.read(file, path, 0, 3), "one");
}

TEST(Segment, O4_TwoWritersNeverShareAFile) {
  const TempDir dir;
  const auto path = dir.path() / "process000.rows";
  const SegmentWriter writer(path);
  expect_error(ErrorCode::kIo, path.string(), [&] { SegmentWriter again(path); });
  expect_error(ErrorCode::kIo, "no/such", [&] { SegmentWriter(dir.path() / "no/such/folder"); });
}

TEST(Segment, AnAppendThatFailsLeavesTheNextOneValid) {
  const TempDir dir;
  const auto path = dir.path() / "process000.rows";
  SegmentWriter writer(path);
  const Range first = writer.append("kept\n");
  {
    const FileSizeLimit limit(8);
    // Three bytes fit, then the "disk" is full.
    expect_error(ErrorCode::kIo, path.string() + ": cannot write: File too large; raise the limit",
                 [&] { writer.append("torn off\n"); });
    expect_error(ErrorCode::kIo, "choose an output folder", [&] { writer.append("nothing\n"); });
  }
  const Range second = writer.append("good again\n");
  EXPECT_EQ(bytes_of(path, first), "kept\n");
  EXPECT_EQ(bytes_of(path, second), "good again\n");
  EXPECT_EQ(second.crc32c, crc32c("good again\n"));
  EXPECT_EQ(read_file(path), "kept\ntorgood again\n");
}

TEST(Segment, IsNotInheritedByChildPrograms) {
  const TempDir dir;
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);  // The lowest free number: the writer's.
  const SegmentWriter writer(dir.path() / "process000.rows");
  EXPECT_EQ(::fcntl(next, F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace prs::output
