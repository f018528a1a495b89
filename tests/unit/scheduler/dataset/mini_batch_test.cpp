#include <gtest/gtest.h>

#include <random>

#include "dataset/dataset.hpp"
#include "support/expect_error.hpp"

namespace prs::dataset {
namespace {

using test::expect_error;

MiniBatch files(std::vector<std::string> paths, std::int64_t id = 0) {
  MiniBatch batch;
  batch.id = id;
  batch.files = std::move(paths);
  return batch;
}

MiniBatch records(std::string file, std::int64_t first, std::int64_t count) {
  MiniBatch batch;
  batch.record_file = std::move(file);
  batch.first_record = first;
  batch.record_count = count;
  return batch;
}

void expect_equal(const MiniBatch& a, const MiniBatch& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.input, b.input);
  EXPECT_EQ(a.files, b.files);
  EXPECT_EQ(a.record_file, b.record_file);
  EXPECT_EQ(a.first_record, b.first_record);
  EXPECT_EQ(a.record_count, b.record_count);
}

std::vector<MiniBatch> samples() {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  MiniBatch far = files({"/a/\xC3\xA4\n\xFF.png", std::string(5000, 'x')}, kMax);
  far.input = 300;
  return {files({}), files({"/photos/1.png"}, 127), far, records("/d.idx", 0, 1),
          records("/d.idx", kMax - 5, 5)};
}

TEST(MiniBatch, NamesItsItems) {
  const MiniBatch two = files({"photos/1.png", "2.png"});
  EXPECT_EQ(two.items(), 2);
  EXPECT_EQ(two.item_name(0), "photos/1.png");
  EXPECT_EQ(records("a/digits.idx", 15, 9).items(), 9);
  EXPECT_EQ(records("a/digits.idx", 15, 9).item_name(2), "a/digits.idx#17");
}

TEST(MiniBatch, ComesBackFromItsDescription) {
  for (const MiniBatch& batch : samples()) expect_equal(parse(serialize(batch)), batch);
}

TEST(MiniBatch, ADescriptionIsCompact) {
  EXPECT_EQ(serialize(files({"/photos/1.png"})).size(),
            5 + 1 + std::string("/photos/1.png").size());
}

TEST(MiniBatch, AShortenedDescriptionIsRefused) {
  for (const MiniBatch& batch : samples()) {
    const std::string bytes = serialize(batch);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      expect_error(ErrorCode::kInvalidArgument, "a mini-batch description is damaged",
                   [&] { parse(std::string_view(bytes).substr(0, size)); });
    }
    expect_error(ErrorCode::kInvalidArgument, "bytes behind its end", [&] { parse(bytes + "\1"); });
  }
}

TEST(MiniBatch, WhatIsParsedIsWhatWouldBeWritten) {
  std::mt19937 random(1);
  const std::vector<MiniBatch> originals = samples();
  int parsed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = serialize(originals[random() % originals.size()]);
    for (std::uint32_t i = random() % 4; i > 0; --i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    try {
      EXPECT_EQ(serialize(parse(bytes)), bytes);
      ++parsed;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_GT(parsed, 1000);
}

TEST(MiniBatch, AFalseDescriptionTakesNoMemory) {
  using namespace std::string_literals;
  const std::string huge = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"s;  // 2^63 - 1
  for (const std::string& bytes :
       {"\0\0"s + huge, "\0\0\0\0"s + huge, "\0\0\0\0"s + huge + "\1a", "\0\0\0\0\1"s + huge + "a",
        "\0\0\0\1"s + huge + "a", "\0\0\0\3"s, "\0\0\0\0\1\0"s, "\0\0\0\1\0\0\1"s,
        "\0\0\0\0\1\1\0"s, "\x80\0\0\0\0\0"s, huge + "\x80\1", "\0\0\0\1\1a"s + huge + "\1",
        "\0\0\0\2\0,\1\0\0\0\0"s + huge, "\0\0\0\2\0,\1\0\0\0\0\0"s}) {
    expect_error(ErrorCode::kInvalidArgument,
                 "a mini-batch description is damaged: ", [&] { parse(bytes); });
  }
}

TEST(MiniBatch, WhatIsNoneIsNotWritten) {
  MiniBatch both = records("/d.idx", 0, 1);
  both.files = {"a"};
  MiniBatch no_file;
  no_file.record_count = 1;
  for (const MiniBatch& batch :
       {both, no_file, files({""}), files({"a"}, -1), records("/d.idx", -1, 1),
        records("/d.idx", std::numeric_limits<std::int64_t>::max(), 1),
        files({std::string("a\0b", 3)})}) {
    expect_error(ErrorCode::kInvalidArgument, "mini-batch ", [&] { serialize(batch); });
  }
}

}  // namespace
}  // namespace prs::dataset
