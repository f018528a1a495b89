// prs-gpu score: rows, formats, sources of images, images that fail.

#include <fmt/format.h>

#include <cmath>

#include "program.hpp"
#include "sample_files.hpp"
#include "support/onnx_builder.hpp"

namespace prs::test {
namespace {

using Json = nlohmann::json;

class Score : public ProgramTest {
 protected:
  /// Runs score with lenet.
  ProcessResult score(std::vector<std::string> arguments, const std::string& input = {}) const {
    const std::vector<std::string> start = {"score", "--model", model_path("lenet.onnx")};
    arguments.insert(arguments.begin(), start.begin(), start.end());
    return prs_gpu(std::move(arguments), input);
  }
  std::vector<std::string> names(const ProcessResult& result) const {
    std::vector<std::string> found;
    for (const std::string& line : lines_of(result.out)) {
      found.push_back(line.substr(0, line.find(": ")));
    }
    return found;
  }
};

TEST_F(Score, PrintsNameAndClassInTheOrderOfTheImages) {
  const std::string folder = photos("photos", 3);
  const ProcessResult result = score({folder + "/2.png", folder, folder + "/2.png"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(names(result), (std::vector<std::string>{"2.png", "0.png", "1.png", "2.png", "2.png"}));
  EXPECT_NE(result.err.find("scored 5 of 5 images in "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("images/s); 0 failed"), std::string::npos) << result.err;
}

TEST_F(Score, LogsHowImagesAreTreated) {
  const ProcessResult result = score({photos("photos", 1), "--mean", "-0.5", "--threads", "1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("on cpu in fp32, 1 thread\n"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("value = (pixel * 0.00392157 - -0.5) / 1"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("mean: given"), std::string::npos) << result.err;
}

TEST_F(Score, LogLevelOffLeavesStandardErrorEmpty) {
  const ProcessResult result = score({"--log-level", "off", photos("photos", 2)});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(lines_of(result.out).size(), 2U);
}

TEST_F(Score, TakesGlobsListsAndStandardInput) {
  const std::string folder = photos("photos", 12);
  EXPECT_EQ(names(score({folder + "/1*.png"})),
            (std::vector<std::string>{"1.png", "10.png", "11.png"}));
  write_text(dir() / "list", folder + "/3.png\n\n" + folder + "/4.png\n");
  EXPECT_EQ(names(score({"@" + file("list")})), (std::vector<std::string>{"3.png", "4.png"}));
  EXPECT_EQ(names(score({"-"}, folder + "/5.png\n")), (std::vector<std::string>{"5.png"}));
}

TEST_F(Score, RecordsGiveTheSameClassesAsFiles) {
  const std::string folder = photos("photos", 9);
  write_idx_images(dir() / "nine.idx", 9);
  const ProcessResult records = score({"--batch", "4", file("nine.idx")});
  ASSERT_EQ(records.exit_code, 0) << records.err;
  const std::vector<std::string> from_records = lines_of(records.out);
  const std::vector<std::string> from_files = lines_of(score({folder}).out);
  ASSERT_EQ(from_records.size(), 9U);
  ASSERT_EQ(from_files.size(), 9U);
  for (int i = 0; i < 9; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::string label = from_files[at].substr(from_files[at].find(": "));
    EXPECT_EQ(from_records[at], fmt::format("nine.idx#{}{}", i, label));
  }
}

TEST_F(Score, BatchSizeAndThreadsChangeNothing) {
  const std::string folder = photos("photos", 40);
  write_idx_images(dir() / "more.idx", 7);
  const std::vector<std::string> common = {"--format", "jsonl",          "--scores",
                                           folder,     file("more.idx"), folder};
  const auto run = [&](const char* batch, const char* threads) {
    std::vector<std::string> arguments = {"--batch", batch, "--threads", threads};
    arguments.insert(arguments.end(), common.begin(), common.end());
    const ProcessResult result = score(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return lines_of(result.out);
  };
  const std::vector<std::string> expected = run("256", "1");
  ASSERT_EQ(expected.size(), 87U);
  for (const auto& [batch, threads] :
       {std::pair("1", "1"), std::pair("3", "2"), std::pair("16", "4"), std::pair("39", "3")}) {
    const std::vector<std::string> rows = run(batch, threads);
    ASSERT_EQ(rows.size(), expected.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Json got = Json::parse(rows[i]);
      const Json want = Json::parse(expected[i]);
      EXPECT_EQ(got["name"], want["name"]);
      for (std::size_t c = 0; c < 10; ++c) {
        EXPECT_NEAR(got["scores"][c].get<double>(), want["scores"][c].get<double>(), 1e-4);
      }
    }
  }
}

TEST_F(Score, TextWithTopKShowsScores) {
  const ProcessResult result = score({"--top-k", "99", photos("photos", 1)});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '('), 10) << result.out;
}

TEST_F(Score, CsvQuotesNamesAndClasses) {
  write_png(dir() / "a, \"b\".png", 1);
  write_text(dir() / "names", "plain\n\"quoted\"\nwith, comma\n3\n4\n5\n6\n7\n8\n9\n");
  const ProcessResult result =
      score({"--format", "csv", "--top-k", "10", "--labels", file("names"), file("a, \"b\".png")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].starts_with("name,class,score,class2,score2,")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with(",class10,score10")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("\"a, \"\"b\"\".png\",")) << lines[1];
  EXPECT_NE(lines[1].find(",\"\"\"quoted\"\"\","), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find(",\"with, comma\","), std::string::npos) << lines[1];
}

TEST_F(Score, CsvWithScoresNamesAColumnForEachClass) {
  const ProcessResult result = score({"--format", "csv", "--scores", photos("photos", 1)});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find(",score_T-shirt/top,"), std::string::npos) << lines[0];
  EXPECT_EQ(std::count(lines[0].begin(), lines[0].end(), ','), 12);
  EXPECT_EQ(std::count(lines[1].begin(), lines[1].end(), ','), 12);
}

TEST_F(Score, JsonLinesHoldClassIndexAndScores) {
  const std::string odd = "tab\t\"quote\" \xC3\xA9 \xFF.png";
  write_png(dir() / odd, 2);
  write_idx_images(dir() / "two.idx", 2);
  const ProcessResult result =
      score({"--format", "jsonl", "--top-k", "3", "--scores", file(odd), file("two.idx")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3U);
  const Json first = Json::parse(lines[0]);
  EXPECT_EQ(first["name"], "tab\t\"quote\" \xC3\xA9 \xEF\xBF\xBD.png");
  ASSERT_EQ(first["top"].size(), 3U);
  ASSERT_EQ(first["scores"].size(), 10U);
  const auto best = first["top"][0]["index"].get<std::size_t>();
  EXPECT_EQ(first["top"][0]["score"], first["scores"][best]);
  EXPECT_GE(first["top"][0]["score"], first["top"][1]["score"]);
  EXPECT_FALSE(first.contains("record"));
  const Json last = Json::parse(lines[2]);
  EXPECT_EQ(last["name"], "two.idx#1");
  EXPECT_EQ(last["path"], file("two.idx"));
  EXPECT_EQ(last["record"], 1);
}

TEST_F(Score, NamesClassesByIndexWithoutLabels) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"N", 1, 2, 2});
  model.node("Flatten", {"x"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 4});
  model.write(dir() / "pixels.onnx");
  const Bytes pixels = {std::byte{1}, std::byte{9}, std::byte{3}, std::byte{4}};
  const std::vector<std::uint32_t> extents = {1, 2, 2};
  const Bytes idx = idx_file(8, extents, pixels);
  write_text(dir() / "one.idx", {reinterpret_cast<const char*>(idx.data()), idx.size()});
  const ProcessResult result = prs_gpu(
      {"score", "--model", file("pixels.onnx"), "--scale", "1", "--top-k", "2", file("one.idx")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "one.idx#0: 1 (9), 3 (4)\n");
}

TEST_F(Score, ImagesThatFailAreReportedAndTheRestGoesOn) {
  const std::string folder = photos("photos", 300);
  const std::string whole = read_text(dir() / "photos/7.png");
  write_text(dir() / "photos/7.png", whole.substr(0, whole.size() / 2));
  write_text(dir() / "photos/250.png", "");
  write_png(dir() / "photos/100.png", 1, 32);
  const ProcessResult result = score({"--failures", file("failures"), folder});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(lines_of(result.out).size(), 297U);
  EXPECT_NE(result.err.find("scored 297 of 300 images"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("; 3 failed\n"), std::string::npos) << result.err;
  for (const char* name : {"7.png", "100.png", "250.png"}) {
    const std::string path = folder + "/" + name;
    EXPECT_NE(result.err.find("warning: " + path + ": "), std::string::npos) << result.err;
    EXPECT_NE(read_text(file("failures")).find(path + "\t"), std::string::npos);
    EXPECT_EQ(result.out.find(std::string("\n") + name), std::string::npos);
  }
  EXPECT_EQ(lines_of(read_text(file("failures"))).size(), 3U);
}

TEST_F(Score, ManyFailuresAreListedInTheFileAndCutOnTheScreen) {
  for (int i = 0; i < 150; ++i) write_text(dir() / "bad" / fmt::format("{}.png", i), "no image");
  const ProcessResult result = score({"--failures", file("failures"), file("bad")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(read_text(file("failures"))).size(), 150U);
  EXPECT_NE(result.err.find("  and 130 more\n"), std::string::npos) << result.err;
}

TEST_F(Score, ResizeScalesFilesAndRecords) {
  write_png(dir() / "large.png", 1, 64);
  Bytes pixels(std::size_t{3} * 40 * 40, std::byte{77});
  const std::vector<std::uint32_t> extents = {3, 40, 40};
  const Bytes idx = idx_file(8, extents, pixels);
  write_text(dir() / "large.idx", {reinterpret_cast<const char*>(idx.data()), idx.size()});
  const ProcessResult refused = score({file("large.png"), file("large.idx")});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_NE(refused.err.find("large.idx#2: "), std::string::npos) << refused.err;
  const ProcessResult scaled = score({"--resize", file("large.png"), file("large.idx")});
  EXPECT_EQ(scaled.exit_code, 0) << scaled.err;
  EXPECT_EQ(lines_of(scaled.out).size(), 4U);
}

TEST_F(Score, RecordsThatAreNoImagesFailWithTheReason) {
  write_idx_labels(dir() / "labels.idx", {1, 2, 3});
  const ProcessResult result = score({file("labels.idx")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("labels.idx#0: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("[N,1,28,28]"), std::string::npos) << result.err;
}

TEST_F(Score, RecordFilesThatCannotBeOpenedFailAlone) {
  const std::string folder = photos("photos", 2);
  write_idx_images(dir() / "good.idx", 3);
  const std::string whole = read_text(dir() / "good.idx");
  write_text(dir() / "truncated.idx", whole.substr(0, 1000));
  write_text(dir() / "empty.npy", "");
  const ProcessResult result =
      score({"--batch", "2", "--failures", file("failures"), "-"},
            fmt::format("{0}/0.png\n{1}\n{2}\n{0}/1.png\n{3}\n", folder, file("truncated.idx"),
                        file("empty.npy"), file("good.idx")));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(names(result),
            (std::vector<std::string>{"0.png", "1.png", "good.idx#0", "good.idx#1", "good.idx#2"}));
  EXPECT_NE(result.err.find("scored 5 of 7 images"), std::string::npos) << result.err;
  const std::vector<std::string> failures = lines_of(read_text(file("failures")));
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_TRUE(failures[0].starts_with(file("truncated.idx") + "\ttruncated (984 bytes"))
      << failures[0];
  EXPECT_EQ(failures[1], file("empty.npy") + "\tempty file");

  const ProcessResult alone = score({file("truncated.idx")});
  EXPECT_EQ(alone.exit_code, 3);
  EXPECT_NE(alone.err.find("failed:\n  " + file("truncated.idx") + ": truncated"),
            std::string::npos)
      << alone.err;
}

TEST_F(Score, RefusesImagesAboveTheLimitOfPixels) {
  const std::string folder = photos("photos", 2);
  write_png(dir() / "photos/large.png", 1, 29);
  const ProcessResult result = score({"--max-pixels", "784", "--resize", folder});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("scored 2 of 3 images"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("784"), std::string::npos) << result.err;
}

TEST_F(Score, RefusesALimitOfPixelsBelowTheModelsOwn) {
  const ProcessResult result = score({"--max-pixels", "783", photos("photos", 1)});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("max_pixels 783: the model itself takes images of 28x28 = 784"),
            std::string::npos)
      << result.err;
}

TEST_F(Score, FlagsThatContradictTheModelAreUsageErrors) {
  const std::string folder = photos("photos", 1);
  const auto expect_usage_error = [&](const std::vector<std::string>& flags,
                                      const std::string& message) {
    std::vector<std::string> arguments = flags;
    arguments.push_back(folder);
    const ProcessResult result = score(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_TRUE(result.err.starts_with("prs-gpu: error: " + message)) << result.err;
    arguments = flags;
    arguments.insert(arguments.begin(), {"inspect", model_path("lenet.onnx")});
    EXPECT_EQ(prs_gpu(arguments).exit_code, 2);
  };
  expect_usage_error({"--resize=20x10", "--mean", "0.5"}, "--resize: height 10 does not fit ");
  expect_usage_error({"--channels", "3"}, "--channels: channels 3 does not fit ");
  expect_usage_error({"--layout", "flat"}, "--layout: layout flat does not fit ");
  expect_usage_error({"--std", "1,2,3"}, "--std: std has 3 values");
  expect_usage_error({"--mean", "1,2,3", "--std", "1,2,3"}, "--mean, --std: mean has 3 values");
}

TEST_F(Score, LabelsMustBeAsManyAsClasses) {
  write_text(dir() / "names", "a\nb\nc\n");
  const ProcessResult result = score({"--labels", file("names"), photos("photos", 1)});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find(file("names") + ": 3 class names"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("10 scores"), std::string::npos) << result.err;
  write_text(dir() / "none", "\n\n");
  const ProcessResult none = score({"--labels", file("none"), photos("photos", 1)});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.err.find("no class names in it"), std::string::npos) << none.err;
}

TEST_F(Score, GivenLabelsOverruleAModelsThatDoNotFit) {
  std::filesystem::copy(model_path("lenet.onnx"), dir() / "m.onnx");
  write_text(dir() / "m.prs.json", R"({"labels": ["only one"]})");
  const std::string image = photos("photos", 1);
  const ProcessResult without = prs_gpu({"score", "--model", file("m.onnx"), image});
  EXPECT_EQ(without.exit_code, 0) << without.err;
  write_text(dir() / "names", "n0\nn1\nn2\nn3\nn4\nn5\nn6\nn7\nn8\nn9\n");
  const ProcessResult given =
      prs_gpu({"score", "--model", file("m.onnx"), "--class-names", file("names"), image});
  EXPECT_EQ(given.exit_code, 0) << given.err;
  EXPECT_NE(given.out.find(": n"), std::string::npos) << given.out;
}

TEST_F(Score, MissingModelOrImageIsAnError) {
  const ProcessResult model = prs_gpu({"score", "--model", file("none.onnx"), photos("p", 1)});
  EXPECT_EQ(model.exit_code, 1);
  EXPECT_NE(model.err.find("prs-gpu: error: " + file("none.onnx")), std::string::npos) << model.err;
  const ProcessResult image = score({file("none.png")});
  EXPECT_EQ(image.exit_code, 1);
  EXPECT_NE(image.err.find(file("none.png")), std::string::npos) << image.err;
}

TEST_F(Score, NoImagesAtAllIsAUsageError) {
  std::filesystem::create_directory(dir() / "empty");
  const ProcessResult result = score({file("empty")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("no images found"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace prs::test
