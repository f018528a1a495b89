// The YAML layer: bounds, lines, and no surprise from any bytes.
#include "config/yaml.hpp"

#include <gtest/gtest.h>

#include <random>

#include "builder_support.hpp"
#include "config/build.hpp"
#include "config/document.hpp"

namespace prs::config {
namespace {

void expect_bad_yaml(const std::string& text, const std::string& message) {
  test::expect_error(ErrorCode::kInvalidArgument, message, [&] { parse_yaml(text, "f.yml"); });
}

TEST(Yaml, KeepsTheLinesOfKeysAndValues) {
  const NodePtr root = parse_yaml("a: 1\n\nb:\n  - x\n  - 'y z'\nc: {d: ~}\n", "f.yml");
  ASSERT_EQ(root->entries.size(), 3U);
  EXPECT_EQ(root->entries[1].line, 3);
  EXPECT_EQ(root->find("b")->value->items[1]->line, 5);
  EXPECT_EQ(root->find("b")->value->items[1]->text, "y z");
  EXPECT_EQ(root->find("c")->value->find("d")->value->kind, Node::Kind::kNull);
  EXPECT_EQ(root->find("e"), nullptr);
}

TEST(Yaml, C1_ErrorsNameFileLineAndColumn) {
  expect_bad_yaml("a: 1\nb: [1, 2\nc: 3\n", "f.yml:");
  expect_bad_yaml("a: 1\n\tb: 2\n", "f.yml:2:1");
  expect_bad_yaml("a: *nowhere\n", "f.yml:1:4");
}

TEST(Yaml, AQuoteThatIsNeverClosedIsAnError) {
  expect_bad_yaml("a: 1\nb: \"never closed\nc: 2\n",
                  "f.yml:2:4: a quote (\") that is never closed");
  expect_bad_yaml("a: 'it''s\n", "f.yml:1:4: a quote (') that is never closed");
  expect_bad_yaml("a: \"x\\\"\n", "f.yml:1:4: a quote (\") that is never closed");
  EXPECT_EQ(parse_yaml("a: 'it''s'\r\nb: \"\\\"\"\r\n", "f.yml")->find("a")->value->text, "it's");
  EXPECT_EQ(parse_yaml("\xc3\xa4: '\xc3\xa4'\nb: ['\xc3\xa4', \"y\"]\n", "f.yml")->entries.size(),
            2U);
}

TEST(Yaml, C1_ARepeatedKeyIsAnErrorNamingBothLines) {
  expect_bad_yaml("a: 1\nb: 2\na: 3\n", "f.yml:3:1: 'a': given twice, first in line 1");
  expect_bad_yaml("x:\n  a: 1\n  'a': 3\n", "f.yml:3:3: 'a': given twice, first in line 2");
}

TEST(Yaml, KeysAreNames) {
  expect_bad_yaml("? [a, b]\n: 1\n", "a list as a key");
  expect_bad_yaml("{a: 1}: 2\n", "a mapping as a key");
}

TEST(Yaml, AnEmptyFileSaysSo) {
  expect_bad_yaml("", "f.yml: the file is empty");
  expect_bad_yaml("# only a comment\n", "f.yml: the file is empty");
  expect_bad_yaml("---\n...\n", "f.yml: the file is empty");
  expect_bad_yaml("~\n", "f.yml: the file is empty");
}

TEST(Yaml, ASecondDocumentIsRefused) {
  expect_bad_yaml("a: 1\n---\nb: 2\n", "f.yml:3:1: a second YAML document");
}

TEST(Yaml, ControlCharactersAreRefused) {
  expect_bad_yaml(std::string("a: 1\nb: x\0y\n", 12), "f.yml:2:5: control character 0x00");
  expect_bad_yaml("a: 1\x04\nb: 2\n", "f.yml:1:5: control character 0x04");
}

TEST(Yaml, AliasesShareTheirAnchorsValue) {
  const NodePtr root = parse_yaml("a: &x [1, 2]\nb: *x\n", "f.yml");
  EXPECT_EQ(root->find("a")->value, root->find("b")->value);
  expect_bad_yaml("a: &x [1, *x]\n", "an alias inside the value that it stands for");
}

TEST(Yaml, AnAliasBombIsRefused) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) text += before + ", ";
    text += before + "]\n";
  }
  expect_bad_yaml(text, "more than 20000 values, aliases expanded");
}

TEST(Yaml, SizeDepthAndCountAreBounded) {
  expect_bad_yaml("a: " + std::string(std::size_t{1} << 20, 'x') + "\n",
                  "larger than 1048576 bytes");
  expect_bad_yaml(std::string(100, '[') + std::string(100, ']'), "nested deeper than 64");
  expect_bad_yaml(std::string(100000, '['), "f.yml:");
  std::string many = "a: [";
  for (int i = 0; i < 20001; ++i) many += "1,";
  expect_bad_yaml(many + "]\n", "more than 20000 values");
}

TEST(Yaml, AMissingFileIsAnIoError) {
  const test::TempDir folder;
  test::expect_error(ErrorCode::kIo, "none.yml", [&] { read_yaml(folder.path() / "none.yml"); });
  test::expect_error(ErrorCode::kIo, "a folder", [&] { read_yaml(folder.path()); });
}

// Whatever the bytes: a step, or a prs::Error.
TEST_F(StepTest, DamagedFilesNeverDoMoreThanFail) {
  const std::string seeds[] = {
      example_step(),
      "type: pipeline\ninputs: {d: {type: uri_folder, path: images}}\njobs:\n  j:\n    type: "
      "parallel\n    inputs: {x: '${{parent.inputs.d}}'}\n    input_data: ${{inputs.x}}\n    task: "
      "{type: model, model: model.onnx, program_arguments: --resume_f=a -x ${{inputs.x}}}\n"};
  std::mt19937_64 random(20261121);
  const std::string alphabet = "\n :-[]{}&*!|>'\"%@`#,?~${}=ax0\t\x80\xff";
  for (int round = 0; round < 3000; ++round) {
    std::string text = seeds[round % 2];
    for (std::uint64_t edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1 + random() % 8);
      }
    }
    try {
      const auto document = read_document(parse_yaml(text, "step.yml"), folder() / "step.yml", "");
      Build(document, {}).run();
    } catch (const Error& error) {
      EXPECT_FALSE(error.message().empty());
    }
  }
}

}  // namespace
}  // namespace prs::config
