#include "dataset/table.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>

#include "dataset/column_builder.hpp"
#include "dataset/duckdb.hpp"
#include "dataset/identity.hpp"
#include "dataset/number_text.hpp"
#include "dataset/parquet.hpp"
#include "dataset/record_scanner.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

using config::MiniBatchSize;
using Type = Column::Type;
using Unit = MiniBatchSize::Unit;

constexpr MiniBatchSize bytes(std::int64_t size) { return {Unit::kBytes, size}; }
constexpr MiniBatchSize rows(std::int64_t count) { return {Unit::kRows, count}; }

std::string cell(const Column& column, std::int64_t row) {
  const auto i = static_cast<std::size_t>(row);
  if (!column.is_valid(row)) return "<NA>";
  switch (column.type) {
    case Type::kInt64:
    case Type::kTimestamp:
      return std::to_string(column.integers[i]);
    case Type::kFloat64:
      return std::isnan(column.floats[i]) ? "<NA>" : fmt::format("{}", column.floats[i]);
    case Type::kBool:
      return column.bools[i] != 0 ? "True" : "False";
    case Type::kString:
      break;
  }
  return std::string(column.text(row));
}

/// "name:type=a|b|c", a line a column.
std::string show(const Table& table) {
  std::string text;
  for (const Column& column : table.columns) {
    text += column.name + ":" + type_name(column.type) + "=";
    for (std::int64_t row = 0; row < table.rows; ++row) {
      text += (row > 0 ? "|" : "") + cell(column, row);
    }
    text += "\n";
  }
  return text;
}

class Tables : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) const {
    return test::write_file(dir_.path() / name, text).string();
  }
  std::string at(const std::string& name) const { return (dir_.path() / name).string(); }
  std::string gzip(const std::string& name, const std::string& text) const {
    const std::string path = at(name);
    gzFile file = ::gzopen(path.c_str(), "wb");
    ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    EXPECT_EQ(::gzclose(file), Z_OK);
    return path;
  }
  std::vector<MiniBatch> cut(InputSpec spec, MiniBatchSize size) const {
    Partitioner partitioner(std::move(spec), size);
    std::vector<MiniBatch> batches = test::all(partitioner);
    for (MiniBatch& batch : batches) batch = parse(serialize(batch));
    return batches;
  }
  /// The only mini-batch of a file with that text.
  std::string read(const std::string& text, const std::string& name = "t.csv") const {
    const std::vector<MiniBatch> batches = cut({write(name, text)}, bytes(1 << 20));
    EXPECT_EQ(batches.size(), 1U);
    return batches.size() == 1 ? show(read_table(batches[0])) : "";
  }
  void expect_error(const std::string& message, const std::string& text,
                    const std::string& name = "t.csv") const {
    test::expect_error(ErrorCode::kInvalidArgument, message, [&] { read(text, name); });
  }

  test::TempDir dir_;
};

TEST_F(Tables, E4_TypesAreThoseOfPandas) {
  // Checked against pandas.read_csv's documented rules; each line is one column of three rows.
  EXPECT_EQ(read("a,b,c,d\n1,1.5,True,x\n-7,,False,\n007,1e3,TRUE,\"a,\"\"b\"\"\nc\"\n"),
            "a:int64=1|-7|7\nb:float64=1.5|<NA>|1000\nc:bool=True|False|True\n"
            "d:string=x|<NA>|a,\"b\"\nc\n");
  EXPECT_EQ(read("gap,words,late\n1,NA,1\n,n/a,2\n3,null,x\n"),
            "gap:float64=1|<NA>|3\nwords:float64=<NA>|<NA>|<NA>\nlate:string=1|2|x\n");
  EXPECT_EQ(read("mixed,big,inf\nTrue,9223372036854775807,inf\n,9223372036854775808,-Infinity\n"),
            "mixed:bool=True|<NA>\nbig:string=9223372036854775807|9223372036854775808\n"
            "inf:float64=inf|-inf\n");
  EXPECT_EQ(read("min,huge,plus\n-9223372036854775808,1e400,+1.25\n1,1e-400,+2\n"),
            "min:int64=-9223372036854775808|1\nhuge:float64=inf|0\nplus:float64=1.25|2\n");
  EXPECT_EQ(read("a,a,,b\n1,2,3,4\n"), "a:int64=1\na.1:int64=2\nUnnamed: 2:int64=3\nb:int64=4\n");
}

TEST_F(Tables, DecimalsAreTheNearestDouble) {
  std::mt19937_64 random(5);
  std::string text = "x\n";
  std::vector<double> values;
  for (int i = 0; i < 2000; ++i) {
    values.push_back((static_cast<double>(random() % 2000000) - 1e6) / 1e3 *
                     std::pow(10, static_cast<int>(random() % 30) - 15));
    text += fmt::format("{}\n", values.back());
  }
  const Table table = read_table(cut({write("x.csv", text)}, bytes(1 << 20)).at(0));
  EXPECT_EQ(table.columns[0].floats, values);
}

TEST(NumberText, AgreesWithTheStandardLibraryForTextsOfAnyLength) {
  // Texts around the eight characters that are read at a time, right and wrong ones.
  std::mt19937 random(7);
  const auto is_whole_text = [](const std::string& text, const char* end) {
    while (*end == ' ') ++end;
    return end == text.c_str() + text.size() && text.find_first_not_of(' ') != std::string::npos;
  };
  int numbers = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    const auto size = random() % 19;
    const bool mostly_digits = i % 2 == 0;
    while (text.size() < size) {
      text += mostly_digits && random() % 16 != 0 ? static_cast<char>('0' + random() % 10)
                                                  : ".-+ 0/:;"[random() % 8];
    }
    double number = 0;
    std::int64_t integer = 0;
    char* end = nullptr;
    const double expected = std::strtod(text.c_str(), &end);
    const bool is_number = is_whole_text(text, end);
    numbers += is_number ? 1 : 0;
    ASSERT_EQ(parse_number(text, number), is_number) << "'" << text << "'";
    ASSERT_TRUE(!is_number || number == expected) << text << " is not " << number;
    const std::int64_t whole = std::strtoll(text.c_str(), &end, 10);
    const bool is_integer = is_whole_text(text, end);
    ASSERT_EQ(parse_integer(text, integer) == Integer::kValue, is_integer) << "'" << text << "'";
    ASSERT_TRUE(!is_integer || integer == whole) << text << " is not " << integer;
  }
  EXPECT_GT(numbers, 5000);
}

TEST_F(Tables, LinesBlanksAndQuotes) {
  EXPECT_EQ(read("a,b\r\n\r\n1,2\r\n   \r\n3\r\n"), "a:int64=1|3\nb:float64=2|<NA>\n");
  EXPECT_EQ(read("a,b\n5\" pipe,\"x\"y\n 1,\"\"\n"), "a:string=5\" pipe| 1\nb:string=xy|<NA>\n");
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a\n\xC3\xA4\n"),
            "a:string=\xC3\xA4\n");
  expect_error("t.csv#1: 3 fields, but there are 2 columns", "a,b\n1,2\n1,2,3\n");
  expect_error("t.csv#0: a quoted field that is never closed", "a\n\"x\n");
  expect_error("text that is not UTF-8", "a\n\xE4\n");
}

TEST_F(Tables, Utf16AndGzipAreFoundByTheirFirstBytes) {
  const std::string utf16(
      "\xFF\xFE"
      "a\0\n\0\xE4\0\n\0",
      10);
  EXPECT_EQ(read(utf16), "a:string=\xC3\xA4\n");
  const std::string packed = gzip("p.csv.gz", "a\n1\n2\n3\n");
  const std::vector<MiniBatch> batches = cut({packed}, rows(2));
  ASSERT_EQ(batches.size(), 2U);
  TableReader reader;
  EXPECT_EQ(show(reader.read(batches[1])), "a:int64=3\n");
  EXPECT_EQ(show(reader.read(batches[0])), "a:int64=1|2\n");  // Back again.
  const std::string whole = test::read_file(packed);
  write("p.csv.gz", std::string_view(whole).substr(0, whole.size() - 12));
  test::expect_error(ErrorCode::kInvalidArgument, "gzip data ends too early",
                     [&] { cut({packed}, rows(2)); });
}

TEST_F(Tables, JsonLinesHaveTypesOfTheirOwn) {
  EXPECT_EQ(
      read("{\"a\":1,\"b\":\"x\",\"c\":true}\n\n{\"b\":null,\"a\":2,\"d\":[1, {}]}\n", "t.jsonl"),
      "a:int64=1|2\nb:string=x|<NA>\nc:bool=True|<NA>\nd:string=<NA>|[1,{}]\n");
  EXPECT_EQ(read("{\"a\":1}\n{\"a\":0.5}\n{}", "t.ndjson"), "a:float64=1|0.5|<NA>\n");
  expect_error("t.jsonl#1: no JSON", "{\"a\":1}\n{\"a\":\n", "t.jsonl");
  expect_error("t.jsonl#0: no JSON object", "[1]\n", "t.jsonl");
}

TEST(TableSize, D3_D4_AStepTellsWhatItsSizeMeans) {
  config::Step step;
  step.inputs = {"rows.csv"};
  step.origins = {{"mini_batch_size", "10", "items", "default"}};
  step.mini_batch_size.given = false;
  settle_mini_batch_size(step);
  EXPECT_EQ(step.mini_batch_size.unit, config::MiniBatchSize::Unit::kBytes);
  EXPECT_EQ(step.mini_batch_size.value, 1 << 20);
  EXPECT_EQ(step.origins[0].value, "1mb");
  EXPECT_EQ(step.origins[0].unit, "bytes");

  step.mini_batch_size = {config::MiniBatchSize::Unit::kItems, 1500};
  settle_mini_batch_size(step);
  EXPECT_EQ(step.mini_batch_size.value, 1500);
  EXPECT_EQ(step.origins[0].value, "1500");

  step.inputs = {"photos"};
  step.mini_batch_size = {config::MiniBatchSize::Unit::kItems, 20};
  settle_mini_batch_size(step);
  EXPECT_EQ(step.mini_batch_size.unit, config::MiniBatchSize::Unit::kItems);
}

TEST_F(Tables, D3_D5_PiecesEndWithRecordsAndNeverSpanFiles) {
  std::string text = "id,note\n";
  for (int i = 0; i < 1000; ++i) text += fmt::format("{},\"line\n{}\"\n", i, i);
  const std::string large = write("large.csv", text);
  const std::string small = write("small.csv", "id,note\n1,x\n");
  const std::vector<MiniBatch> batches = cut({large, small}, bytes(1024));
  std::int64_t next = 0;
  for (const MiniBatch& batch : batches) {
    if (batch.input == 1) continue;
    ASSERT_EQ(batch.pieces.size(), 1U);
    EXPECT_LT(batch.pieces[0].byte_size, 1024 + 20);
    EXPECT_EQ(batch.pieces[0].first_record, next);
    const Table table = read_table(batch);
    EXPECT_EQ(table.rows, batch.items());
    EXPECT_EQ(table.columns[0].integers.front(), next);
    next += table.rows;
  }
  EXPECT_EQ(next, 1000);
  EXPECT_EQ(batches.back().items(), 1);
  EXPECT_EQ(batches.back().item_name(0), small + "#0");
  EXPECT_EQ(cut({large}, rows(300)).size(), 4U);
  EXPECT_EQ(
      cut({write("huge.csv", "a\n\"" + std::string(100'000, 'x') + "\"\n1\n")}, bytes(10)).size(),
      2U);
  EXPECT_TRUE(cut({write("none.csv", "a,b\n\n")}, bytes(10)).empty());
  MiniBatchSize nobody;
  nobody.given = false;
  EXPECT_EQ(cut({large}, nobody).size(), 1U);  // D4: 1 MB.
}

/// Random text made of what means something to a splitter.
std::string random_text(std::mt19937& random, int size) {
  constexpr std::string_view kAlphabet = "ab1 ,,\"\"\n\n\r\t";
  std::string text = "x\n";
  for (int i = 0; i < size; ++i) text += kAlphabet[random() % kAlphabet.size()];
  return text;
}

TEST(RecordScanner, FindsTheSameRecordsHoweverItIsFed) {
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(random, static_cast<int>(random() % 300));
    RecordScanner whole(',', true);
    const std::size_t size = whole.scan(text, 1 << 30, 1 << 30);
    ASSERT_EQ(size, text.size());
    whole.finish();
    // One record at a time, from parts of random sizes.
    RecordScanner parts(',', true);
    std::int64_t records = 0;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t taken = parts.scan(rest.substr(0, 1 + random() % 70), 1, 1 << 30);
      ASSERT_GT(taken, 0U);
      if (parts.stopped()) records += parts.records();
      rest.remove_prefix(taken);
    }
    parts.finish();
    EXPECT_EQ(records + parts.records(), whole.records()) << testing::PrintToString(text);
  }
}

TEST_F(Tables, CutAtAnySizeTheRowsAreThoseOfTheWholeFile) {
  std::mt19937 random(12);
  int read = 0;
  for (int round = 0; round < 300; ++round) {
    std::string text = "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n";  // Rarely too few columns.
    text += random_text(random, static_cast<int>(random() % 200)).substr(2);
    const std::string path = write("r.csv", text);
    std::string whole;
    std::string pieces;
    try {
      const auto texts = [&](MiniBatchSize size) {
        std::string all;
        for (const MiniBatch& batch : cut({path}, size)) {
          const Table table = read_table(batch);
          EXPECT_EQ(table.rows, batch.items());
          for (std::int64_t row = 0; row < table.rows; ++row) {
            // Types are each piece's own: a number's text may differ, its place not.
            for (const Column& column : table.columns) {
              all += column.type == Type::kString ? cell(column, row) : std::string("#");
              all += ';';
            }
          }
        }
        return std::count(all.begin(), all.end(), ';');
      };
      const auto expected = texts(bytes(1 << 20));
      EXPECT_EQ(texts(bytes(1 + random() % 40)), expected) << testing::PrintToString(text);
      EXPECT_EQ(texts(rows(1 + random() % 5)), expected) << testing::PrintToString(text);
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_GT(read, 50);
}

TEST_F(Tables, D8_FilesAreGroupedByTheirPaths) {
  for (const char* name : {"user1/winter/disco", "user1/fall/orchestra", "user2/summer/piano",
                           "user3/fall/spirituality", "user4/spring/piano", "user4/fall/piano"}) {
    write("root/" + std::string(name) + ".wav", "");
  }
  InputSpec spec({at("root")});
  spec.all_files = true;
  spec.partition_keys = {"user", "genres"};
  spec.partition_format = "root/{user}/{season}/{genres}.wav";
  const std::vector<MiniBatch> batches = cut(spec, {});
  ASSERT_EQ(batches.size(), 5U);
  EXPECT_EQ(batches[4].items(), 2);
  EXPECT_EQ(batches[4].partition, (PartitionValues{{"user", "user4"}, {"genres", "piano"}}));
  spec.partition_keys = {"artist"};
  test::expect_error(ErrorCode::kInvalidArgument, "'artist' is no name of partition_format",
                     [&] { cut(spec, {}); });
  spec.partition_keys = {"user"};
  write("root/loose.wav", "");
  test::expect_error(ErrorCode::kInvalidArgument, "loose.wav: its path does not have",
                     [&] { cut(spec, {}); });
}

TEST_F(Tables, D8_RowsAreGroupedByPathAndValueWithTheKeysLast) {
  write("d/2023/a.csv", "shop,n\nx,1\ny,2\nx,3\n");
  write("d/2024/a.csv", "shop,n\nx,4\nx,5\n");
  InputSpec spec({at("d")});
  spec.kind = config::InputKind::kTabular;
  spec.partition_format = "{year}/{file}.csv";
  spec.partition_keys = {"shop"};
  std::vector<MiniBatch> batches = cut(spec, {});
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_EQ(batches[0].pieces.size(), 3U);
  EXPECT_EQ(batches[0].item_name(1), at("d/2023/a.csv") + "#2");
  EXPECT_EQ(show(read_table(batches[0])),
            "n:int64=1|3|4|5\nyear:string=2023|2023|2024|2024\nfile:string=a|a|a|a\n"
            "shop:string=x|x|x|x\n");
  spec.partition_keys = {"year"};
  batches = cut(spec, {});
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_EQ(batches[1].partition, (PartitionValues{{"year", "2024"}}));
  spec.partition_keys = {"city"};
  test::expect_error(ErrorCode::kInvalidArgument, "has no column 'city'; it has shop, n",
                     [&] { cut(spec, {}); });
}

TEST_F(Tables, MlTablesSayHowTheyAreRead) {
  write("m/data/one.txt", "\xE4;1\n;2\n");
  write("m/MLTable",
        "type: mltable\npaths:\n  - folder: ./data\ntransformations:\n  - read_delimited:\n"
        "      delimiter: ';'\n      encoding: latin1\n      header: no_header\n"
        "      empty_as_string: true\n      include_path_column: true\n");
  const std::vector<MiniBatch> batches = cut({at("m")}, {});
  ASSERT_EQ(batches.size(), 1U);
  const std::string path = at("m/data/one.txt");
  EXPECT_EQ(show(read_table(batches[0])),
            "Path:string=" + path + "|" + path + "\nColumn1:string=\xC3\xA4|\nColumn2:int64=1|2\n");
  const auto refuse = [&](const std::string& text, const std::string& message) {
    write("m/MLTable", "paths:\n  - folder: ./data\ntransformations:\n" + text);
    test::expect_error(ErrorCode::kUnsupported, message, [&] { cut({at("m")}, {}); });
  };
  refuse("  - take: 5\n", "MLTable:4: the transformation 'take' is not supported");
  refuse("  - read_delimited: {quotes: no}\n", "read_delimited: quotes: no is not supported");
  refuse("  - read_json_lines: {invalid_lines: drop}\n", "give invalid_lines: error");
}

TEST_F(Tables, D1_InputsAreOfOneKind) {
  const std::string csv = write("a.csv", "a\n1\n");
  write("p/1.png", "");
  test::expect_error(ErrorCode::kInvalidArgument, "the inputs of a step are of one kind", [&] {
    cut({at("p"), csv}, {});
  });
  test::expect_error(ErrorCode::kInvalidArgument, "a table of another kind than those before it",
                     [&] {
                       write("t/a.csv", "a\n1\n");
                       write("t/b.tsv", "a\n1\n");
                       InputSpec spec({at("t")});
                       spec.kind = config::InputKind::kTabular;
                       cut(spec, {});
                     });
  InputSpec as_file({csv});
  as_file.kind = config::InputKind::kFiles;
  EXPECT_FALSE(cut(as_file, {}).at(0).is_table());
}

/// The descriptions of the mini-batches of a listing that was interrupted after `kept` of them and
/// goes on.
std::vector<std::string> listed(const InputSpec& spec, MiniBatchSize size, int kept) {
  std::vector<std::string> batches;
  Partitioner begun(spec, size);
  Partitioner resumed(spec, size);
  for (int i = 0; i < kept; ++i) {
    const std::optional<MiniBatch> batch = begun.next();
    if (!batch) break;
    batches.push_back(serialize(*batch));
    resumed.skip(*batch);
  }
  for (const MiniBatch& batch : test::all(resumed)) batches.push_back(serialize(batch));
  return batches;
}

TEST_F(Tables, D7_AListingOfTablesGoesOnWhereItWasInterrupted) {
  write("d/a.csv", "v\n1\n2\n3\n4\n5\n");
  write("d/b.csv", "v\n6\n7\n8\n");
  InputSpec spec({at("d"), at("d/b.csv")});
  spec.kind = config::InputKind::kTabular;
  const std::vector<std::string> whole = listed(spec, rows(2), 0);
  ASSERT_EQ(whole.size(), 7U);
  for (int kept = 1; kept <= 7; ++kept) EXPECT_EQ(listed(spec, rows(2), kept), whole) << kept;
}

TEST_F(Tables, D7_AListingOfGroupsGoesOnWhereItWasInterrupted) {
  const std::string csv = write("s.csv", "user,v\nann,1\nbob,2\nann,3\n,4\n");
  InputSpec spec({csv, csv});
  spec.partition_keys = {"user"};
  const std::vector<std::string> whole = listed(spec, {}, 0);
  ASSERT_EQ(whole.size(), 6U);
  for (int kept = 1; kept <= 6; ++kept) EXPECT_EQ(listed(spec, {}, kept), whole) << kept;

  for (const char* name : {"f/ann/1.png", "f/bob/1.png", "f/ann/2.png"}) write(name, "");
  InputSpec files({at("f")});
  files.partition_keys = {"user"};
  files.partition_format = "{user}/{number}.png";
  const std::vector<std::string> groups = listed(files, {}, 0);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(listed(files, {}, 1), groups);
}

TEST_F(Tables, ATableThatIsNoneOrHasVanishedIsAnErrorThatNamesIt) {
  write("d/a.csv", "v\n1\n");
  const std::string second = write("d/b.csv.gz", "\x1f\x8b this is no gzip");
  Partitioner damaged({at("d/a.csv"), second}, {});
  EXPECT_TRUE(damaged.next().has_value());
  test::expect_error(ErrorCode::kInvalidArgument, second, [&] { damaged.next(); });
  const std::string third = write("d/c.csv", "v\n1\n");
  Partitioner vanished({at("d/a.csv"), third}, {});
  EXPECT_TRUE(vanished.next().has_value());
  std::filesystem::remove(third);
  test::expect_error(ErrorCode::kIo, third, [&] { vanished.next(); });
}

TEST_F(Tables, AFifoIsRefusedInsteadOfWaitedFor) {
  const std::string fifo = at("pipe.csv");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  test::expect_error(ErrorCode::kIo, fifo + ": not a regular file", [&] { cut({fifo}, {}); });
}

TEST_F(Tables, AStopEndsTheGroupingOfATable) {
  InputSpec spec({write("s.csv", "user,v\nann,1\nbob,2\n")});
  spec.partition_keys = {"user"};
  Partitioner partitioner(spec, {});
  std::stop_source stop;
  stop.request_stop();
  test::expect_error(ErrorCode::kCancelled, "stopped", [&] { partitioner.next(stop.get_token()); });
}

TEST_F(Tables, AScriptSeesEveryFileOfAFolderThatIsNotHidden) {
  for (const char* name : {"f/a.txt", "f/.hidden", "f/.git/b.txt", "f/c/d.csv"}) write(name, "");
  InputSpec spec({at("f")});
  spec.all_files = true;
  const std::vector<MiniBatch> batches = cut(spec, {Unit::kItems, 9});
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].items(), 2);
}

TEST_F(Tables, R1_TheIdentityCoversHowATableIsRead) {
  const std::string csv = write("d/2024/a.csv", "a\n1\n");
  InputSpec spec({csv});
  const std::string before = input_identity(spec, true);
  EXPECT_EQ(input_identity(spec, true), before);
  spec.partition_format = "{year}/a.csv";
  EXPECT_NE(input_identity(spec, true), before);
  write("d/2024/a.csv", "a\n2\n");
  EXPECT_NE(input_identity({csv}, true), before);
}

TEST_F(Tables, AChangedFileIsNoticed) {
  const std::string csv = write("a.csv", "a\n1\n2\n");
  const std::vector<MiniBatch> batches = cut({csv}, {});
  write("a.csv", "a\n123\n");
  test::expect_error(ErrorCode::kInvalidArgument, "it was changed after the job began",
                     [&] { read_table(batches.at(0)); });
}

TEST_F(Tables, D6_ParquetIsCutAtRowGroupsOrByRows) {
  const char* const library = std::getenv("PRS_DUCKDB");
  const std::string file = at("trips.parquet");
  if (library == nullptr && !std::filesystem::exists("/usr/local/lib/prs-gpu/libduckdb.so")) {
    write("trips.parquet", "");
    test::expect_error(ErrorCode::kUnsupported, "install-deps.sh --parquet",
                       [&] { cut({file}, {}); });
    GTEST_SKIP() << "DuckDB's library is not installed (scripts/install-deps.sh --parquet)";
  }
  // Three row groups of 2048, 2048 and 904 rows: id, gap (each third missing), name, day.
  Duckdb::instance().query(
      fmt::format("COPY (SELECT i AS id, CASE WHEN i % 3 <> 0 THEN i END AS gap,"
                  " 'name-' || i || '-that-is-longer-than-twelve-bytes' AS name,"
                  " DATE '1970-01-01' AS day FROM range(5000) t(i))"
                  " TO '{}' (FORMAT parquet, ROW_GROUP_SIZE 2048)",
                  file),
      "the test");
  const std::vector<MiniBatch> batches = cut({file}, bytes(1));
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].items(), 2048);
  EXPECT_EQ(batches[2].items(), 904);
  const std::vector<MiniBatch> by_rows = cut({file}, rows(3000));
  ASSERT_EQ(by_rows.size(), 2U);
  const Table table = read_table(by_rows[1]);
  ASSERT_EQ(table.rows, 2000);
  EXPECT_EQ(table.columns[0].integers.front(), 3000);
  EXPECT_EQ(table.columns[1].type, Type::kFloat64);
  EXPECT_EQ(cell(table.columns[1], 0), "<NA>");
  EXPECT_EQ(table.columns[2].text(1), "name-3001-that-is-longer-than-twelve-bytes");
  EXPECT_EQ(table.columns[3].type, Type::kTimestamp);
  EXPECT_EQ(table.columns[3].integers[0], 0);
}

TEST_F(Tables, O2_ParquetIsWrittenInAsMuchMemoryAsItsLongestRowNeeds) {
  const char* const library = std::getenv("PRS_DUCKDB");
  if (library == nullptr && !std::filesystem::exists("/usr/local/lib/prs-gpu/libduckdb.so")) {
    GTEST_SKIP() << "DuckDB's library is not installed (scripts/install-deps.sh --parquet)";
  }
  const std::string lengthy(20 << 20, 'x');  // More than DuckDB allows by itself.
  for (const bool with_lengthy : {false, true}) {
    std::string lines = "{\"name\":\"a\",\"class\":1}\n";
    if (with_lengthy) lines += fmt::format("{{\"name\":\"{}\",\"class\":2}}\n", lengthy);
    const std::string rows = write("rows.jsonl", lines);
    const std::string parquet = at("rows.parquet");
    // Duckdb::instance() is the thread's: the limit ends with it.
    std::thread([&] {
      Duckdb::instance().query(fmt::format("SET memory_limit='{}MB'", with_lengthy ? 400 : 100),
                               "the test");
      EXPECT_NO_THROW(write_parquet(rows, parquet));
      const Table table = read_parquet(parquet, 0, 2, Values::kTyped);
      ASSERT_EQ(table.rows, with_lengthy ? 2 : 1);
      EXPECT_EQ(table.columns.at(0).text(0), "a");
      EXPECT_EQ(table.columns.at(1).integers.back(), table.rows);
      EXPECT_EQ(table.columns[0].text(table.rows - 1), with_lengthy ? lengthy : "a");
    }).join();
  }
}

}  // namespace
}  // namespace prs::dataset
