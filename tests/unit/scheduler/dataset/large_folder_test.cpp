// A folder with more files than are sorted.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <set>

#include "dataset/dataset.hpp"
#include "dataset/inputs.hpp"
#include "support.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

constexpr int kFiles = 3'000;
constexpr std::size_t kSorted = 500;
constexpr config::MiniBatchSize kTen{config::MiniBatchSize::Unit::kItems, 10};

class LargeFolder : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_);
    const fs::path file = test::write_file(dir_.path() / "file", "");
    for (int i = 0; i < kFiles; ++i) {
      // Links are made faster than files. Numbers without leading zeros, so that the order of
      // creation is not that of names.
      fs::create_hard_link(file, folder_ / fmt::format("{}.png", i));
    }
  }
  InputSpec spec(std::size_t sorted_entries = kSorted) const {
    InputSpec spec({folder_.string()});
    spec.sorted_entries = sorted_entries;
    return spec;
  }

  test::TempDir dir_;
  const fs::path folder_ = dir_.path() / "photos";
};

TEST_F(LargeFolder, D7_IsSortedWhenItHasNoMoreThanThatManyEntries) {
  Partitioner whole(spec(kFiles), kTen);
  std::vector<fs::path> names;
  while (const std::optional<MiniBatch> batch = whole.next()) {
    names.insert(names.end(), batch->files.begin(), batch->files.end());
  }
  EXPECT_EQ(names.size(), std::size_t{kFiles});
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(InputSpec().sorted_entries, 100'000U) << "docs/semantics.md, D7";
}

// With all names in memory, no removal could change what comes; listed as it goes, what was not yet
// read from the folder is gone.
TEST_F(LargeFolder, D7_IsTakenInTheOrderListedWhileTheListingGoesOn) {
  std::vector<fs::path> listed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    listed.push_back(entry.path());
  }
  ASSERT_EQ(listed.size(), std::size_t{kFiles});

  Partitioner whole(spec(), kTen);
  std::size_t position = 0;
  std::int64_t id = 0;
  while (const std::optional<MiniBatch> batch = whole.next()) {
    ASSERT_EQ(batch->id, id++);
    ASSERT_EQ(batch->items(), 10);
    for (const std::string& file : batch->files) ASSERT_EQ(file, listed[position++]);
  }
  EXPECT_EQ(id, kFiles / 10);
  EXPECT_EQ(whole.items(), kFiles);

  Partitioner begun(spec(), kTen);
  ASSERT_EQ(begun.next()->items(), 10);
  for (const fs::path& file : listed) fs::remove(file);
  const std::vector<MiniBatch> rest = test::all(begun);
  EXPECT_GE(begun.items(), static_cast<std::int64_t>(kSorted));
  EXPECT_LT(begun.items(), kFiles);
}

// What an interrupted listing holds need not be what the folder gives first now.
TEST_F(LargeFolder, D7_AnInterruptedListingGoesOnWhateverTheOrderIsNow) {
  std::vector<MiniBatch> listed;
  Partitioner begun(spec(), kTen);
  for (int i = 0; i < 110; ++i) {
    MiniBatch batch = *begun.next();
    // As if the file system had listed every other one later.
    if (i % 2 == 1) continue;
    batch.id = static_cast<std::int64_t>(listed.size());
    listed.push_back(std::move(batch));
  }
  Partitioner resumed(spec(), kTen);
  for (const MiniBatch& batch : listed) resumed.skip(batch);
  std::set<std::string> names;
  const auto take = [&](const MiniBatch& batch) {
    for (const std::string& file : batch.files) ASSERT_TRUE(names.insert(file).second);
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
