// A folder of 120,000 files.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "dataset/dataset.hpp"
#include "dataset/inputs.hpp"
#include "support.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

constexpr int kFiles = 120'000;
constexpr config::MiniBatchSize kThousand{config::MiniBatchSize::Unit::kItems, 1000};

class LargeFolder : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_);
    for (int i = 0; i < kFiles; ++i) {
      // Links, which are made faster than files; no file of ext4 has more than 65,000. Numbers
      // without leading zeros, so that the order of creation is not that of names.
      const fs::path file = dir_.path() / fmt::format("file{}", i / 60'000);
      if (i % 60'000 == 0) test::write_file(file, "");
      ASSERT_EQ(::link(file.c_str(), (folder_ / fmt::format("{}.png", i)).c_str()), 0) << i;
    }
  }

  test::TempDir dir_;
  const fs::path folder_ = dir_.path() / "photos";
};

// With all names in memory, no removal could change what comes; listed as it goes, what was not yet
// read from the folder is gone.
TEST_F(LargeFolder, D7_IsTakenInTheOrderListedWhileTheListingGoesOn) {
  std::vector<fs::path> listed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    listed.push_back(entry.path());
  }
  ASSERT_EQ(listed.size(), std::size_t{kFiles});

  Partitioner whole({folder_.string()}, kThousand);
  std::size_t position = 0;
  std::int64_t id = 0;
  while (const std::optional<MiniBatch> batch = whole.next()) {
    ASSERT_EQ(batch->id, id++);
    ASSERT_EQ(batch->items(), 1000);
    for (const fs::path& file : batch->files) ASSERT_EQ(file, listed[position++]);
  }
  EXPECT_EQ(id, kFiles / 1000);
  EXPECT_EQ(whole.items(), kFiles);

  Partitioner begun({folder_.string()}, kThousand);
  ASSERT_EQ(begun.next()->items(), 1000);
  for (const fs::path& file : listed) ASSERT_EQ(::unlink(file.c_str()), 0) << file;
  const std::vector<MiniBatch> rest = test::all(begun);
  EXPECT_GE(begun.items(), static_cast<std::int64_t>(FolderListing::kSortedEntries));
  EXPECT_LT(begun.items(), kFiles);
}

// What an interrupted listing holds need not be what the folder gives first now.
TEST_F(LargeFolder, D7_AnInterruptedListingGoesOnWhateverTheOrderIsNow) {
  std::vector<MiniBatch> listed;
  Partitioner begun({folder_.string()}, kThousand);
  for (int i = 0; i < 110; ++i) {
    MiniBatch batch = *begun.next();
    // As if the file system had listed every other one later.
    if (i % 2 == 1) continue;
    batch.id = static_cast<std::int64_t>(listed.size());
    listed.push_back(std::move(batch));
  }
  Partitioner resumed({folder_.string()}, kThousand);
  for (const MiniBatch& batch : listed) resumed.skip(batch);
  std::set<std::string> names;
  const auto take = [&](const MiniBatch& batch) {
    for (const fs::path& file : batch.files) ASSERT_TRUE(names.insert(file.filename()).second);
  };
  for (const MiniBatch& batch : listed) take(batch);
  auto id = static_cast<std::int64_t>(listed.size());
  while (const std::optional<MiniBatch> batch = resumed.next()) {
    ASSERT_EQ(batch->id, id++);
    take(*batch);
  }
  EXPECT_EQ(names.size(), std::size_t{kFiles});
  EXPECT_EQ(resumed.items(), kFiles);
}

}  // namespace
}  // namespace prs::dataset
