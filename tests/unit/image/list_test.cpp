// Command-line arguments to items.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "prs/error.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"
#include "temp.hpp"

namespace prs {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class ExpandImageArguments : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"b.png", "a.JPG", "note.txt", "sub/c.bmp", "sub/deep/d.tiff",
                             "sub/deep/e.png", "[x].png", ".hidden/f.png"}) {
      folder_.write(name, "");
    }
    constexpr std::uint32_t kLabels[] = {2};
    folder_.write("labels-idx1-ubyte", test::idx_file(0x08, kLabels, test::Bytes(2)));
  }

  std::string at(const std::string& name) const { return (folder_.path() / name).native(); }

  /// The names of the items, without the temporary folder.
  Names expand(const Names& arguments) const { return relative(expand_image_arguments(arguments)); }
  Names relative(const ImageList& list) const {
    Names names;
    const std::string prefix = folder_.path().native() + "/";
    for (std::int64_t i = 0; i < list.size(); ++i) {
      const std::string name = list.item(i).name();
      names.push_back(name.starts_with(prefix) ? name.substr(prefix.size()) : name);
    }
    return names;
  }

  static std::string error_of(const Names& arguments) {
    try {
      expand_image_arguments(arguments);
    } catch (const Error& error) {
      return error.message();
    }
    return "no error";
  }

  test::TempFolder folder_;
};

TEST_F(ExpandImageArguments, KeepsTheOrderOfArguments) {
  EXPECT_EQ(expand({at("sub/c.bmp"), at("b.png"), at("sub/c.bmp")}),
            (Names{"sub/c.bmp", "b.png", "sub/c.bmp"}));
  EXPECT_EQ(expand({}), Names{});
}

TEST_F(ExpandImageArguments, TakesAFileOfAnyExtension) {
  EXPECT_EQ(expand({at("note.txt")}), Names{"note.txt"});
}

TEST_F(ExpandImageArguments, SearchesFoldersForImagesSorted) {
  EXPECT_EQ(expand({folder_.path()}), (Names{".hidden/f.png", "[x].png", "a.JPG", "b.png",
                                             "sub/c.bmp", "sub/deep/d.tiff", "sub/deep/e.png"}));
}

TEST_F(ExpandImageArguments, FollowsLinkedFoldersButNotInCircles) {
  fs::create_directory_symlink(folder_.path() / "sub", folder_.path() / "sub/deep/up");
  fs::create_directory_symlink(folder_.path() / "sub/deep", folder_.path() / "sub/link");
  EXPECT_EQ(expand({at("sub")}), (Names{"sub/c.bmp", "sub/deep/d.tiff", "sub/deep/e.png",
                                        "sub/link/d.tiff", "sub/link/e.png"}));
}

TEST_F(ExpandImageArguments, ExpandsGlobs) {
  EXPECT_EQ(expand({at("*.png")}), (Names{"[x].png", "b.png"}));
  EXPECT_EQ(expand({at("?.png")}), Names{"b.png"});
  EXPECT_EQ(expand({at("s*/[cd].bmp")}), Names{"sub/c.bmp"});
  EXPECT_EQ(expand({at("*.[jJ]*")}), Names{"a.JPG"});
  EXPECT_EQ(expand({at("su*")}), (Names{"sub/c.bmp", "sub/deep/d.tiff", "sub/deep/e.png"}));
}

TEST_F(ExpandImageArguments, CrossesFoldersWithTwoStars) {
  EXPECT_EQ(expand({at("**/*.png")}), (Names{"[x].png", "b.png", "sub/deep/e.png"}));
  EXPECT_EQ(expand({at("sub/**")}), (Names{"sub/c.bmp", "sub/deep/d.tiff", "sub/deep/e.png"}));
  EXPECT_EQ(expand({at("**/deep/*")}), (Names{"sub/deep/d.tiff", "sub/deep/e.png"}));
  EXPECT_EQ(expand({at("**/**/e.png")}), Names{"sub/deep/e.png"});
}

TEST_F(ExpandImageArguments, TakesGlobsRelativeToTheCurrentFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  EXPECT_EQ(expand({"*.JPG", "./b.*", "sub/*.bmp"}), (Names{"a.JPG", "./b.png", "sub/c.bmp"}));
  fs::current_path(before);
}

TEST_F(ExpandImageArguments, TakesAnExistingNameLiterally) {
  EXPECT_EQ(expand({at("[x].png")}), Names{"[x].png"});
}

TEST_F(ExpandImageArguments, GivesEveryRecordOfARecordFileAndOpensItOnce) {
  const std::string path = at("labels-idx1-ubyte");
  const ImageList list = expand_image_arguments(Names{path, at("b.png"), path});
  EXPECT_EQ(relative(list), (Names{"labels-idx1-ubyte#0", "labels-idx1-ubyte#1", "b.png",
                                   "labels-idx1-ubyte#0", "labels-idx1-ubyte#1"}));
  ASSERT_EQ(list.record_files().size(), 1u);
  EXPECT_EQ(list.record_files()[0].file->count(), 2);
  EXPECT_EQ(list.entry_of(1).path, path);
  EXPECT_EQ(list.entry_of(2).record_file, -1);
  EXPECT_EQ(list.entry_of(4).first, 3);
}

TEST_F(ExpandImageArguments, SkipsRecordFilesWithoutRecords) {
  constexpr std::uint32_t kNone[] = {0, 28, 28};
  const std::string path = folder_.write("none.idx", test::idx_file(0x08, kNone, {}));
  EXPECT_EQ(expand({path, at("b.png"), path, path, at("a.JPG"), path}), (Names{"b.png", "a.JPG"}));
  EXPECT_EQ(expand_image_arguments(Names{path}).size(), 0);
}

TEST_F(ExpandImageArguments, ManyRecordsTakeNoMoreMemoryThanFew) {
  constexpr std::uint32_t kMillions[] = {1u << 24};
  const std::string path =
      folder_.write("m.idx", test::idx_file(0x08, kMillions, test::Bytes(kMillions[0])));
  const ImageList list = expand_image_arguments(Names{path, path, path});
  EXPECT_EQ(list.size(), std::int64_t{3} << 24);
  EXPECT_EQ(list.entries().size(), 3u);
  EXPECT_EQ(list.item((std::int64_t{2} << 24) + 7).name(), path + "#7");
}

TEST_F(ExpandImageArguments, ARecordFileThatCannotBeOpenedIsOneItem) {
  const std::string damaged = folder_.write("damaged.idx", "junk");
  const std::string empty = folder_.write("empty.npy", "");
  const ImageList list = expand_image_arguments(Names{damaged, at("b.png"), empty, damaged});
  EXPECT_EQ(relative(list), (Names{"damaged.idx", "b.png", "empty.npy", "damaged.idx"}));
  ASSERT_EQ(list.record_files().size(), 2u);
  EXPECT_FALSE(list.record_files()[0].file);
  EXPECT_EQ(list.record_files()[0].error.rfind(damaged + ": neither IDX", 0), 0u);
  EXPECT_EQ(list.record_files()[1].error, empty + ": empty file");
}

TEST_F(ExpandImageArguments, ReadsListsFromAFile) {
  const std::string list = folder_.write(
      "list", at("b.png") + "\r\n\n  \n" + at("sub/*.bmp") + "\n" + at("labels-idx1-ubyte"));
  EXPECT_EQ(expand({"@" + list, at("a.JPG")}),
            (Names{"b.png", "sub/c.bmp", "labels-idx1-ubyte#0", "labels-idx1-ubyte#1", "a.JPG"}));
}

TEST_F(ExpandImageArguments, ReadsAListFromStandardInput) {
  std::istringstream input(at("b.png") + "\n");
  std::streambuf* const before = std::cin.rdbuf(input.rdbuf());
  const Names names = expand({"-"});
  std::cin.rdbuf(before);
  EXPECT_EQ(names, Names{"b.png"});
}

TEST_F(ExpandImageArguments, NamesWhatMatchesNothing) {
  EXPECT_EQ(error_of({at("none.png")}).rfind(at("none.png") + ": no such file or folder", 0), 0u);
  EXPECT_EQ(error_of({at("*.gif")}), at("*.gif") + ": no file matches this pattern");
  EXPECT_EQ(error_of({at("none/**")}), at("none/**") + ": no file matches this pattern");
  fs::create_directory(folder_.path() / "empty");
  EXPECT_EQ(error_of({at("empty")}).rfind(at("empty") + ": no image files", 0), 0u);
  EXPECT_NE(error_of({""}).find("an empty name"), std::string::npos);
  const std::string list = folder_.write("list", "\n");
  EXPECT_EQ(error_of({"@" + list}), "@" + list + ": the list names no images");
  EXPECT_NE(error_of({"@" + at("none")}).find("cannot open the list"), std::string::npos);
  EXPECT_NE(error_of({"@" + at("sub")}).find("a folder, not a list"), std::string::npos);
  const std::string bad = folder_.write("bad", at("none.png"));
  // Another file of the list may be there: the missing one fails alone, when it is read.
  EXPECT_EQ(expand_image_arguments(std::vector<std::string>{"@" + bad}).size(), 1);
}

}  // namespace
}  // namespace prs
