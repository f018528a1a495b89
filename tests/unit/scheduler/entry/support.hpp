// What the tests of entries share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <prs/image.hpp>

#include "entry/entry.hpp"
#include "sample_files.hpp"
#include "support/expect_error.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

namespace prs::test {

inline void write_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  ASSERT_TRUE(file) << path;
}

inline void write_file(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// A gray image; `variant` decides its pixels.
inline Image gray_image(int variant, std::int64_t size = 28) {
  Image image{size, size, 1, {}};
  for (std::int64_t i = 0; i < size * size; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>((i * (variant + 1) + variant * 31) % 256));
  }
  return image;
}

inline dataset::MiniBatch files(std::vector<std::string> paths, std::int64_t id = 0) {
  dataset::MiniBatch batch;
  batch.id = id;
  batch.files = std::move(paths);
  return batch;
}

inline dataset::MiniBatch records(const std::filesystem::path& file, std::int64_t first,
                                  std::int64_t count) {
  dataset::MiniBatch batch;
  batch.record_file = file;
  batch.first_record = first;
  batch.record_count = count;
  return batch;
}

class EntryTest : public testing::Test {
 protected:
  std::filesystem::path at(const std::string& name) const { return dir_.path() / name; }
  entry::Context context() const {
    return {.output_folder = dir_.path(),
            .log_folder = dir_.path() / "logs",
            .logs = {},
            .work_folder = {},
            .agent_name = "process003",
            .run_id = "run-7",
            .node_id = 2};
  }
  void use(config::EntrySpec::Kind kind, const std::filesystem::path& path,
           std::vector<std::string> arguments = {}) {
    step_.entry.kind = kind;
    step_.entry.path = path;
    step_.entry.arguments = std::move(arguments);
  }
  std::unique_ptr<entry::Entry> load() const { return entry::load_entry(step_, context()); }
  std::unique_ptr<entry::Entry> started() const {
    auto entry = load();
    entry->init();
    return entry;
  }
  /// What both a check before the job and loading in a worker say.
  void expect_refused(ErrorCode code, const std::string& text) const {
    expect_error(code, text, [&] { entry::check_entry(step_); });
    expect_error(code, text, [&] { started(); });
  }

  TempDir dir_;
  config::Step step_;
};

}  // namespace prs::test
