#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "dataset/identity.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

class Identity : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) const {
    return test::write_file(dir_.path() / name, text).string();
  }
  std::string of(std::vector<std::string> inputs, bool by_content = false) const {
    return input_identity(inputs, by_content);
  }
  static void touch(const std::string& file) {
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::nanoseconds(1));
  }

  test::TempDir dir_;
  const std::string a_ = write("p/a.png", "aa");
  const std::string b_ = write("p/b.png", "bb");
  const std::string folder_ = (dir_.path() / "p").string();
};

TEST_F(Identity, R1_IsStableAndAHash) {
  EXPECT_EQ(of({folder_}), of({folder_}));
  EXPECT_EQ(of({folder_}, true), of({folder_}, true));
  EXPECT_EQ(of({folder_}).size(), 64U);
  EXPECT_NE(of({folder_}), of({folder_}, true));
}

TEST_F(Identity, R1_IsThatOfTheMiniBatchesHoweverTheyAreCut) {
  for (const std::int64_t size : {1, 2, 7}) {
    InputIdentity identity(false);
    Partitioner partitioner({folder_, a_}, {config::MiniBatchSize::Unit::kItems, size});
    while (const auto mini_batch = partitioner.next()) identity.add(*mini_batch);
    EXPECT_EQ(identity.finish(), of({folder_, a_})) << size;
  }
  EXPECT_NE(of({folder_, a_}), of({a_, folder_}));
}

TEST_F(Identity, R1_SeesPathSizeAndTime) {
  const std::string before = of({folder_});
  touch(a_);
  EXPECT_NE(of({folder_}), before);
  const std::string touched = of({folder_});
  const auto time = fs::last_write_time(a_);
  write("p/a.png", "longer");
  fs::last_write_time(a_, time);
  EXPECT_NE(of({folder_}), touched);
  fs::rename(b_, dir_.path() / "p/c.png");
  EXPECT_NE(of({folder_}), before);
}

TEST_F(Identity, R1_ByContentSeesBytesAndNotTheTime) {
  const std::string before = of({folder_}, true);
  touch(a_);
  EXPECT_EQ(of({folder_}, true), before);
  const auto time = fs::last_write_time(a_);
  write("p/a.png", "AA");
  fs::last_write_time(a_, time);
  EXPECT_NE(of({folder_}, true), before);
}

TEST_F(Identity, R1_SeesOrderAndBorders) {
  EXPECT_NE(of({a_, b_}), of({b_, a_}));
  EXPECT_NE(of({a_, b_}), of({folder_}));
  write("p/note.txt", "not an image");
  const std::string before = of({folder_});
  write("p/note.txt", "still none");
  EXPECT_EQ(of({folder_}), before);
}

TEST_F(Identity, R1_AListedFileThatIsMissingCountsAsSuch) {
  const std::string list = write("list", a_ + "\n" + (dir_.path() / "gone.png").string() + "\n");
  for (const bool by_content : {false, true}) {
    const std::string before = of({"@" + list}, by_content);
    write("gone.png", "here");
    EXPECT_NE(of({"@" + list}, by_content), before);
    fs::remove(dir_.path() / "gone.png");
    EXPECT_EQ(of({"@" + list}, by_content), before);
  }
}

TEST_F(Identity, R1_SeesRecordFiles) {
  const std::string records = test::write_records(dir_.path() / "a.idx", 3);
  const std::string before = of({records});
  const std::string content = of({records}, true);
  touch(records);
  EXPECT_NE(of({records}), before);
  EXPECT_EQ(of({records}, true), content);
  test::write_records(dir_.path() / "a.idx", 4);
  EXPECT_NE(of({records}, true), content);
}

TEST_F(Identity, D10_AMissingInputIsNamed) {
  test::expect_error(ErrorCode::kInvalidArgument, "/none: no such file or folder",
                     [&] { of({(dir_.path() / "none").string()}); });
}

}  // namespace
}  // namespace prs::dataset
