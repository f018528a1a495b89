// What the tests of prs-gpu share: the program, shipped models, and files to score.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "process.hpp"
#include "support/temp_dir.hpp"

namespace prs::test {

/// Runs prs-gpu with these arguments.
ProcessResult prs_gpu(std::vector<std::string> arguments, const std::string& input = {});
/// The command line of prs-gpu, for Process.
std::vector<std::string> prs_gpu_command(std::vector<std::string> arguments);

std::string model_path(const std::string& name);

std::vector<std::string> lines_of(const std::string& text);
std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

/// A gray 28 x 28 PNG; `variant` decides its pixels.
void write_png(const std::filesystem::path& path, int variant, std::int64_t size = 28);
/// An IDX file of `count` gray 28 x 28 images, variants 0, 1, 2, ...
void write_idx_images(const std::filesystem::path& path, int count);
void write_idx_labels(const std::filesystem::path& path, const std::vector<std::uint8_t>& labels);

/// Tests with a folder of their own.
class ProgramTest : public ::testing::Test {
 protected:
  std::filesystem::path dir() const { return folder_.path(); }
  std::string file(const std::string& name) const { return (dir() / name).string(); }
  /// Some PNG files 0.png, 1.png, ... in folder `name`; returns its path.
  std::string photos(const std::string& name, int count) const;

 private:
  TempDir folder_;
};

}  // namespace prs::test
