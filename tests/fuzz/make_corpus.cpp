// make_corpus FOLDER: writes tiny valid files of every format, FOLDER/<fuzzer>/<file>.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "sample_files.hpp"
#include "support/sample_models.hpp"

namespace {

using Files = std::vector<std::pair<std::string, prs::test::Bytes>>;

bool write_files(const std::filesystem::path& folder, const Files& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) {
    std::ofstream file(folder / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) return false;
  }
  return true;
}

Files model_files() {
  Files files;
  const auto add = [&](const std::string& prefix, const auto& models) {
    for (const auto& [name, bytes] : models) {
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
      files.emplace_back(prefix + name + ".onnx", prs::test::Bytes(data, data + bytes.size()));
    }
  };
  add("", prs::test::sample_models());
  add("refused_", prs::test::refused_models());
  return files;
}

/// The first two bytes are sizes: of pieces, and of what the scanner is fed.
Files tables() {
  const auto bytes = [](const std::string& text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return prs::test::Bytes(data, data + text.size());
  };
  return {{"quotes", bytes("\x08\x05"
                           "a,b\n\"x,\n\"\"y\"\"\",2\n\"\",\"z\"q\n")},
          {"blanks", bytes("\x01\x40"
                           "a\r\n\r\n  \t\r1\n,,\n\"a\"\"\"\n")}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_corpus FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const bool written = write_files(folder / "image_fuzz", prs::test::sample_images()) &&
                       write_files(folder / "record_file_fuzz", prs::test::sample_record_files()) &&
                       write_files(folder / "table_fuzz", tables()) &&
                       write_files(folder / "onnx_fuzz", model_files());
  if (!written) std::cerr << folder << ": cannot write the corpus\n";
  return written ? 0 : 1;
}
