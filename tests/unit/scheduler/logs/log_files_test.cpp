#include "logs/log_files.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "support/file_size_limit.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;

TEST(LogFiles, BuffersUntilFlush) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "new/folder/a.txt";
  LogFiles files;
  files.append(path, "one\n");
  EXPECT_FALSE(fs::exists(path));
  files.append(path, "two\n");
  files.flush();
  EXPECT_EQ(test::read_file(path), "one\ntwo\n");
  files.append(path, "three\n");
  files.append_now(path, "four\n");
  EXPECT_EQ(test::read_file(path), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(files.problem(), "");
}

TEST(LogFiles, ALargeBufferIsWrittenAtOnce) {
  const test::TempDir folder;
  LogFiles files;
  files.append(folder.path() / "a.txt", std::string(LogFiles::kBufferBytes, 'x'));
  EXPECT_EQ(fs::file_size(folder.path() / "a.txt"), LogFiles::kBufferBytes);
}

TEST(LogFiles, WritesWhatIsBufferedAtItsEnd) {
  const test::TempDir folder;
  { LogFiles().append(folder.path() / "a.txt", "one\n"); }
  EXPECT_EQ(test::read_file(folder.path() / "a.txt"), "one\n");
}

TEST(LogFiles, KeepsFewFilesOpen) {
  const test::TempDir folder;
  LogFiles files;
  constexpr int kFiles = 3 * LogFiles::kMaxOpen;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kFiles; ++i) {
      files.append(folder.path() / std::to_string(i), "line\n");
    }
    files.flush();
    EXPECT_LE(files.open_count(), LogFiles::kMaxOpen);
  }
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(test::read_file(folder.path() / std::to_string(i)), "line\nline\n") << i;
  }
}

TEST(LogFiles, AClosedFileMayBeAppendedToAgain) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "a.txt";
  LogFiles files;
  files.append(path, "one\n");
  files.close(path);
  EXPECT_EQ(test::read_file(path), "one\n");
  EXPECT_EQ(files.open_count(), 0);
  files.append(path, "two\n");
  files.flush();
  EXPECT_EQ(test::read_file(path), "one\ntwo\n");
}

TEST(LogFiles, ContinuesATornLineOnALineOfItsOwn) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "a.txt";
  std::ofstream(path) << "one\ntor";
  LogFiles files;
  files.append_now(path, "two\n");
  EXPECT_EQ(test::read_file(path), "one\ntor\ntwo\n");
}

TEST(LogFiles, ADiskThatIsFullDropsTextAndIsReportedOnce) {
  const test::TempDir folder;
  const fs::path full = folder.path() / "full.txt";
  fs::create_symlink("/dev/full", full);
  LogFiles files;
  files.append_now(full, "lost\n");
  EXPECT_EQ(files.problem(), full.string() + ": cannot write: No space left on device");
  files.append_now(folder.path() / "other.txt", "kept\n");
  EXPECT_EQ(test::read_file(folder.path() / "other.txt"), "kept\n");
  fs::create_directory(folder.path() / "folder.txt");
  files.append_now(folder.path() / "folder.txt", "lost\n");
  EXPECT_EQ(files.problem(), full.string() + ": cannot write: No space left on device");
}

TEST(LogFiles, ADiskThatBecomesFullWithinALineLeavesWholeLines) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "a.txt";
  LogFiles files;
  files.append_now(path, "0123456\n");
  {
    const test::FileSizeLimit limit(12);
    files.append_now(path, "does not fit\n");
    EXPECT_EQ(test::read_file(path), "0123456\n");
    EXPECT_NE(files.problem().find(path.string()), std::string::npos);
  }
  files.append_now(path, "fits again\n");
  EXPECT_EQ(test::read_file(path), "0123456\nfits again\n");
}

TEST(LogFiles, AFileThatCannotBeOpenedIsReported) {
  const test::TempDir folder;
  std::ofstream(folder.path() / "file") << "in the way";
  LogFiles files;
  files.append(folder.path() / "file/a.txt", "lost\n");
  files.flush();
  EXPECT_EQ(files.problem(),
            (folder.path() / "file/a.txt").string() + ": cannot open: Not a directory");
}

TEST(LogFiles, ReplacesAFileWholeOrNotAtAll) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "sub/summary.csv";
  LogFiles files;
  files.replace(path, "first");
  files.replace(path, "second, and longer");
  EXPECT_EQ(test::read_file(path), "second, and longer");
  {
    const test::FileSizeLimit limit(4);
    files.replace(path, "third");
  }
  EXPECT_EQ(test::read_file(path), "second, and longer");
  EXPECT_NE(files.problem(), "");
  EXPECT_FALSE(fs::exists(path.string() + ".tmp"));
}

}  // namespace
}  // namespace prs::logs
