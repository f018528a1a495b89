#include "program.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "prs/image.hpp"
#include "sample_files.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

Image gray_image(int variant, std::int64_t size) {
  Image image{size, size, 1, {}};
  for (std::int64_t i = 0; i < size * size; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>((i * (variant + 1) + variant * 31) % 256));
  }
  return image;
}

void write_bytes(const fs::path& path, const Bytes& bytes) {
  write_text(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

std::vector<std::string> prs_gpu_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), PRS_PROGRAM);
  return arguments;
}

ProcessResult prs_gpu(std::vector<std::string> arguments, const std::string& input) {
  return run_process(prs_gpu_command(std::move(arguments)), input);
}

std::string model_path(const std::string& name) { return std::string(PRS_MODELS) + "/" + name; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  ASSERT_TRUE(file) << path;
}

void write_png(const fs::path& path, int variant, std::int64_t size) {
  write_bytes(path, encode_png(gray_image(variant, size)));
}

void write_idx_images(const fs::path& path, int count) {
  Bytes pixels;
  for (int i = 0; i < count; ++i) {
    const Image image = gray_image(i, 28);
    const auto* bytes = reinterpret_cast<const std::byte*>(image.pixels.data());
    pixels.insert(pixels.end(), bytes, bytes + image.pixels.size());
  }
  const std::vector<std::uint32_t> extents = {static_cast<std::uint32_t>(count), 28, 28};
  write_bytes(path, idx_file(8, extents, pixels));
}

void write_idx_labels(const fs::path& path, const std::vector<std::uint8_t>& labels) {
  const auto* bytes = reinterpret_cast<const std::byte*>(labels.data());
  const std::vector<std::uint32_t> extents = {static_cast<std::uint32_t>(labels.size())};
  write_bytes(path, idx_file(8, extents, Bytes(bytes, bytes + labels.size())));
}

std::string ProgramTest::photos(const std::string& name, int count) const {
  for (int i = 0; i < count; ++i) write_png(dir() / name / fmt::format("{}.png", i), i);
  return file(name);
}

}  // namespace prs::test
