// Step files in a folder of the test's own, with a model and images that exist.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config/step.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::config {

class StepTest : public testing::Test {
 protected:
  StepTest() {
    for (const char* file : {"model.onnx", "plugin.so", "src/score.so", "side.csv"})
      write(file, "");
    std::filesystem::create_directories(folder() / "images");
  }

  std::filesystem::path folder() const { return std::filesystem::canonical(temp_.path()); }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const auto path = folder() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  /// The step of a file with that text.
  Step read(const std::string& text, const std::string& name = "step.yml") const {
    StepBuilder builder;
    builder.read_file(write(name, text));
    return builder.build();
  }

  /// The same with what every step needs.
  Step read_flat(const std::string& more) const { return read(kNeeded + more); }

  /// The step of flags alone.
  Step set(const std::string& key, const std::string& value) const {
    StepBuilder builder = minimal();
    builder.set(key, value, "--set");
    return builder.build();
  }

  StepBuilder minimal() const {
    StepBuilder builder;
    builder.set("model", (folder() / "model.onnx").string(), "--model");
    builder.set("output", (folder() / "out").string(), "--output");
    builder.add_input((folder() / "images").string(), "IMAGES");
    return builder;
  }

  void expect_refused(const std::string& more, const std::string& text,
                      ErrorCode code = ErrorCode::kInvalidArgument) const {
    test::expect_error(code, text, [&] { read_flat(more); });
  }

  void expect_set_refused(const std::string& key, const std::string& value, const std::string& text,
                          ErrorCode code = ErrorCode::kInvalidArgument) const {
    test::expect_error(code, text, [&] { set(key, value); });
  }

  static bool has_note(const Step& step, const std::string& text) {
    for (const std::string& note : step.notes) {
      if (note.find(text) != std::string::npos) return true;
    }
    return false;
  }

  static SettingOrigin origin(const Step& step, const std::string& key) {
    for (const SettingOrigin& origin : step.origins) {
      if (origin.key == key) return origin;
    }
    return {};
  }

  // Three lines: what a test adds begins in line 4.
  static constexpr const char* kNeeded = "model: model.onnx\ninputs: [images]\noutput: out\n";

 private:
  test::TempDir temp_;
};

}  // namespace prs::config
