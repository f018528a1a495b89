// prs-gpu quantize, and --precision where it is more than a flag: from images to 8-bit layers.

#include <filesystem>
#include <set>

#include "program.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

class Quantize : public ProgramTest {
 protected:
  ProcessResult quantize(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "quantize");
    return prs_gpu(std::move(arguments));
  }
  /// A job of lenet over `folder` in int8, with output out/.
  ProcessResult run_int8(const std::string& folder, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"run",       "--model", model_path("lenet.onnx"),
                                          "--input",   folder,    "--output",
                                          file("out"), "--set",   "precision=int8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return prs_gpu(std::move(arguments));
  }
};

void expect_refused(const ProcessResult& result, int exit_code, const std::string& message) {
  EXPECT_EQ(result.exit_code, exit_code) << result.out;
  EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
}

TEST_F(Quantize, WritesAModelThatScoresAsTheFloatModelDoes) {
  const std::string folder = photos("photos", 24);
  const ProcessResult result = quantize({model_path("lenet.onnx"), "--calibrate", folder,
                                         "--images", "20", "-o", file("lenet.int8.onnx")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2U) << result.out;
  EXPECT_EQ(lines[0], file("lenet.int8.onnx") + ": calibrated on 20 images");
  EXPECT_EQ(lines[1].find("same class as fp32: "), 0U) << lines[1];
  EXPECT_NE(lines[1].find(" of 24 images"), std::string::npos) << lines[1];
  // The file's own layers, and the same ones made while loading.
  const ProcessResult from_file =
      prs_gpu({"score", "--model", file("lenet.int8.onnx"), "--precision", "int8", "--format",
               "csv", "--scores", folder});
  ASSERT_EQ(from_file.exit_code, 0) << from_file.err;
  EXPECT_EQ(lines_of(from_file.out).size(), 25U);
  const ProcessResult loaded =
      prs_gpu({"score", "--model", model_path("lenet.onnx"), "--precision", "int8", "--calibrate",
               folder, "--images", "20", "--format", "csv", "--scores", folder});
  EXPECT_EQ(loaded.out, from_file.out) << loaded.err;
}

TEST_F(Quantize, TellsBothAccuraciesWhenLabelsAreGiven) {
  write_idx_images(dir() / "images.idx", 6);
  write_idx_labels(dir() / "labels.idx", {0, 1, 2, 3, 4, 5});
  const ProcessResult result =
      quantize({model_path("mlp.onnx"), "--calibrate", file("images.idx"), "--labels",
                file("labels.idx"), "-o", file("mlp.int8.onnx")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("accuracy: fp32 "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find(" % of 6 images"), std::string::npos) << result.out;
}

TEST_F(Quantize, NamesWhatIsWrongAndLeavesNoFile) {
  const std::string folder = photos("photos", 3);
  const std::string model = model_path("lenet.onnx");
  const std::string output = file("q.onnx");
  fs::create_directory(dir() / "empty");
  expect_refused(quantize({model, "--calibrate", file("empty"), "-o", output}), 2,
                 "no images found: " + file("empty"));
  expect_refused(quantize({model, "--calibrate", file("nowhere"), "-o", output}), 1,
                 file("nowhere") + ": no such file or folder");
  expect_refused(quantize({model, "-o", output}), 2, "--calibrate is required");
  expect_refused(quantize({file("no.onnx"), "--calibrate", folder, "-o", output}), 1,
                 file("no.onnx"));
  expect_refused(quantize({model, "--calibrate", folder, "-o", file("no/q.onnx")}), 1,
                 file("no/q.onnx.partial") + ": cannot create the file");
  write_text(dir() / "damaged/1.png", "no image");
  expect_refused(quantize({model, "--calibrate", file("damaged"), "-o", output}), 1,
                 file("damaged/1.png"));
  ASSERT_EQ(quantize({model, "--calibrate", folder, "-o", file("once.onnx")}).exit_code, 0);
  expect_refused(quantize({file("once.onnx"), "--calibrate", folder, "-o", output}), 1,
                 "the model is quantised already");
  EXPECT_FALSE(fs::exists(output));
  EXPECT_FALSE(fs::exists(output + ".partial"));
}

TEST_F(Quantize, ReplacesAFileOnlyWhenAskedTo) {
  const std::string folder = photos("photos", 2);
  write_text(dir() / "q.onnx", "precious\n");
  const std::vector<std::string> arguments = {model_path("mlp.onnx"), "--calibrate", folder, "-o",
                                              file("q.onnx")};
  expect_refused(quantize(arguments), 1, "exists already; --overwrite replaces it");
  EXPECT_EQ(read_text(dir() / "q.onnx"), "precious\n");
  std::vector<std::string> overwriting = arguments;
  overwriting.emplace_back("--overwrite");
  EXPECT_EQ(quantize(overwriting).exit_code, 0);
  EXPECT_NE(read_text(dir() / "q.onnx"), "precious\n");
}

TEST_F(Quantize, ScoreCalibratesOnTheFirstImagesWhenNoneAreNamed) {
  const std::string folder = photos("photos", 5);
  const std::vector<std::string> score = {"score",       "--model",  model_path("lenet.onnx"),
                                          "--precision", "int8",     "--format",
                                          "csv",         "--scores", folder};
  std::vector<std::string> named = score;
  named.insert(named.end(), {"--calibrate", folder});
  const ProcessResult by_itself = prs_gpu(score);
  EXPECT_EQ(by_itself.exit_code, 0) << by_itself.err;
  EXPECT_NE(by_itself.err.find(" in int8, "), std::string::npos) << by_itself.err;
  EXPECT_EQ(by_itself.out, prs_gpu(named).out);
}

TEST_F(Quantize, AStepCalibratesOnItsFolder) {
  const std::string folder = photos("photos", 12);
  const ProcessResult job = run_int8(folder, {"--set", "calibrate=" + folder});
  ASSERT_EQ(job.exit_code, 0) << job.err;
  const std::vector<std::string> rows = lines_of(read_text(dir() / "out/parallel_run_step.txt"));
  const std::vector<std::string> scored =
      lines_of(prs_gpu({"score", "--model", model_path("lenet.onnx"), "--precision", "int8",
                        "--calibrate", folder, folder})
                   .out);
  EXPECT_EQ(std::set<std::string>(rows.begin(), rows.end()),
            std::set<std::string>(scored.begin(), scored.end()));
  const std::string log = read_text(dir() / "out/logs/sys/master_role.txt");
  EXPECT_NE(log.find(" in int8, "), std::string::npos) << log;
}

TEST_F(Quantize, AStepWithoutImagesToCalibrateOnIsRefusedBeforeItStarts) {
  const std::string folder = photos("photos", 2);
  expect_refused(run_int8(folder, {}), 2, "in a step calibrate: FOLDER");
  expect_refused(run_int8(folder, {"--set", "calibrate=" + file("nowhere")}), 2,
                 file("nowhere") + ": no such file or folder");
  EXPECT_FALSE(fs::exists(dir() / "out/logs"));
}

TEST_F(Quantize, APrecisionThatTheDeviceHasNotIsRefusedByName) {
  const std::string folder = photos("photos", 2);
  const std::string message = "cpu does not compute in fp16; it has fp32, bf16, int8";
  expect_refused(prs_gpu({"score", "--model", model_path("lenet.onnx"), "--device", "cpu",
                          "--precision", "fp16", folder}),
                 1, message);
  expect_refused(prs_gpu({"run", "--model", model_path("lenet.onnx"), "--input", folder, "--output",
                          file("out"), "--device", "cpu", "--set", "precision=fp16"}),
                 2, message);
}

}  // namespace
}  // namespace prs::test
