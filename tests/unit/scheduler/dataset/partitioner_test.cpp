#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "dataset/dataset.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;
using config::MiniBatchSize;
using Names = std::vector<std::string>;
using Unit = MiniBatchSize::Unit;

constexpr MiniBatchSize items(std::int64_t count) { return {Unit::kItems, count}; }

class Partition : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return (dir_.path() / name).string(); }
  std::string write(const std::string& name, std::string_view text = "") const {
    return test::write_file(dir_.path() / name, text).string();
  }
  /// The files of all mini-batches, without the temporary folder, ' | ' between mini-batches.
  std::string files(std::vector<std::string> inputs, std::int64_t size) const {
    std::string text;
    for (const MiniBatch& batch : test::partition(std::move(inputs), items(size))) {
      if (!text.empty()) text += " |";
      for (const std::string& file : batch.files) {
        text += (text.empty() ? "" : " ") + fs::path(file).lexically_relative(dir_.path()).string();
      }
    }
    return text;
  }
  void expect_error(ErrorCode code, const std::string& text, std::vector<std::string> inputs,
                    MiniBatchSize size = items(10)) const {
    test::expect_error(code, text, [&] { Partitioner(std::move(inputs), size); });
  }

  test::TempDir dir_;
};

TEST_F(Partition, D2_CountsFilesAndTheLastMayBeSmaller) {
  for (int i = 0; i < 7; ++i) write("p/" + std::to_string(i) + ".png");
  const std::vector<MiniBatch> batches = test::partition({at("p")}, items(3));
  ASSERT_EQ(batches.size(), 3U);
  for (std::int64_t k = 0; k < 3; ++k) {
    EXPECT_EQ(batches[static_cast<std::size_t>(k)].id, k);
    EXPECT_EQ(batches[static_cast<std::size_t>(k)].input, 0);
  }
  EXPECT_EQ(batches[0].items(), 3);
  EXPECT_EQ(batches[2].items(), 1);
  EXPECT_EQ(files({at("p")}, 7), "p/0.png p/1.png p/2.png p/3.png p/4.png p/5.png p/6.png");
}

TEST_F(Partition, D1_InputsAreCutEachOnItsOwnInTheirOrder) {
  for (const char* name : {"b/1.png", "b/2.png", "b/3.png", "a/1.png", "a/2.png"}) write(name);
  EXPECT_EQ(files({at("b"), at("a"), at("b/2.png")}, 2),
            "b/1.png b/2.png | b/3.png | a/1.png a/2.png | b/2.png");
  Partitioner partitioner({at("b"), at("a")}, items(2));
  const std::vector<MiniBatch> batches = test::all(partitioner);
  EXPECT_EQ(batches[1].input, 0);
  EXPECT_EQ(batches[2].input, 1);
  EXPECT_EQ(batches[2].id, 2);
  EXPECT_EQ(partitioner.items(), 5);
  EXPECT_EQ(partitioner.next(), std::nullopt);
}

TEST_F(Partition, D7_AFolderIsSortedByPathWithTheFoldersBelowIt) {
  for (const char* name : {"p/b.png", "p/a/z.png", "p/a/c/1.png", "p/a.png", "p/B.JPG", "p/c/1.bmp",
                           "p/note.txt", "p/c/digits.idx", "p/.h/x.png"}) {
    write(name);
  }
  EXPECT_EQ(files({at("p")}, 100),
            "p/.h/x.png p/B.JPG p/a/c/1.png p/a/z.png p/a.png p/b.png p/c/1.bmp");
  // As prs-gpu score orders them.
  const std::vector<std::string> arguments = {at("p")};
  const ImageList list = expand_image_arguments(arguments);
  const std::vector<MiniBatch> batches = test::partition(arguments, items(100));
  ASSERT_EQ(static_cast<std::int64_t>(batches[0].files.size()), list.size());
  for (std::size_t i = 0; i < batches[0].files.size(); ++i) {
    EXPECT_EQ(batches[0].files[i], list.item(static_cast<std::int64_t>(i)).path);
  }
}

TEST_F(Partition, FollowsLinksButNotInCircles) {
  write("p/a/1.png");
  write("q/2.png");
  fs::create_directory_symlink(at("p"), at("p/a/up"));
  fs::create_directory_symlink(at("q"), at("p/link"));
  fs::create_symlink(at("nowhere"), at("p/dangling.png"));
  EXPECT_EQ(files({at("p")}, 100), "p/a/1.png p/dangling.png p/link/2.png");
}

TEST_F(Partition, AFileGivenByNameIsTakenWhateverItsName) {
  const std::string file = write("photo");
  EXPECT_EQ(files({file}, 10), "photo");
}

TEST_F(Partition, TakesPatternsAndLists) {
  for (const char* name : {"p/1.png", "p/2.png", "p/10.png", "q/x"}) write(name);
  EXPECT_EQ(files({at("p/1*.png"), at("p/*")}, 2), "p/1.png p/10.png | p/1.png p/10.png | p/2.png");
  const std::string list = write("list", at("q/x") + "\n\n" + at("p") + "\n" + at("gone.png"));
  EXPECT_EQ(files({"@" + list}, 3), "q/x p/1.png p/10.png | p/2.png gone.png");
}

TEST_F(Partition, PathsGivenOutAreAbsolute) {
  write("p/1.png");
  const std::string records = test::write_records(at("two.idx"), 2);
  const fs::path before = fs::current_path();
  fs::current_path(dir_.path());
  const auto expected = fs::current_path() / "p/1.png";
  std::vector<fs::path> got;
  for (const char* input : {"p", "./p/", "p/1.png", "p/*.png"}) {
    got.push_back(test::partition({input}, items(1)).at(0).files.at(0));
  }
  const fs::path record_file = test::partition({"two.idx"}, items(1)).at(0).record_file;
  const fs::path dot = test::partition({"."}, items(1)).at(0).files.at(0);
  fs::current_path(before);
  for (const fs::path& path : got) EXPECT_EQ(path.native(), expected.native());
  EXPECT_EQ(dot.native(), expected.native());
  EXPECT_EQ(fs::canonical(record_file), fs::canonical(records));
  EXPECT_TRUE(record_file.is_absolute());
}

TEST_F(Partition, D3_D5_AnItemOfARecordFileIsARecordAndFilesAreNotMixed) {
  const std::string five = test::write_records(at("five.idx"), 5);
  const std::string three = test::write_records(at("three-images-idx3-ubyte"), 3);
  for (const Unit unit : {Unit::kItems, Unit::kRows}) {
    const std::vector<MiniBatch> batches = test::partition({five, three}, {unit, 2});
    ASSERT_EQ(batches.size(), 5U);
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
    for (const MiniBatch& batch : batches) {
      EXPECT_TRUE(batch.is_records());
      EXPECT_EQ(batch.record_file, batch.input == 0 ? five : three);
      ranges.emplace_back(batch.first_record, batch.record_count);
    }
    EXPECT_EQ(ranges, (std::vector<std::pair<std::int64_t, std::int64_t>>{
                          {0, 2}, {2, 2}, {4, 1}, {0, 2}, {2, 1}}));
  }
  // One input of several record files: still never across their borders.
  const std::vector<MiniBatch> globbed = test::partition({at("*i*[xe]")}, items(4));
  ASSERT_EQ(globbed.size(), 3U);
  EXPECT_EQ(globbed[1].items(), 1);
  EXPECT_EQ(globbed[2].record_file, three);
  EXPECT_EQ(globbed[2].input, 0);
  const std::string list = write("list", three + "\n" + five + "\n" + three + "\n");
  Partitioner listed({"@" + list}, items(100));
  EXPECT_EQ(test::all(listed).size(), 3U);
  EXPECT_EQ(listed.items(), 11);
}

TEST_F(Partition, D3_BytesCountRecordBytesAndGiveOneRecordAtLeast) {
  const std::string five = test::write_records(at("five.idx"), 5);
  const auto sizes = [&](std::int64_t bytes) {
    std::vector<std::int64_t> counts;
    for (const MiniBatch& batch : test::partition({five}, {Unit::kBytes, bytes})) {
      counts.push_back(batch.items());
    }
    return counts;
  };
  EXPECT_EQ(sizes(2 * 28 * 28), (std::vector<std::int64_t>{2, 2, 1}));
  EXPECT_EQ(sizes(3 * 28 * 28 - 1), (std::vector<std::int64_t>{2, 2, 1}));
  EXPECT_EQ(sizes(1), (std::vector<std::int64_t>{1, 1, 1, 1, 1}));
  EXPECT_EQ(sizes(1 << 20), (std::vector<std::int64_t>{5}));
}

TEST_F(Partition, D10_AnEmptyInputGivesNothing) {
  fs::create_directories(at("empty/below"));
  const std::string list = write("list", "\n  \r\n\t\n");
  const std::string records = test::write_records(at("none.idx"), 0);
  EXPECT_TRUE(test::partition({at("empty"), "@" + list}, items(10)).empty());
  EXPECT_TRUE(test::partition({records, records}, items(10)).empty());
  write("p/1.png");
  EXPECT_EQ(test::partition({at("empty"), at("p")}, items(10)).at(0).input, 1);
}

TEST_F(Partition, D10_AMissingInputIsAnErrorBeforeTheStart) {
  write("p/1.png");
  expect_error(ErrorCode::kInvalidArgument, at("none") + ": no such file or folder",
               {at("p"), at("none")});
  expect_error(ErrorCode::kInvalidArgument, at("*.tiff"), {at("*.tiff")});
  expect_error(ErrorCode::kIo, "@" + at("none"), {"@" + at("none")});
  expect_error(ErrorCode::kInvalidArgument, "an empty name among the inputs", {""});
  expect_error(ErrorCode::kInvalidArgument, "inputs: none given", {});
  expect_error(ErrorCode::kInvalidArgument, "-: a step cannot read its inputs", {"-"});
  write("bad.idx", "not an IDX file");
  expect_error(ErrorCode::kInvalidArgument, at("bad.idx"), {at("bad.idx")});
}

TEST_F(Partition, AnUnreadableFolderIsAnError) {
  fs::create_directory(at("p"));
  fs::permissions(at("p"), fs::perms::none);
  if (::access(at("p").c_str(), R_OK) == 0) GTEST_SKIP() << "root may read everything";
  expect_error(ErrorCode::kIo, at("p") + ": cannot list the folder", {at("p")});
}

TEST_F(Partition, D1_ImageFilesAndRecordFilesAreNotMixed) {
  const std::string photo = write("p/1.png");
  const std::string records = test::write_records(at("p.idx"), 2);
  expect_error(ErrorCode::kInvalidArgument, at("p") + " holds files, " + records + " records",
               {at("p"), records});
  expect_error(ErrorCode::kInvalidArgument, "of one kind", {records, photo});
  const std::string list = write("list", photo + "\n" + records + "\n");
  expect_error(ErrorCode::kInvalidArgument, "@" + list + ": names image files (" + photo,
               {"@" + list});
}

TEST_F(Partition, D4_SizesThatDoNotFitAreRefused) {
  write("p/1.png");
  expect_error(ErrorCode::kInvalidArgument, "mini_batch_size: 0; expected at least 1", {at("p")},
               items(0));
  expect_error(ErrorCode::kInvalidArgument, "mini_batch_size: 1024 bytes, but " + at("p"),
               {at("p")}, {Unit::kBytes, 1024});
  expect_error(ErrorCode::kInvalidArgument, "mini_batch_size: 5 rows, but " + at("p/1.png"),
               {at("p/1.png")}, {Unit::kRows, 5});
}

TEST_F(Partition, D7_WhatWasListedIsNotGivenOutAgainWhateverCameBeforeIt) {
  for (const char* name : {"p/b.png", "p/c.png", "p/d.png", "p/e.png"}) write(name);
  Partitioner begun({at("p"), at("p/b.png")}, items(2));
  const MiniBatch first = *begun.next();
  write("p/a.png");
  Partitioner resumed({at("p"), at("p/b.png")}, items(2));
  resumed.skip(first);
  const std::vector<MiniBatch> rest = test::all(resumed);
  ASSERT_EQ(rest.size(), 3U);
  EXPECT_EQ(rest[0].id, 1);
  EXPECT_EQ(rest[0].files, (std::vector<std::string>{at("p/a.png"), at("p/d.png")}));
  EXPECT_EQ(rest[1].files, (std::vector<std::string>{at("p/e.png")}));
  // The same file of another input is another item.
  EXPECT_EQ(rest[2].files, (std::vector<std::string>{at("p/b.png")}));
  EXPECT_EQ(resumed.items(), 6);
}

TEST_F(Partition, D7_RangesAndRepeatedFilesThatWereListedAreSkippedOnceEach) {
  const std::string digits = test::write_records(dir_.path() / "digits.idx", 25);
  Partitioner records({digits}, items(10));
  const MiniBatch first = *records.next();
  Partitioner resumed({digits}, items(10));
  resumed.skip(first);
  EXPECT_EQ(resumed.next()->first_record, 10);
  EXPECT_EQ(resumed.next()->record_count, 5);
  EXPECT_EQ(resumed.next(), std::nullopt);

  write("a.png");
  write("list", "a.png\na.png\na.png\n");
  Partitioner list({"@" + at("list")}, items(1));
  const MiniBatch one = *list.next();
  Partitioner rest({"@" + at("list")}, items(1));
  rest.skip(one);
  EXPECT_EQ(test::all(rest).size(), 2U);
}

TEST_F(Partition, D10_AFileThatVanishesIsGivenOutAllTheSame) {
  write("p/1.png");
  write("p/2.png");
  Partitioner partitioner({at("p")}, items(1));
  EXPECT_EQ(partitioner.next()->files.size(), 1U);
  fs::remove(at("p/2.png"));
  EXPECT_EQ(partitioner.next()->files.at(0), at("p/2.png"));
}

TEST_F(Partition, AFolderThatVanishesIsAnError) {
  write("p/1.png");
  write("p/2/3.png");
  Partitioner partitioner({at("p")}, items(1));
  partitioner.next();
  fs::remove_all(at("p/2"));
  test::expect_error(ErrorCode::kIo, at("p/2") + ": cannot list the folder",
                     [&] { partitioner.next(); });
}

}  // namespace
}  // namespace prs::dataset
