// prs-gpu export-images.

#include <numeric>

#include "program.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

class ExportImages : public ProgramTest {};

TEST_F(ExportImages, WritesPngsAndLabelsThatGiveTheSameScores) {
  write_idx_images(dir() / "images.idx", 12);
  std::vector<std::uint8_t> labels(12);
  std::iota(labels.begin(), labels.end(), std::uint8_t{0});
  write_idx_labels(dir() / "labels.idx", labels);
  const ProcessResult result =
      prs_gpu({"export-images", file("images.idx"), "--output", file("out"), "--labels",
               file("labels.idx"), "--limit", "11"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(fs::exists(file("out/00011.png")));
  const std::vector<std::string> table = lines_of(read_text(file("out/labels.csv")));
  ASSERT_EQ(table.size(), 12U);
  EXPECT_EQ(table[0], "name,label");
  EXPECT_EQ(table[11], "00010.png,10");
  const RecordFile records = RecordFile::open(file("images.idx"));
  const Image last = read_image(file("out/00010.png"), {.channels = 1});
  const TensorView record = records.records(10, 1);
  ASSERT_EQ(static_cast<std::int64_t>(last.pixels.size()), record.bytes());
  EXPECT_TRUE(std::equal(last.pixels.begin(), last.pixels.end(), record.as<std::uint8_t>()));
}

TEST_F(ExportImages, WritesColoursOfPlanarRecords) {
  Bytes planes;  // Two images of 2 x 2: red, green and blue planes.
  for (int i = 0; i < 24; ++i) planes.push_back(static_cast<std::byte>(i * 10));
  const Bytes npy =
      npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 2, 2), }", planes);
  write_text(dir() / "planes.npy", {reinterpret_cast<const char*>(npy.data()), npy.size()});
  const ProcessResult result =
      prs_gpu({"export-images", file("planes.npy"), "--output", file("out")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Image second = read_image(file("out/00001.png"), {.channels = 3});
  EXPECT_EQ(second.pixels, (std::vector<std::uint8_t>{120, 160, 200, 130, 170, 210, 140, 180, 220,
                                                      150, 190, 230}));
}

TEST_F(ExportImages, RefusesAFolderThatIsNotEmpty) {
  write_idx_images(dir() / "images.idx", 2);
  write_text(dir() / "out/note", "mine");
  const std::vector<std::string> arguments = {"export-images", file("images.idx"), "--output",
                                              file("out")};
  const ProcessResult refused = prs_gpu(arguments);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("--overwrite"), std::string::npos) << refused.err;
  std::vector<std::string> overwriting = arguments;
  overwriting.emplace_back("--overwrite");
  EXPECT_EQ(prs_gpu(overwriting).exit_code, 0);
  EXPECT_TRUE(fs::exists(file("out/00001.png")));
  EXPECT_EQ(read_text(file("out/note")), "mine");
}

TEST_F(ExportImages, NamesBothCountsWhenLabelsDoNotFit) {
  write_idx_images(dir() / "images.idx", 3);
  write_idx_labels(dir() / "labels.idx", {1, 2});
  const ProcessResult result = prs_gpu({"export-images", file("images.idx"), "--output",
                                        file("out"), "--labels", file("labels.idx")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("2 labels for 3 images"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(file("out")));
}

TEST_F(ExportImages, RefusesRecordsThatAreNoImages) {
  write_idx_labels(dir() / "labels.idx", {1, 2});
  const ProcessResult result =
      prs_gpu({"export-images", file("labels.idx"), "--output", file("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("u8[]"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace prs::test
