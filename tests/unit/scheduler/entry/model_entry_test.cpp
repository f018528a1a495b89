#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <prs/engine.hpp>

#include "support.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"

namespace prs::entry {
namespace {

namespace fs = std::filesystem;
using config::OutputFormat;
using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Model : public test::EntryTest {
 protected:
  Model() { step_.entry.path = fs::path(PRS_MODELS) / "lenet.onnx"; }

  std::vector<std::string> photos(int count) const {
    std::vector<std::string> paths;
    for (int i = 0; i < count; ++i) {
      paths.push_back(at(fmt::format("{}.png", i)));
      test::write_file(paths.back(), encode_png(test::gray_image(i)));
    }
    return paths;
  }
  /// The same images as records.
  fs::path record_file(int count, std::int64_t size = 28) const {
    test::Bytes pixels;
    for (int i = 0; i < count; ++i) {
      const Image image = test::gray_image(i, size);
      const auto* bytes = reinterpret_cast<const std::byte*>(image.pixels.data());
      pixels.insert(pixels.end(), bytes, bytes + image.pixels.size());
    }
    const auto extent = static_cast<std::uint32_t>(size);
    const std::vector<std::uint32_t> extents = {static_cast<std::uint32_t>(count), extent, extent};
    test::write_file(at("digits.idx"), test::idx_file(8, extents, pixels));
    return at("digits.idx");
  }
  /// What the engine itself says about gray_image(0), gray_image(1), ...
  Lines classes(int count) const {
    const Engine engine = Engine::load(step_.entry.path);
    Lines labels;
    for (int i = 0; i < count; ++i) {
      const Image image = test::gray_image(i);
      labels.push_back(
          engine.classify({DType::kUint8, {1, 28, 28}, image.pixels.data()})[0].top[0].label);
    }
    return labels;
  }
};

TEST_F(Model, GivesARowForEachImageInOrder) {
  check_entry(step_);
  const auto entry = started();
  const Rows rows = entry->run(test::files(photos(7)));
  const Lines expected = classes(7);
  const Lines lines = lines_of(rows.text);
  EXPECT_EQ(rows.count, 7);
  ASSERT_EQ(lines.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(lines[i], fmt::format("{}.png: {}", i, expected[i]));
  }
  EXPECT_EQ(rows.header, "");
  EXPECT_TRUE(rows.item_errors.empty());
  EXPECT_EQ(entry->run(test::files(photos(7), 1)).text, rows.text);
  EXPECT_EQ(entry->run(test::files({})).count, 0);
}

TEST_F(Model, WhatOnlyAGpuHasIsRefusedBeforeTheJobWhenNoWorkerGetsOne) {
  const std::string none = "no NVIDIA driver";
  const auto expect_refused = [&](ErrorCode code, const std::string& message) {
    test::expect_error(code, message, [&] { check_entry(step_, none); });
    check_entry(step_);
  };
  for (const char* device : {"cuda", "cuda:1"}) {
    step_.device = device;
    expect_refused(ErrorCode::kUnavailable,
                   fmt::format("device: {}: no NVIDIA driver; leave device out", device));
  }
  step_.device = "auto";
  step_.model_options = {{"precision", "tf32"}};
  expect_refused(ErrorCode::kUnsupported,
                 "cpu does not compute in tf32; it has fp32, bf16, int8; no NVIDIA driver");
  step_.model_options = {{"precision", "bf16"}};
  check_entry(step_, none);
}

TEST_F(Model, DescribesItselfAfterInit) {
  step_.device = "cpu";
  step_.model_options = {{"threads", "3"}};
  EXPECT_EQ(started()->describe(),
            step_.entry.path.string() +
                ": 10 classes, on cpu in fp32, 3 threads; images: 28 x 28, 1 channel, "
                "nchw, value = (pixel * 0.00392157 - 0) / 1");
}

TEST_F(Model, RecordsAreNamedByFileAndNumber) {
  const fs::path file = record_file(9);
  const Lines expected = classes(9);
  for (const char* batch : {"256", "2"}) {
    step_.model_options = {{"batch", batch}};
    const Lines lines = lines_of(started()->run(test::records(file, 3, 5)).text);
    ASSERT_EQ(lines.size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(lines[i], fmt::format("digits.idx#{}: {}", i + 3, expected[i + 3]));
    }
  }
}

/// One mini-batch of all rows of a file with that text.
dataset::MiniBatch table(const fs::path& file, std::string_view text) {
  test::write_file(file, text);
  dataset::Partitioner partitioner({file.string()}, {config::MiniBatchSize::Unit::kRows, 1000});
  return partitioner.next().value();
}

TEST_F(Model, RowsOfATableAreScoredByTheirColumns) {
  // y = [a - b, b - a]: the class is the larger column's.
  test::ModelBuilder model(8, 17);
  model.input("x", DType::kFloat32, {"N", 2});
  model.initializer("w", test::tensor<float>({2, 2}, {1, -1, -1, 1}));
  model.node("MatMul", {"x", "w"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 2});
  step_.entry.path = model.write(at("compare.onnx"));
  const fs::path file = at("rows.csv");
  step_.inputs = {file.string()};
  const auto batch = table(file, "name,a,b\nx,1,2\ny,3.5,2\nz,0,1\n");
  check_entry(step_);
  EXPECT_EQ(started()->run(batch).text, "rows.csv#0: 1\nrows.csv#1: 0\nrows.csv#2: 1\n");
  step_.model_options = {{"columns", "b, a"}, {"batch", "2"}};
  EXPECT_EQ(started()->run(batch).text, "rows.csv#0: 0\nrows.csv#1: 1\nrows.csv#2: 0\n");
  const auto expect_failed = [&](const std::string& columns, const std::string& message) {
    step_.model_options = {{"columns", columns}};
    test::expect_error(ErrorCode::kInvalidArgument, message, [&] { started()->run(batch); });
  };
  expect_failed("a,c", "there is no column 'c'; the columns are name (string), a (float64), b");
  expect_failed("a,name", "column 'name' holds no numbers");
  expect_failed("a", "the model takes 2 values a row, 1 columns are chosen");
}

TEST_F(Model, FilesThatHaveToBeWaitedForGiveTheSameRows) {
  const auto paths = photos(200);
  const std::string expected = started()->run(test::files(paths)).text;
  for (const std::string& path : paths) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0) << path;
    EXPECT_EQ(::fsync(file), 0);
    EXPECT_EQ(::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
    ::close(file);
  }
  // Where the folder lies on a disk, more threads read now than before.
  EXPECT_EQ(started()->run(test::files(paths)).text, expected);
}

TEST_F(Model, BatchesChangeNothing) {
  const auto paths = photos(11);
  const std::string expected = started()->run(test::files(paths)).text;
  for (const char* batch : {"1", "3", "11"}) {
    step_.model_options = {{"batch", batch}};
    EXPECT_EQ(started()->run(test::files(paths)).text, expected) << batch;
  }
}

/// What run() gives for each of a group by itself.
std::vector<Rows> one_by_one(Entry& entry, const std::vector<dataset::MiniBatch>& group) {
  std::vector<Rows> rows;
  for (const dataset::MiniBatch& mini_batch : group) rows.push_back(entry.run(mini_batch));
  return rows;
}

void expect_same(const std::vector<SharedResult>& results, const std::vector<Rows>& expected) {
  ASSERT_EQ(results.size(), expected.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].rows.text, expected[i].text) << i;
    EXPECT_EQ(results[i].rows.count, expected[i].count) << i;
    EXPECT_EQ(results[i].rows.header, expected[i].header) << i;
    EXPECT_EQ(results[i].rows.item_errors, expected[i].item_errors) << i;
    EXPECT_GT(results[i].work_s, 0) << i;
  }
}

TEST_F(Model, MiniBatchesRunTogetherGiveWhatEachGivesAlone) {
  auto paths = photos(20);
  fs::remove(paths[4]);
  test::write_file(paths[9], "this is no image");
  const std::vector<std::string> first(paths.begin(), paths.begin() + 6);
  const std::vector<std::string> second(paths.begin() + 6, paths.begin() + 7);
  const std::vector<std::string> third(paths.begin() + 7, paths.end());
  const std::vector<dataset::MiniBatch> group = {test::files(first, 0), test::files(second, 1)};
  const std::vector<dataset::MiniBatch> after = {test::files(third, 2), test::files({paths[4]}, 3)};
  for (const char* threads : {"1", "3"}) {
    for (const char* batch : {"1", "4", "256"}) {
      step_.model_options = {{"threads", threads}, {"batch", batch}};
      const auto entry = started();
      EXPECT_EQ(entry->reads_ahead(), threads[0] == '3');
      const std::vector<Rows> expected = one_by_one(*entry, group);
      const std::vector<Rows> expected_after = one_by_one(*entry, after);
      expect_same(entry->run_together(group), expected);
      // Read while another is run; and what is read and then not wanted.
      EXPECT_TRUE(entry->read_ahead(group));
      EXPECT_TRUE(entry->read_ahead(after));
      expect_same(entry->run_together(group), expected);
      EXPECT_EQ(entry->run(after[0]).text, expected_after[0].text);
      expect_same(entry->run_together(after), expected_after);
      EXPECT_TRUE(entry->read_ahead(after));
      entry->forget();
      expect_same(entry->run_together(after), expected_after);
      EXPECT_TRUE(entry->read_ahead(group));  // Reading when the entry ends.
    }
  }
}

TEST_F(Model, RecordsThatFollowOneAnotherRunTogether) {
  const fs::path file = record_file(9);
  const std::vector<dataset::MiniBatch> group = {
      test::records(file, 1, 3), test::records(file, 4, 1), test::records(file, 5, 4)};
  const auto entry = started();
  const std::span all(group);
  EXPECT_TRUE(entry->joins(all.first(1), group[1]));
  EXPECT_FALSE(entry->joins(all.first(1), group[2])) << "a record is between them";
  EXPECT_FALSE(entry->joins(all.first(1), test::records(at("other.idx"), 4, 1)));
  EXPECT_FALSE(entry->joins(all.first(1), test::files({file})));
  expect_same(entry->run_together(group), one_by_one(*entry, group));
  // The file is shorter than it was: only the last of them has a record that is not there.
  const std::vector<dataset::MiniBatch> beyond = {test::records(file, 4, 5),
                                                  test::records(file, 9, 2)};
  const std::vector<SharedResult> results = entry->run_together(beyond);
  EXPECT_EQ(results[0].rows.count, 5);
  EXPECT_EQ(results[1].rows.item_errors.size(), 2U);
}

TEST_F(Model, NoMoreImagesRunTogetherThanTheThreadsTakeAtOnce) {
  step_.model_options = {{"threads", "2"}, {"batch", "3"}};
  const auto entry = started();
  const std::vector<dataset::MiniBatch> group = {test::files(photos(4))};
  EXPECT_TRUE(entry->joins(group, test::files(photos(2))));
  EXPECT_FALSE(entry->joins(group, test::files(photos(3))));
}

TEST_F(Model, O2_U5_WritesCsvAndJsonLines) {
  const auto paths = photos(2);
  step_.top_k = 2;
  step_.output_format = OutputFormat::kCsv;
  const Rows csv = started()->run(test::files(paths));
  EXPECT_EQ(csv.header, "name,class,score,class2,score2\n");
  EXPECT_EQ(csv.text.substr(0, 6), "0.png,");
  EXPECT_EQ(csv.count, 2);
  step_.output_format = OutputFormat::kJsonLines;
  const Rows json = started()->run(test::files(paths));
  EXPECT_EQ(json.header, "");
  const auto row = nlohmann::json::parse(lines_of(json.text).at(1));
  EXPECT_EQ(row["name"], "1.png");
  EXPECT_EQ(row["path"], paths[1]);
  EXPECT_EQ(row["top"].size(), 2U);
  EXPECT_EQ(row["top"][0]["class"], classes(2)[1]);
}

TEST_F(Model, O1_SummaryOnlyCounts) {
  step_.output_action = config::OutputAction::kSummaryOnly;
  const Rows rows = started()->run(test::files(photos(3)));
  EXPECT_EQ(rows.count, 3);
  EXPECT_EQ(rows.text, "");
}

TEST_F(Model, O2_SafeOutputKeepsARowOnOneLine) {
  step_.append_row_safe_output = true;
  test::write_file(at("a\nb.png"), encode_png(test::gray_image(0)));
  const Rows rows = started()->run(test::files({at("a\nb.png")}));
  EXPECT_EQ(rows.text, fmt::format("a\\nb.png: {}\n", classes(1)[0]));
}

TEST_F(Model, D10_ItemsThatCannotBeReadFailAlone) {
  auto paths = photos(6);
  fs::remove(paths[0]);
  test::write_file(paths[2], "this is no image");
  test::write_file(paths[3], encode_png(test::gray_image(3, 32)));
  test::write_file(paths[5], "");
  const Lines expected = classes(6);
  for (const char* batch : {"256", "1", "2"}) {
    step_.model_options = {{"batch", batch}};
    const auto entry = started();
    const Rows rows = entry->run(test::files(paths));
    EXPECT_EQ(rows.text, fmt::format("1.png: {}\n4.png: {}\n", expected[1], expected[4]));
    EXPECT_EQ(rows.count, 2);  // E6: the failed ones are those without a row.
    ASSERT_EQ(rows.item_errors.size(), 4U);
    std::size_t error = 0;
    for (const int item : {0, 2, 3, 5}) {
      const std::string& path = paths[static_cast<std::size_t>(item)];
      EXPECT_EQ(rows.item_errors[error].substr(0, path.size() + 2), path + ": ");
      EXPECT_GT(rows.item_errors[error].size(), path.size() + 2);
      ++error;
    }
    EXPECT_TRUE(entry->run(test::files({paths[1]})).item_errors.empty());
  }
}

TEST_F(Model, D10_AMiniBatchOfBadItemsIsNoException) {
  const Rows rows = started()->run(test::files({at("none/1.png"), dir_.path()}));
  EXPECT_EQ(rows.count, 0);
  EXPECT_EQ(rows.text, "");
  EXPECT_EQ(rows.item_errors.size(), 2U);
}

TEST_F(Model, D10_ARecordFileThatVanishedOrChangedFailsItsItems) {
  const auto entry = started();
  const auto expect_failed = [&](const dataset::MiniBatch& batch, const std::string& text) {
    const Rows rows = entry->run(batch);
    EXPECT_EQ(rows.count, 0);
    ASSERT_EQ(static_cast<std::int64_t>(rows.item_errors.size()), batch.items());
    for (std::int64_t i = 0; i < batch.items(); ++i) {
      const std::string& error = rows.item_errors[static_cast<std::size_t>(i)];
      EXPECT_EQ(error.find(batch.item_name(i) + ": "), 0U) << error;
      EXPECT_NE(error.find(text), std::string::npos) << error;
    }
  };
  expect_failed(test::records(at("none.idx"), 4, 2), "none.idx: cannot open");
  const fs::path file = record_file(5);
  expect_failed(test::records(file, 4, 3), "has 5 records now");
  EXPECT_EQ(entry->run(test::records(file, 0, 5)).count, 5);
  test::write_file(at("bad.idx"), "what is this?");
  expect_failed(test::records(at("bad.idx"), 0, 2), "bad.idx");
  EXPECT_EQ(entry->run(test::records(file, 0, 5)).count, 5);
}

TEST_F(Model, RecordsOfAnotherSizeAreScaledOnRequestOnly) {
  const fs::path file = record_file(3, 32);
  const Rows refused = started()->run(test::records(file, 0, 3));
  EXPECT_EQ(refused.count, 0);
  ASSERT_EQ(refused.item_errors.size(), 3U);
  EXPECT_EQ(refused.item_errors[1].find(file.string() + "#1: "), 0U) << refused.item_errors[1];
  step_.model_options = {{"resize", "true"}};
  EXPECT_EQ(started()->run(test::records(file, 0, 3)).count, 3);
}

TEST_F(Model, RecordsThatAreNoImagesAreRefusedOneByOne) {
  const std::uint32_t extents[] = {2, 7};
  test::write_file(at("sevens.idx"), test::idx_file(8, extents, test::Bytes(14)));
  const Rows rows = started()->run(test::records(at("sevens.idx"), 0, 2));
  EXPECT_EQ(rows.count, 0);
  ASSERT_EQ(rows.item_errors.size(), 2U);
  EXPECT_EQ(rows.item_errors[0].find(at("sevens.idx").string() + "#0: "), 0U);
}

TEST_F(Model, ModelOptionsReachTheEngine) {
  test::write_file(at("names"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  step_.model_options = {{"class_names", at("names").string()},
                         {"threads", "2"},
                         {"scale", "1"},
                         {"mean", "3"},
                         {"std", "7"},
                         {"invert", "true"}};
  const auto entry = started();
  EXPECT_NE(entry->describe().find("2 threads"), std::string::npos);
  EXPECT_NE(entry->describe().find("value = ((255 - pixel) * 1 - 3) / 7"), std::string::npos);
  const std::string row = entry->run(test::files(photos(1))).text;
  ASSERT_EQ(row.size(), std::string("0.png: a\n").size()) << row;
  EXPECT_GE(row[7], 'a');
  EXPECT_LE(row[7], 'j');
}

TEST_F(Model, E1_WhatKeepsAModelFromLoadingIsSaidBeforeTheStart) {
  test::write_file(at("names"), "a\nb\n");
  step_.model_options = {{"class_names", at("names").string()}};
  expect_refused(ErrorCode::kInvalidArgument,
                 at("names").string() + ": 2 class names for the 10 scores");
  step_.model_options = {{"class_names", at("none").string()}};
  expect_refused(ErrorCode::kIo, at("none").string() + ": cannot read the class names");
  step_.model_options = {{"channels", "3"}};
  expect_refused(ErrorCode::kInvalidArgument, "lenet.onnx");
  step_.model_options = {{"output", "no_such_output"}};
  expect_refused(ErrorCode::kInvalidArgument, "no_such_output");
  step_.model_options = {{"colour", "red"}};
  expect_refused(ErrorCode::kInvalidArgument, "model_options: unknown key 'colour'");
  step_.model_options = {};
  test::write_file(at("broken.onnx"), "no protobuf");
  step_.entry.path = at("broken.onnx");
  expect_refused(ErrorCode::kInvalidModel, at("broken.onnx").string());
}

}  // namespace
}  // namespace prs::entry
