// prs-gpu inspect: image models, other models, models that leave things open.

#include "program.hpp"
#include "support/onnx_builder.hpp"

namespace prs::test {
namespace {

using Json = nlohmann::json;

class Inspect : public ProgramTest {};

TEST_F(Inspect, ShowsInputsPreprocessingLayersAndPlan) {
  const ProcessResult result = prs_gpu({"inspect", model_path("lenet.onnx")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* expected :
       {"f32[batch,1,28,28]", "28 x 28, 1 channel, nchw", "classes: T-shirt/top", "MaxPool",
        "total", "plan for batch 1, in fp32", "Conv+Relu", "arena: "}) {
    EXPECT_NE(result.out.find(expected), std::string::npos) << expected << "\n" << result.out;
  }
}

TEST_F(Inspect, JsonHoldsTheSame) {
  const ProcessResult result =
      prs_gpu({"inspect", "--model", model_path("mlp.onnx"), "--format", "json", "--batch", "16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["parameters"], 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
  EXPECT_EQ(json["batch"], 16);
  EXPECT_EQ(json["precision"], "fp32");
  EXPECT_EQ(json["images"]["layout"], "nchw");
  EXPECT_EQ(json["images"]["labels"].size(), 10U);
  EXPECT_EQ(json["inputs"][0]["shape"], (Json{-1, 1, 28, 28}));
  EXPECT_GE(json["layers"].size(), 5U);
  EXPECT_GE(json["flops_per_image"].get<double>(), 469e3);
  ASSERT_FALSE(json["steps"].empty());
  EXPECT_EQ(json["steps"][0]["device"], "cpu");
}

TEST_F(Inspect, APrecisionThatTheDeviceHasNotIsAnError) {
  for (const char* command : {"inspect", "score", "evaluate"}) {
    std::vector<std::string> arguments = {
        command, "--model", model_path("mlp.onnx"), "--device", "cpu", "--precision", "tf32"};
    if (command != std::string("inspect")) arguments.push_back(model_path("mlp.onnx"));
    if (command == std::string("evaluate"))
      arguments.insert(arguments.end(), {"--labels", "folders"});
    const ProcessResult result = prs_gpu(arguments);
    EXPECT_EQ(result.exit_code, 1) << command;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("cpu does not compute in tf32; it has fp32"), std::string::npos)
        << result.err;
  }
  EXPECT_EQ(prs_gpu({"inspect", model_path("mlp.onnx"), "--precision", "fp8"}).exit_code, 2);
}

TEST_F(Inspect, FlagsChangeThePreprocessing) {
  const ProcessResult result = prs_gpu({"inspect", model_path("mlp.onnx"), "--scale", "1", "--mean",
                                        "127.5", "--std=127.5", "--invert", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json images = Json::parse(result.out)["images"];
  EXPECT_EQ(images["scale"], 1.0);
  EXPECT_EQ(images["mean"], Json{127.5});
  EXPECT_EQ(images["std"], Json{127.5});
  EXPECT_EQ(images["invert"], true);
}

TEST_F(Inspect, ShowsTheChannelOrder) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"N", 3, 4, 4});
  model.node("GlobalAveragePool", {"x"}, {"p"});
  model.node("Flatten", {"p"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 3});
  model.metadata("Image.BitmapPixelFormat", "Bgr8");
  model.write(dir() / "m.onnx");
  const auto inspect = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"inspect", file("m.onnx")});
    const ProcessResult result = prs_gpu(std::move(more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_NE(inspect({}).find("4 x 4, 3 channels (BGR), nchw"), std::string::npos);
  EXPECT_EQ(inspect({"--channel-order", "rgb"}).find("BGR"), std::string::npos);
  EXPECT_EQ(Json::parse(inspect({"--format", "json"}))["images"]["channel_order"], "bgr");
  EXPECT_EQ(prs_gpu({"inspect", file("m.onnx"), "--channel-order", "grb"}).exit_code, 2);
}

TEST_F(Inspect, ShowsModelsThatTakeNoImages) {
  ModelBuilder model(8, 13);
  model.input("a", DType::kFloat32, {"N", 3});
  model.input("b", DType::kFloat32, {"N", 3});
  model.node("Add", {"a", "b"}, {"c"});
  model.output("c", DType::kFloat32, {"N", 3});
  model.write(dir() / "add.onnx");
  const ProcessResult result = prs_gpu({"inspect", file("add.onnx"), "--batch", "5"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("images: none"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("f32[5,3]"), std::string::npos) << result.out;
}

TEST_F(Inspect, ShowsWhatIsKnownWhenShapesDependOnInputs) {
  ModelBuilder model(8, 13);
  model.input("data", DType::kFloat32, {2, 3});
  model.input("shape", DType::kInt64, {2});
  model.node("Reshape", {"data", "shape"}, {"y"});
  model.output("y", DType::kFloat32, {3, 2});
  model.write(dir() / "reshape.onnx");
  const ProcessResult result = prs_gpu({"inspect", file("reshape.onnx")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("i64[2]"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("layers: not known"), std::string::npos) << result.out;
  const ProcessResult json = prs_gpu({"inspect", file("reshape.onnx"), "--format", "json"});
  EXPECT_TRUE(Json::parse(json.out).contains("layers_unknown"));
}

TEST_F(Inspect, OpenImageSizesAreSetByResize) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"N", 3, "H", "W"});
  model.node("GlobalAveragePool", {"x"}, {"p"});
  model.node("Flatten", {"p"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 3});
  model.write(dir() / "open.onnx");
  const ProcessResult result = prs_gpu({"inspect", file("open.onnx"), "--resize=20x10"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("20 x 10, 3 channels"), std::string::npos) << result.out;
}

TEST_F(Inspect, MalformedSettingsAreAnError) {
  const auto write_model = [&](const std::string& name, const std::string& metadata) {
    ModelBuilder model(8, 13);
    model.input("x", DType::kFloat32, {"N", 1, 2, 2});
    model.node("Flatten", {"x"}, {"y"});
    model.output("y", DType::kFloat32, {"N", 4});
    if (!metadata.empty()) model.metadata("prs", metadata);
    model.write(dir() / name);
  };
  const auto expect_error = [&](const std::string& name, const std::string& message) {
    const ProcessResult result = prs_gpu({"inspect", file(name)});
    EXPECT_EQ(result.exit_code, 1) << name;
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("prs-gpu: error: " + file(message))) << result.err;
  };
  write_model("sidecar.onnx", "");
  write_text(dir() / "sidecar.prs.json", "[1, 2]");
  expect_error("sidecar.onnx", "sidecar.prs.json: not a JSON object");
  write_model("labels.onnx", "");
  write_text(dir() / "labels.labels.txt", "");
  expect_error("labels.onnx", "labels.labels.txt: no labels in it");
  write_model("metadata.onnx", R"({"sacle": 1})");
  expect_error("metadata.onnx", R"(metadata.onnx (metadata "prs"): unknown key "sacle")");
}

TEST_F(Inspect, ABrokenModelIsOneLineOfError) {
  write_text(dir() / "broken.onnx", "not a model");
  const ProcessResult result = prs_gpu({"inspect", file("broken.onnx")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
  EXPECT_TRUE(result.err.starts_with("prs-gpu: error: " + file("broken.onnx"))) << result.err;
}

}  // namespace
}  // namespace prs::test
