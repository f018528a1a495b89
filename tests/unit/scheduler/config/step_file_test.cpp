// Flat step files: entry, inputs, outputs, variables, paths.
#include <gtest/gtest.h>

#include "builder_support.hpp"

namespace prs::config {
namespace {

using Paths = std::vector<std::string>;

TEST_F(StepTest, PathsOfAFileAreRelativeToItsFolder) {
  const Step step = read(
      "model: ../model.onnx\ninputs: [../images, '@../list.txt', '*.png', /abs]\noutput: ../out/\n"
      "side_inputs: {labels: ../side.csv, more: {path: ../images}}\nclass_names: names.txt\n",
      "sub/step.yml");
  EXPECT_EQ(step.entry.kind, EntrySpec::Kind::kModel);
  EXPECT_EQ(step.entry.path, folder() / "model.onnx");
  EXPECT_EQ(step.inputs, (Paths{folder() / "images", "@" + (folder() / "list.txt").string(),
                                folder() / "sub/*.png", "/abs"}));
  EXPECT_EQ(step.output, folder() / "out");
  EXPECT_EQ(step.side_inputs.at("labels"), folder() / "side.csv");
  EXPECT_EQ(step.side_inputs.at("more"), folder() / "images");
  EXPECT_EQ(step.model_options.at("class_names"), folder() / "sub/names.txt");
}

TEST_F(StepTest, PathsOfTheCommandLineAreRelativeToTheWorkingFolder) {
  StepBuilder builder;
  builder.read_file(write("sub/step.yml", "model: ../model.onnx\n"));
  builder.set("output", "out", "--output");
  builder.add_input("images", "IMAGES");
  builder.add_input("-", "IMAGES");
  const Step step = builder.build();
  EXPECT_EQ(step.output, std::filesystem::current_path() / "out");
  EXPECT_EQ(step.inputs, (Paths{std::filesystem::current_path() / "images", "-"}));
}

TEST_F(StepTest, InputsMayBeOneOrAList) {
  EXPECT_EQ(read("model: model.onnx\noutput: o\ninput: images\n").inputs.size(), 1U);
  EXPECT_EQ(read("model: model.onnx\noutput: o\ninputs: images\n").inputs.size(), 1U);
  EXPECT_EQ(read("model: model.onnx\noutput: o\ninputs: [a, {path: b, type: uri_file}]\n").inputs,
            (Paths{folder() / "a", folder() / "b"}));
}

TEST_F(StepTest, D1_InputsAreANonEmptyList) {
  const std::string rest = "model: model.onnx\noutput: o\n";
  const auto expect = [&](const std::string& more, const std::string& text) {
    test::expect_error(ErrorCode::kInvalidArgument, text, [&] { read(rest + more); });
  };
  expect("", "inputs: missing");
  expect("inputs: []\n", ":3: inputs: the list is empty");
  expect("inputs: ['']\n", "'' is no path");
  expect("inputs: [[a]]\n", ":3: inputs: expected a path, found a list");
  expect("inputs:\n", "expected a list or a single value, found nothing");
  expect("inputs: [a]\ninput: b\n", "give one of them");
}

TEST_F(StepTest, D1_TheTypeOfAnInputTellsItsKind) {
  const std::string head = "model: model.onnx\noutput: o\n";
  EXPECT_EQ(read(head + "inputs: [{path: images, type: mltable}]\n").input_kind,
            InputKind::kTabular);
  EXPECT_EQ(read(head + "inputs: images\n").input_kind, InputKind::kAuto);
  EXPECT_EQ(read(head + "inputs: [{path: images, type: mltable}]\ninput_kind: files\n").input_kind,
            InputKind::kFiles);
}

TEST_F(StepTest, C2_InputsOfTheCommandLineReplaceTheFilesTogether) {
  StepBuilder builder;
  builder.read_file(write("step.yml", kNeeded));
  builder.add_input("/a", "IMAGES");
  builder.add_input("/b", "IMAGES");
  EXPECT_EQ(builder.build().inputs, (Paths{"/a", "/b"}));
  builder.set("inputs", "/c", "--set");
  EXPECT_EQ(builder.build().inputs, Paths{"/c"});
  builder.add_input("/d", "IMAGES");
  EXPECT_EQ(builder.build().inputs, (Paths{"/c", "/d"}));
}

TEST_F(StepTest, DataMustBeLocal) {
  for (const std::string url :
       {"azureml:data:1", "azureml://datastores/x/paths/y", "https://host/x", "wasbs://c@a/x"}) {
    test::expect_error(ErrorCode::kInvalidArgument, "must be local files",
                       [&] { read("model: model.onnx\noutput: o\ninputs: ['" + url + "']\n"); });
    test::expect_error(ErrorCode::kInvalidArgument,
                       ":1: model: '" + url + "' is not on this machine",
                       [&] { read("model: '" + url + "'\noutput: o\ninputs: [a]\n"); });
    test::expect_error(ErrorCode::kInvalidArgument, "output",
                       [&] { read("model: model.onnx\noutput: '" + url + "'\ninputs: [a]\n"); });
  }
  EXPECT_EQ(read("model: model.onnx\noutput: o\ninputs: ['file:///x/y']\n").inputs, Paths{"/x/y"});
}

TEST_F(StepTest, E1_TheEntryIsOneOfModelAndPlugin) {
  const std::string rest = "inputs: [images]\noutput: out\n";
  const Step plugin = read(rest + "plugin: plugin.so\n");
  EXPECT_EQ(plugin.entry.kind, EntrySpec::Kind::kPlugin);
  EXPECT_EQ(plugin.entry.path, folder() / "plugin.so");
  const auto expect = [&](const std::string& more, const std::string& text,
                          ErrorCode code = ErrorCode::kInvalidArgument) {
    test::expect_error(code, text, [&] { read(rest + more); });
  };
  expect("", "model: missing");
  expect("plugin: plugin.so\nmodel: model.onnx\n", "give one of them");
  expect("model: nowhere.onnx\n", "nowhere.onnx' is no file");
  expect("model: images\n", "images' is no file");
  expect("entry_script: score.rb\n", "allowed: a Python script (.py), a native plugin (.so)");
  expect("entry_script: nowhere.py\nsource_directory: src\n", "nowhere.py' is no file");
  expect("model: model.onnx\npython: model.onnx\n", "python: means something for a Python script");
}

TEST_F(StepTest, C_EntryScriptIsAFileInsideTheSourceFolder) {
  const std::string rest = "inputs: [images]\noutput: out\nsource_directory: src\n";
  const Step step = read(rest + "entry_script: score.so\n");
  EXPECT_EQ(step.entry.path, folder() / "src/score.so");
  EXPECT_EQ(step.entry.source_directory, folder() / "src");
  write("src/a/b/deep.so", "");
  EXPECT_EQ(read(rest + "entry_script: a/b/deep.so\n").entry.path, folder() / "src/a/b/deep.so");
  test::expect_error(ErrorCode::kInvalidArgument, "outside of the source folder",
                     [&] { read(rest + "entry_script: ../plugin.so\n"); });
  write("src/..so", "");
  EXPECT_EQ(read(rest + "entry_script: ..so\n").entry.path, folder() / "src/..so");
}

TEST_F(StepTest, C_AScriptsFolderIsItsSourceFolderUnlessOneIsGiven) {
  write("src/a/score.py", "");
  write("venv/bin/python", "");
  const std::string rest = "inputs: [images]\noutput: out\n";
  const Step alone = read(rest + "entry_script: src/a/score.py\n");
  EXPECT_EQ(alone.entry.kind, EntrySpec::Kind::kScript);
  EXPECT_EQ(alone.entry.source_directory, folder() / "src/a");
  EXPECT_TRUE(alone.entry.python.empty());
  const Step given = read(rest +
                          "source_directory: src\nentry_script: a/score.py\nmodel: src\n"
                          "python: venv/bin/python\n");
  EXPECT_EQ(given.entry.source_directory, folder() / "src");
  EXPECT_EQ(given.entry.python, folder() / "venv/bin/python");
  EXPECT_EQ(given.entry.model, folder() / "src");
}

TEST_F(StepTest, C2_AModelOfTheCommandLineReplacesTheFilesScript) {
  StepBuilder builder;
  builder.read_file(write(
      "step.yml", "entry_script: score.py\nsource_directory: gone\ninputs: images\noutput: o\n"));
  builder.set("model", (folder() / "model.onnx").string(), "--model");
  const Step step = builder.build();
  EXPECT_EQ(step.entry.kind, EntrySpec::Kind::kModel);
  EXPECT_TRUE(step.entry.source_directory.empty());
}

TEST_F(StepTest, C_AppendRowToIsAFileInTheOutputFolder) {
  const std::string rest = "model: model.onnx\ninputs: [images]\n";
  const Step step = read(rest + "append_row_to: res/rows.csv\n");
  EXPECT_EQ(step.output, folder() / "res");
  EXPECT_EQ(step.append_row_file_name, "rows.csv");
  EXPECT_EQ(origin(step, "append_row_file_name").origin, (folder() / "step.yml").string() + ":3");
  EXPECT_EQ(read(rest + "append_row_to: res/rows.csv\noutput: res\n").output, folder() / "res");
  const auto expect = [&](const std::string& more, const std::string& text) {
    test::expect_error(ErrorCode::kInvalidArgument, text, [&] { read(rest + more); });
  };
  expect("append_row_to: res/rows.csv\noutput: other\n", "differently");
  expect("append_row_to: res/r.csv\nappend_row_file_name: q.csv\n", "differently");
  expect("append_row_to: res/r.csv\noutput_action: summary_only\n", "differently");
  expect("append_row_to: 'res/a*b'\n", "append_row_to: 'a*b' is not allowed");
  StepBuilder builder;
  builder.read_file(write("step.yml", rest + "append_row_to: res/rows.csv\n"));
  builder.set("output", "/elsewhere", "--output");
  EXPECT_EQ(builder.build().output, "/elsewhere");
  EXPECT_EQ(builder.build().append_row_file_name, "rows.csv");
}

TEST_F(StepTest, TheOutputMustNotBeAFile) {
  test::expect_error(ErrorCode::kInvalidArgument, "is a file; expected a folder",
                     [&] { read("model: model.onnx\ninputs: [images]\noutput: side.csv\n"); });
}

TEST_F(StepTest, S1_U9_ASideInputMustExist) {
  expect_refused("side_inputs: {a: nowhere}\n", ":4: side_inputs.a: ");
  expect_refused("side_inputs: {a: 'azureml:x:1'}\n", "must be local files");
  expect_refused("side_inputs: [a]\n", ":4: side_inputs: expected a mapping, found a list");
  const Step step = set("side_inputs.labels", (folder() / "side.csv").string());
  EXPECT_EQ(step.side_inputs.at("labels"), folder() / "side.csv");
  expect_set_refused("side_inputs", "x", "set its entries, as in side_inputs.NAME=VALUE");
}

TEST_F(StepTest, S1_ArgumentsGetASideInputsPath) {
  const Step step =
      read_flat("side_inputs: {l: side.csv}\narguments: [--l, '${{side_inputs.l}}']\n");
  EXPECT_EQ(step.entry.arguments[1], (folder() / "side.csv").string());
}

TEST_F(StepTest, C_EnvironmentVariables) {
  StepBuilder builder;
  builder.read_file(write(
      "step.yml", std::string(kNeeded) + "environment_variables:\n  A: 1\n  B: ''\n  C.D: x\n"));
  builder.set("environment_variables.A", "2", "--set");
  const Step step = builder.build();
  const std::map<std::string, std::string> expected = {{"A", "2"}, {"B", ""}, {"C.D", "x"}};
  EXPECT_EQ(step.environment_variables, expected);
  expect_refused("environment_variables: {'A=B': 1}\n", "allowed: a name without '='");
  expect_refused("environment_variables: {A: [1]}\n", ":4: environment_variables.A: expected");
  expect_refused("environment_variables: x\n", "expected a mapping");
  expect_refused("environment_variables.A: x\n", "write it as a mapping");
}

TEST_F(StepTest, CloudOnlyKeysAreNoted) {
  const Step step = read_flat(
      "environment: {image: x}\ndisplay_name: d\ndescription: d\nexperiment_name: e\n"
      "tags: {a: b}\ncompute_target: cluster\nresources: {instance_type: big}\n");
  for (const char* key : {"environment", "display_name", "description", "experiment_name", "tags",
                          "compute_target", "resources.instance_type"}) {
    EXPECT_TRUE(has_note(step, std::string(key) + " means nothing here")) << key;
  }
  EXPECT_TRUE(has_note(step, (folder() / "step.yml").string() + ":4: environment"));
  EXPECT_FALSE(has_note(read_flat("compute_target: local\n"), "compute_target"));
  EXPECT_TRUE(has_note(set("compute", "cluster"), "--set: compute means nothing here"));
  EXPECT_TRUE(has_note(set("display_name", "x"), "--set: display_name means nothing here"));
}

TEST_F(StepTest, ModelOptionsForAPluginAreNoted) {
  const Step step =
      read("plugin: plugin.so\ninputs: images\noutput: o\nmodel_options: {scale: 1}\n");
  EXPECT_TRUE(has_note(step, "model_options.scale means nothing for a plugin"));
}

TEST_F(StepTest, AFileIsAMapping) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "step.yml:1: expected a mapping of settings, found a list",
                     [&] { read("- a\n- b\n"); });
  test::expect_error(ErrorCode::kInvalidArgument, "found a single value", [&] { read("hello\n"); });
}

TEST_F(StepTest, ARunTakesOneStepFile) {
  StepBuilder builder;
  builder.read_file(write("a.yml", kNeeded));
  test::expect_error(ErrorCode::kInvalidArgument, "a second step file",
                     [&] { builder.read_file(write("b.yml", kNeeded)); });
}

TEST_F(StepTest, KeysOfAFileOnlyAreNotForTheCommandLine) {
  expect_set_refused("task", "x", "set its keys, as in task.NAME=VALUE");
  expect_set_refused("type", "parallel", "belongs into a step file");
  expect_set_refused("outputs", "x", "use output");
  expect_set_refused("job", "x", "there is no step file");
  expect_set_refused("inputs.x", "y", "the step file declares no such input; declared: none");
}

}  // namespace
}  // namespace prs::config
