#include "support.hpp"

namespace prs::entry {
namespace {

using Kind = config::EntrySpec::Kind;

class AnyEntry : public test::EntryTest {};

TEST_F(AnyEntry, E1_AMissingEntryIsAnErrorBeforeAnyWorkerStarts) {
  for (const Kind kind : {Kind::kModel, Kind::kPlugin}) {
    use(kind, at("none.onnx"));
    expect_refused(ErrorCode::kInvalidArgument,
                   "entry " + at("none.onnx").string() + ": no such file");
    step_.entry.path = dir_.path();
    expect_refused(ErrorCode::kInvalidArgument, ": not a regular file");
  }
}

TEST_F(AnyEntry, PythonScriptsAreRefusedWithTheAlternatives) {
  test::write_file(at("score.py"), "def run(mini_batch): return mini_batch\n");
  use(Kind::kScript, at("score.py"));
  expect_refused(ErrorCode::kUnsupported,
                 "score.py: this version runs no Python scripts; give an ONNX model, or a shared "
                 "library with the interface of <prs/entry_plugin.h>");
}

}  // namespace
}  // namespace prs::entry
