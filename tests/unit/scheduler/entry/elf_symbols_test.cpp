#include "entry/elf_symbols.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support.hpp"

namespace prs::entry {
namespace {

namespace fs = std::filesystem;

const fs::path kPlugin = fs::path(PRS_PLUGINS) / "no_run.so";

TEST(ElfSymbols, ListsWhatALibraryExportsWithoutLoadingIt) {
  const std::vector<std::string> names = exported_functions(kPlugin);
  EXPECT_NE(std::find(names.begin(), names.end(), "prs_entry_plugin"), names.end());
  EXPECT_EQ(std::find(names.begin(), names.end(), "run"), names.end());  // It is static.
}

TEST(ElfSymbols, OtherFilesAreNoLibraries) {
  const test::TempDir dir;
  for (const char* text : {"", "\x7f",
                           "\x7f"
                           "ELG",
                           "#!/bin/sh\n"}) {
    test::write_file(dir.path() / "a.so", text);
    test::expect_error(ErrorCode::kInvalidArgument, "a.so: not a shared library",
                       [&] { exported_functions(dir.path() / "a.so"); });
  }
  test::expect_error(ErrorCode::kIo, (dir.path() / "none.so").string(),
                     [&] { exported_functions(dir.path() / "none.so"); });
}

TEST(ElfSymbols, OtherMachinesAndProgramsAreTold) {
  const test::TempDir dir;
  std::string bytes = test::read_file(kPlugin);
  const auto refused = [&](std::size_t at, char value, const char* text) {
    std::string changed = bytes;
    changed[at] = value;
    test::write_file(dir.path() / "a.so", changed);
    test::expect_error(ErrorCode::kInvalidArgument, text,
                       [&] { exported_functions(dir.path() / "a.so"); });
  };
  refused(4, 1, "for another kind of machine");   // 32 bits
  refused(18, 2, "for another kind of machine");  // SPARC
  refused(16, 1, "an object or program, not a shared library; link it with -shared");
}

TEST(ElfSymbols, DamageIsAnError) {
  const test::TempDir dir;
  const std::string whole = test::read_file(kPlugin);
  std::mt19937 random(1);
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    if (round % 2 == 0) bytes.resize(random() % bytes.size());
    for (int i = 0; i < 20 && !bytes.empty(); ++i) {
      // The ELF header and the section table, at the end, matter most.
      const std::size_t range = std::min<std::size_t>(bytes.size(), 2500);
      const std::size_t at = random() % range;
      bytes[i % 4 == 0 ? std::min<std::size_t>(at, 63) : bytes.size() - 1 - at] =
          static_cast<char>(random());
    }
    test::write_file(dir.path() / "a.so", bytes);
    try {
      exported_functions(dir.path() / "a.so");
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.message();
    }
  }
}

}  // namespace
}  // namespace prs::entry
