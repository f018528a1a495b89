// prs-gpu evaluate: the three forms of labels, figures, errors.

#include <fmt/format.h>

#include "program.hpp"
#include "sample_files.hpp"
#include "support/onnx_builder.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// A model whose class is the brightest of three pixels, so that the figures are known.
class Evaluate : public ProgramTest {
 protected:
  Evaluate() {
    ModelBuilder model(8, 13);
    model.input("x", DType::kFloat32, {"N", 1, 1, 3});
    model.node("Flatten", {"x"}, {"y"});
    model.output("y", DType::kFloat32, {"N", 3});
    model.metadata("prs", R"({"labels": ["ant", "bee", "cat"]})");
    model.write(dir() / "model.onnx");
  }

  void write_image(const std::string& name, int brightest) const {
    Image image{1, 3, 1, {10, 20, 30}};
    image.pixels[static_cast<std::size_t>(brightest)] = 200;
    const std::vector<std::byte> png = encode_png(image);
    write_text(dir() / name, {reinterpret_cast<const char*>(png.data()), png.size()});
  }

  /// Images of classes 0 0 1 1 2, of which the second is a 2 and the last cannot be read.
  void write_images() const {
    const int brightest[] = {0, 2, 1, 1};
    for (int i = 0; i < 4; ++i) write_image(fmt::format("images/{}.png", i), brightest[i]);
    write_text(dir() / "images/4.png", "no image");
  }

  ProcessResult evaluate(const std::string& labels, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"evaluate", "--model", file("model.onnx"), "--labels",
                                          labels};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return prs_gpu(arguments);
  }

  void expect_figures(const ProcessResult& result) const {
    ASSERT_EQ(result.exit_code, 3) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_DOUBLE_EQ(json["accuracy"].get<double>(), 0.75);
    EXPECT_EQ(json["images"], 5);
    EXPECT_EQ(json["failed"], 1);
    EXPECT_EQ(json["scored"], 4);
    EXPECT_EQ(json["confusion"], Json::parse("[[1,0,1],[0,2,0],[0,0,0]]"));
    const Json& ant = json["per_class"][0];
    EXPECT_EQ(ant["class"], "ant");
    EXPECT_EQ(ant["support"], 2);
    EXPECT_DOUBLE_EQ(ant["precision"].get<double>(), 1.0);
    EXPECT_DOUBLE_EQ(ant["recall"].get<double>(), 0.5);
    EXPECT_DOUBLE_EQ(ant["f1"].get<double>(), 2.0 / 3.0);
    EXPECT_DOUBLE_EQ(json["per_class"][2]["recall"].get<double>(), 0.0);
  }
};

TEST_F(Evaluate, TakesAnIdxFileInTheOrderOfTheImages) {
  write_images();
  write_idx_labels(dir() / "labels.idx", {0, 0, 1, 1, 2});
  expect_figures(evaluate(file("labels.idx"), {"--format", "json", file("images")}));
}

TEST_F(Evaluate, TakesACsvFileByBaseName) {
  write_images();
  write_text(dir() / "labels.csv",
             "Name,Label\r\n4.png,cat\r\n\"3.png\",1\r\n2.png,bee\r\n1.png,0\r\n0.png,ant\r\n"
             "unused.png,cat\r\n");
  expect_figures(evaluate(file("labels.csv"), {"--format", "json", file("images")}));
}

TEST_F(Evaluate, TakesACsvFileByPath) {
  write_image("a/x.png", 0);
  write_image("b/x.png", 1);
  write_text(dir() / "labels.csv", fmt::format("a/x.png,ant\n{},bee\n", file("b/x.png")));
  const ProcessResult result =
      evaluate(file("labels.csv"), {"--format", "json", file("a"), file("b")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["accuracy"], 1.0);
}

TEST_F(Evaluate, AnImageWithoutARowFailsAlone) {
  write_images();
  write_image("images/5.png", 0);
  write_text(dir() / "labels.csv", "0.png,ant\n1.png,ant\n2.png,bee\n3.png,bee\n");
  const ProcessResult result = evaluate(file("labels.csv"), {"--format", "json", file("images")});
  ASSERT_EQ(result.exit_code, 3) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_DOUBLE_EQ(json["accuracy"].get<double>(), 0.75);
  EXPECT_EQ(json["scored"], 4);
  EXPECT_EQ(json["failed"], 2);
  EXPECT_NE(result.err.find("  " + file("images/4.png") + ": "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(
                fmt::format("  {}: no label in {}\n", file("images/5.png"), file("labels.csv"))),
            std::string::npos)
      << result.err;
}

TEST_F(Evaluate, LabelsInOrderNeedEveryRecordFile) {
  write_idx_labels(dir() / "labels.idx", {0, 0, 1});
  write_text(dir() / "images.idx", "junk");
  const ProcessResult result = evaluate(file("labels.idx"), {file("images.idx")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("error: " + file("images.idx") + ": neither IDX"), std::string::npos)
      << result.err;
}

TEST_F(Evaluate, TakesFoldersNamedByClass) {
  write_image("photos/ant/0.png", 0);
  write_image("photos/ant/1.png", 2);
  write_image("photos/bee/2.png", 1);
  write_image("photos/1/3.png", 1);
  write_text(dir() / "photos/cat/4.png", "no image");
  expect_figures(evaluate("folders", {"--format", "json", file("photos")}));
  expect_figures(evaluate(file("photos"), {"--format", "json", file("photos")}));
}

TEST_F(Evaluate, PrintsTablesAsText) {
  write_images();
  write_idx_labels(dir() / "labels.idx", {0, 0, 1, 1, 2});
  const ProcessResult result = evaluate(file("labels.idx"), {file("images")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out,
            "accuracy 0.7500 (3 of 4 images)\n"
            "  class  images  precision  recall      F1\n"
            "  ant         2     1.0000  0.5000  0.6667\n"
            "  bee         2     1.0000  1.0000  1.0000\n"
            "  cat         0     0.0000  0.0000  0.0000\n"
            "confusion matrix (rows: true, columns: predicted)\n"
            "         0  1  2\n"
            "  0 ant  1  0  1\n"
            "  1 bee  0  2  0\n"
            "  2 cat  0  0  0\n");
}

TEST_F(Evaluate, NamesBothCountsWhenTheyDiffer) {
  write_images();
  write_idx_labels(dir() / "labels.idx", {0, 0, 1});
  const ProcessResult result = evaluate(file("labels.idx"), {file("images")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("3 labels for 5 images"), std::string::npos) << result.err;
}

TEST_F(Evaluate, NamesTheLabelThatDoesNotFit) {
  write_image("images/0.png", 0);
  const auto message = [&](const std::string& csv) {
    write_text(dir() / "labels.csv", csv);
    const ProcessResult result = evaluate(file("labels.csv"), {file("images")});
    EXPECT_EQ(result.exit_code, 1);
    return result.err;
  };
  EXPECT_NE(message("0.png,dog\n").find("no class 'dog'"), std::string::npos);
  EXPECT_NE(message("0.png,3\n").find("label 3 is out of range"), std::string::npos);
  EXPECT_NE(message("0.png\n").find("row 1: expected name,label"), std::string::npos);
  EXPECT_NE(message("0.png,ant\n0.png,bee\n").find("another label"), std::string::npos);
  EXPECT_NE(message("0.png,\"ant\n").find("never closed"), std::string::npos);
}

TEST_F(Evaluate, ReadsRealData) {
  const fs::path data = "/usr/share/datasets/fashion-mnist";
  if (!fs::exists(data)) GTEST_SKIP() << "Debian's dataset-fashion-mnist is not installed";
  const ProcessResult result =
      prs_gpu({"evaluate", "--model", model_path("lenet.onnx"), "--format", "json", "--labels",
               data / "t10k-labels-idx1-ubyte.gz", data / "t10k-images-idx3-ubyte.gz"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["images"], 10000);
  EXPECT_GE(json["accuracy"].get<double>(), 0.89);
}

}  // namespace
}  // namespace prs::test
