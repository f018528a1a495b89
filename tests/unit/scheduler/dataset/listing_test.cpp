#include <gtest/gtest.h>

#include <filesystem>

#include "dataset/dataset.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

MiniBatch batch(std::int64_t id) {
  MiniBatch result;
  result.id = id;
  result.files = {"/photos/" + std::to_string(id * 1000) + ".png", "/b.png"};
  return result;
}

class Listing : public testing::Test {
 protected:
  /// Leaves a listing of `count` mini-batches and returns its size after each.
  std::vector<std::uintmax_t> write(std::int64_t count, bool finish) const {
    ListingWriter listing(path_, false);
    std::vector<std::uintmax_t> sizes = {fs::file_size(path_)};
    for (std::int64_t id = 0; id < count; ++id) {
      listing.append(batch(id));
      sizes.push_back(fs::file_size(path_));
    }
    if (finish) listing.finish();
    return sizes;
  }

  static void expect_holds(const ListingWriter& listing, std::int64_t count) {
    ASSERT_EQ(listing.size(), count);
    for (std::int64_t id = 0; id < count; ++id) {
      EXPECT_EQ(listing.read(id).id, id);
      EXPECT_EQ(listing.read(id).files, batch(id).files);
    }
  }

  test::TempDir dir_;
  const fs::path path_ = dir_.path() / "listing";
};

TEST_F(Listing, D7_AMiniBatchIsReadAsItWasWritten) {
  ListingWriter listing(path_, false);
  EXPECT_EQ(listing.size(), 0);
  for (std::int64_t id = 0; id < 100; ++id) {
    listing.append(batch(id));
    expect_holds(listing, id + 1);
  }
  EXPECT_FALSE(listing.finished());
  listing.finish();
  EXPECT_TRUE(listing.finished());
  expect_holds(listing, 100);
}

TEST_F(Listing, D7_SurvivesTheProcessAndGoesOn) {
  write(3, false);
  {
    ListingWriter listing(path_, true);
    EXPECT_FALSE(listing.finished());
    expect_holds(listing, 3);
    listing.append(batch(3));
    listing.finish();
  }
  const ListingWriter listing(path_, true);
  EXPECT_TRUE(listing.finished());
  expect_holds(listing, 4);
}

TEST_F(Listing, D7_ATornTailIsCutWhereverItTore) {
  const std::vector<std::uintmax_t> sizes = write(4, true);
  const std::string whole = test::read_file(path_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_file(path_, whole.substr(0, size));
    const auto fits = std::upper_bound(sizes.begin(), sizes.end(), size) - sizes.begin();
    ListingWriter listing(path_, true);
    EXPECT_FALSE(listing.finished()) << size;
    const std::int64_t held = std::max<std::int64_t>(0, fits - 1);
    expect_holds(listing, held);
    EXPECT_EQ(fs::file_size(path_), sizes[static_cast<std::size_t>(held)]);
    for (std::int64_t id = held; id < 4; ++id) listing.append(batch(id));
    listing.finish();
    EXPECT_EQ(test::read_file(path_), whole);
  }
}

TEST_F(Listing, D7_ReadingOneMiniBatchChangesNothing) {
  const std::vector<std::uintmax_t> sizes = write(4, true);
  const std::string whole = test::read_file(path_);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    test::write_file(path_, whole.substr(0, size));
    const auto fits = std::upper_bound(sizes.begin(), sizes.end(), size) - sizes.begin();
    const std::int64_t held = std::max<std::int64_t>(0, fits - 1);
    for (std::int64_t id = 0; id < std::min<std::int64_t>(held, 4); ++id) {
      EXPECT_EQ(serialize(read_listed(path_, id)), serialize(batch(id))) << size;
    }
    for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{4}}) {
      expect_error(ErrorCode::kInvalidArgument,
                   "mini-batch " + std::to_string(id) + " is not among",
                   [&] { read_listed(path_, id); });
    }
    EXPECT_EQ(test::read_file(path_), whole.substr(0, size));
  }
}

TEST_F(Listing, D7_ADamagedTailIsCut) {
  const std::vector<std::uintmax_t> sizes = write(4, true);
  const std::string whole = test::read_file(path_);
  for (std::size_t at = sizes[3]; at < sizes[4]; ++at) {
    std::string damaged = whole.substr(0, sizes[4]);
    damaged[at] ^= 0x40;
    test::write_file(path_, damaged);
    const ListingWriter listing(path_, true);
    EXPECT_FALSE(listing.finished());
    expect_holds(listing, 3);
  }
  for (std::size_t at = sizes[4]; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] ^= 0x40;
    test::write_file(path_, damaged);
    const ListingWriter listing(path_, true);
    EXPECT_FALSE(listing.finished());
    expect_holds(listing, 4);
  }
}

TEST_F(Listing, D7_ZerosAfterACrashOfTheMachineAreNoRecords) {
  write(2, false);
  test::write_file(path_, test::read_file(path_) + std::string(100, '\0'));
  const ListingWriter listing(path_, true);
  EXPECT_FALSE(listing.finished());
  expect_holds(listing, 2);
}

TEST_F(Listing, AnotherFileIsRefusedAndLeftAlone) {
  for (const char* text : {"#!/bin/sh\nexit 0\n", "x"}) {
    test::write_file(path_, text);
    expect_error(ErrorCode::kInvalidArgument, path_.string() + ": not a listing of mini-batches",
                 [&] { ListingWriter(path_, true); });
    EXPECT_EQ(test::read_file(path_), text);
  }
}

TEST_F(Listing, AMissingOrEmptyFileIsBegunAnew) {
  expect_holds(ListingWriter(path_, true), 0);
  test::write_file(path_, "");
  expect_holds(ListingWriter(path_, true), 0);
  write(3, true);
  expect_holds(ListingWriter(path_, false), 0);
}

TEST_F(Listing, RecordsInAFalseOrderAreAnError) {
  const std::vector<std::uintmax_t> sizes = write(3, false);
  const std::string whole = test::read_file(path_);
  test::write_file(path_, whole.substr(0, sizes[1]) + whole.substr(sizes[2]));
  expect_error(ErrorCode::kInvalidArgument, "mini-batch 2 stands where 1 belongs",
               [&] { ListingWriter(path_, true); });
}

TEST_F(Listing, SeveralMiniBatchesAreAppendedOrNone) {
  ListingWriter listing(path_, false);
  const std::vector<MiniBatch> first = {batch(0), batch(1)};
  listing.append(first);
  EXPECT_EQ(listing.read(1).files, batch(1).files);
  const std::vector<MiniBatch> gap = {batch(2), batch(4)};
  expect_error(ErrorCode::kInternal, "mini-batch 4 appended after 3", [&] { listing.append(gap); });
  expect_holds(listing, 2);
  listing.append(batch(2));
  expect_holds(listing, 3);
  expect_holds(ListingWriter(path_, true), 3);
}

TEST_F(Listing, CallsThatBreakTheOrderAreRefused) {
  ListingWriter listing(path_, false);
  expect_error(ErrorCode::kInternal, "mini-batch 1 appended after 0",
               [&] { listing.append(batch(1)); });
  expect_error(ErrorCode::kInternal, "mini-batch 0 of 0 asked for", [&] { listing.read(0); });
  listing.append(batch(0));
  expect_error(ErrorCode::kInternal, "mini-batch -1 of 1", [&] { listing.read(-1); });
  listing.finish();
  listing.finish();
  expect_error(ErrorCode::kInternal, "after its end", [&] { listing.append(batch(1)); });
  expect_holds(listing, 1);
}

TEST_F(Listing, ADamagedRecordIsSeenWhenItIsRead) {
  const std::vector<std::uintmax_t> sizes = write(3, false);
  const ListingWriter listing(path_, true);
  std::string damaged = test::read_file(path_);
  damaged[sizes[1] + 12] ^= 1;
  test::write_file(path_, damaged);
  expect_error(ErrorCode::kIo, path_.string() + ": mini-batch 1 is damaged on the disk",
               [&] { listing.read(1); });
  EXPECT_EQ(listing.read(2).files, batch(2).files);
}

TEST_F(Listing, AFolderThatIsNotThereIsNamed) {
  expect_error(ErrorCode::kIo, (dir_.path() / "none" / "listing").string(),
               [&] { ListingWriter(dir_.path() / "none" / "listing", false); });
}

}  // namespace
}  // namespace prs::dataset
