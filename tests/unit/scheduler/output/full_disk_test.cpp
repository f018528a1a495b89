// The disk is full: by the process's limit on file sizes everywhere, and by a small file system of
// its own where the test may mount one.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "child.hpp"
#include "files.hpp"
#include "output/assembly.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::output {
namespace {

using test::expect_error;
using test::FileSizeLimit;
using test::read_file;

AssemblyOptions options_in(const std::filesystem::path& folder) {
  AssemblyOptions options;
  options.final_path = folder / "rows.txt";
  options.segment_folder = folder / ".prs/segments";
  return options;
}

TEST(FullDisk, O4_AcceptLeavesPartialAsItWas) {
  const test::TempDir dir;
  const AssemblyOptions options = options_in(dir.path());
  Assembly assembly(options);
  SegmentWriter writer(options.segment_folder / "s");
  assembly.accept(0, writer.append("a 1\n"));
  const Range range = writer.append("b 2\nc 3\n");
  {
    const FileSizeLimit limit(6);
    expect_error(ErrorCode::kIo, "rows.txt.partial: cannot write: File too large",
                 [&] { assembly.accept(1, range); });
    EXPECT_EQ(read_file(assembly.partial_path()), "a 1\n");
  }
  EXPECT_EQ(assembly.accept(1, range).length, 12);
  assembly.publish();
  EXPECT_EQ(read_file(options.final_path), "a 1\nb 2\nc 3\n");
}

TEST(FullDisk, O3_SortingThatFailsKeepsEveryRow) {
  const test::TempDir dir;
  AssemblyOptions options = options_in(dir.path());
  options.ordered = true;
  Assembly assembly(options);
  SegmentWriter writer(options.segment_folder / "s");
  assembly.accept(1, writer.append("b 2\n"));
  assembly.accept(0, writer.append("a 1\n"));
  {
    const FileSizeLimit limit(6);
    expect_error(ErrorCode::kIo, "rows.txt.sorted: cannot write", [&] { assembly.publish(); });
  }
  EXPECT_EQ(read_file(assembly.partial_path()), "b 2\na 1\n");
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "rows.txt.sorted"));
  assembly.publish();
  EXPECT_EQ(read_file(options.final_path), "a 1\nb 2\n");
}

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

template <typename Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.message();
  }
  return {};
}

/// On a file system of 256 KiB at `folder`.
void fill_and_recover(const std::filesystem::path& folder) {
  const AssemblyOptions options = options_in(folder);
  Assembly assembly(options);
  SegmentWriter writer(options.segment_folder / "s");
  const std::string rows(60'000, 'r');
  const Range first = writer.append(rows);
  const Range second = writer.append(rows);
  require(assembly.accept(0, first).length == 60'000, "first accept");
  const std::string segment_error = message_of([&] { writer.append(std::string(200'000, 'x')); });
  require(segment_error.find("/s: cannot write: No space left on device; free space on its disk") !=
              std::string::npos,
          "the segment's error names file and remedy");
  const std::string accept_error = message_of([&] { assembly.accept(1, second); });
  require(accept_error.find("rows.txt.partial: cannot write: No space left") != std::string::npos,
          "the output's error names file and remedy");
  require(std::filesystem::file_size(assembly.partial_path()) == 60'000, "cut back");
  // Space comes back when the torn append is cut off the segment.
  std::filesystem::resize_file(options.segment_folder / "s", 120'000);
  require(assembly.accept(1, second).length == 120'000, "second accept");
  assembly.publish();
  require(read_file(options.final_path) == rows + rows, "the content");
}

/// In name spaces of its own a process may mount without being root, where the system allows it.
bool mount_small_disk(const std::filesystem::path& folder) {
  const std::string user = fmt::format("0 {} 1", ::geteuid());
  const std::string group = fmt::format("0 {} 1", ::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  test::write_file("/proc/self/setgroups", "deny");
  test::write_file("/proc/self/uid_map", user);
  test::write_file("/proc/self/gid_map", group);
  return ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=256k") == 0;
}

TEST(FullDisk, O4_ARealFullFileSystemIsSurvived) {
  const test::TempDir dir;
  test::Child child([&](const test::Child::Line& line) {
    if (!mount_small_disk(dir.path())) {
      line.say("skip");
      return;
    }
    fill_and_recover(dir.path());
    line.say("done");
  });
  const std::string said = child.hear_all();
  EXPECT_EQ(child.wait(), 0);
  if (said == "skip") GTEST_SKIP() << "this system does not let the test mount a file system";
  EXPECT_EQ(said, "done");
}

}  // namespace
}  // namespace prs::output
