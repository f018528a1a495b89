#include "support.hpp"

namespace prs::entry {
namespace {

namespace fs = std::filesystem;
using Kind = config::EntrySpec::Kind;

class Plugin : public test::EntryTest {
 protected:
  void use(const std::string& name, std::vector<std::string> arguments = {}) {
    EntryTest::use(Kind::kPlugin, fs::path(PRS_PLUGINS) / (name + ".so"), std::move(arguments));
  }
};

TEST_F(Plugin, TheExampleGivesARowForEachFile) {
  use("file_sizes");
  check_entry(step_);
  test::write_file(at("a.bin"), "12345");
  test::write_file(at("p/b.bin"), "");
  const auto entry = started();
  EXPECT_NE(entry->describe().find("file_sizes.so, ABI version 2"), std::string::npos);
  const Rows rows = entry->run(test::files({at("a.bin"), at("gone.bin"), at("p/b.bin")}));
  EXPECT_EQ(rows.text, "a.bin 5\nb.bin 0\n");
  EXPECT_EQ(rows.count, 2);
  EXPECT_EQ(rows.header, "");
  EXPECT_EQ(rows.item_errors,
            std::vector<std::string>{at("gone.bin").string() + ": No such file or directory"});
  EXPECT_EQ(entry->run(test::files({at("a.bin")}, 1)).text, "a.bin 5\n");
  test::expect_error(ErrorCode::kInvalidArgument, "run failed: this plugin takes files",
                     [&] { entry->run(test::records(at("d.idx"), 0, 3)); });
  entry->shutdown();
  EXPECT_EQ(test::read_file(at("file_sizes-process003.txt")), "3 files\n");
}

TEST_F(Plugin, TheExampleForTablesGetsColumns) {
  use("row_sums");
  const auto entry = started();
  dataset::Partitioner partitioner({PRS_EXAMPLES "/plugin/measurements.csv"},
                                   {config::MiniBatchSize::Unit::kRows, 3});
  EXPECT_EQ(entry->run(partitioner.next().value()).text, "0: 42\n1: 21.5\n2: 27.25\n");
  EXPECT_EQ(entry->run(partitioner.next().value()).text, "3: 46\n");
  test::expect_error(ErrorCode::kInvalidArgument, "the inputs are no tables",
                     [&] { entry->run(test::files({"/x.png"})); });
}

TEST_F(Plugin, E11_GetsArgumentsAndSurroundings) {
  use("probe", {"--a", "b c"});
  const auto entry = started();
  const std::string context =
      dir_.path().string() + " " + at("logs").string() + " process003 run-7 2\n--a b c 1\n";
  const Rows rows = entry->run(test::files({"/x.png", "/y.png"}, 41));
  EXPECT_EQ(rows.text, context + "mini-batch 41\n/x.png\n/y.png\n");
  EXPECT_EQ(rows.count, 5);
  EXPECT_EQ(rows.item_errors, std::vector<std::string>{"7.png: too dark"});
  EXPECT_EQ(entry->run(test::records("/d.idx", 17, 9)).text,
            context + "mini-batch 0\n/d.idx 17 9\n");
}

TEST_F(Plugin, E2_ShutdownRunsAtAnOrderlyEnd) {
  use("probe");
  const auto entry = started();
  entry->run(test::files({}));
  EXPECT_FALSE(fs::exists(at("shut-down")));
  entry->shutdown();
  EXPECT_EQ(test::read_file(at("shut-down")), "1");
}

TEST_F(Plugin, E8_AFailedRunIsAnExceptionWithThePluginsWords) {
  use("probe", {"--fail-second-run"});
  const auto entry = started();
  const Rows first = entry->run(test::files({"/x.png"}));
  test::expect_error(ErrorCode::kInvalidArgument, "probe.so: run failed: the disk is on fire",
                     [&] { entry->run(test::files({"/x.png"})); });
  // Nothing of the failed try is left.
  EXPECT_EQ(entry->run(test::files({"/x.png"})).text, first.text);
}

TEST_F(Plugin, AFailureWithoutAMessageGivesTheNumber) {
  use("probe", {"--fail-silently"});
  test::expect_error(ErrorCode::kInvalidArgument, "run failed: it returned -2 without a message",
                     [&] { started()->run(test::files({})); });
}

TEST_F(Plugin, ExceptionsOfACppPluginArrive) {
  use("probe", {"--throw"});
  const auto entry = started();
  EXPECT_THROW(entry->run(test::files({})), std::runtime_error);
}

TEST_F(Plugin, AFailedInitIsAnException) {
  use("probe", {"--fail-init"});
  test::expect_error(ErrorCode::kInvalidArgument, "probe.so: init failed: no weights",
                     [&] { load()->init(); });
}

TEST_F(Plugin, RowsComeFromRunOnly) {
  use("probe", {"--row-in-init"});
  test::expect_error(ErrorCode::kInvalidArgument, "probe.so: called row outside of run",
                     [&] { load()->init(); });
}

TEST_F(Plugin, O2_RowsMayBeEmptyOrHoldLineBreaks) {
  use("probe", {"--empty-rows"});
  const Rows rows = started()->run(test::files({}));
  EXPECT_EQ(rows.text, "\na\nb\n");
  EXPECT_EQ(rows.count, 2);
  EXPECT_EQ(rows.item_errors, std::vector<std::string>{"(no item): "});
  step_.append_row_safe_output = true;
  EXPECT_EQ(started()->run(test::files({})).text, "\na\\nb\n");
}

TEST_F(Plugin, E1_WithoutTheSymbolIsRefusedWithTheNamesItDoesDefine) {
  use("no_symbol");
  expect_refused(
      ErrorCode::kInvalidArgument,
      "no_symbol.so: does not export int prs_entry_plugin(prs_entry_plugin_table* table)");
  expect_refused(ErrorCode::kInvalidArgument, "it exports prs_entry_plugin_v0");
}

TEST_F(Plugin, OfAnotherAbiVersionIsRefused) {
  use("abi");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "abi.so: built for ABI version 7, this prs-gpu has version 2; build it again",
                     [&] { load(); });
}

TEST_F(Plugin, E1_AnIncompleteTableIsRefusedBeforeInit) {
  use("no_run");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "no_run.so: its table has no run (no init, no shutdown); set table->run",
                     [&] { load(); });
  use("size");
  test::expect_error(ErrorCode::kInvalidArgument, "its table has size 8, not sizeof",
                     [&] { load(); });
  use("refuses");
  test::expect_error(ErrorCode::kInvalidArgument, "prs_entry_plugin returned 3", [&] { load(); });
}

TEST_F(Plugin, WhatIsNoSharedLibraryIsRefused) {
  test::write_file(at("a.so"), "def run(mini_batch): pass\n");
  EntryTest::use(Kind::kPlugin, at("a.so"));
  expect_refused(ErrorCode::kInvalidArgument, at("a.so").string() + ": not a shared library (ELF)");
}

}  // namespace
}  // namespace prs::entry
