#include "support.hpp"

namespace prs::entry {
namespace {

using Kind = config::EntrySpec::Kind;

class AnyEntry : public test::EntryTest {};

TEST_F(AnyEntry, E1_AMissingEntryIsAnErrorBeforeAnyWorkerStarts) {
  for (const Kind kind : {Kind::kModel, Kind::kPlugin, Kind::kScript}) {
    use(kind, at("none.onnx"));
    expect_refused(ErrorCode::kInvalidArgument,
                   "entry " + at("none.onnx").string() + ": no such file");
    step_.entry.path = dir_.path();
    expect_refused(ErrorCode::kInvalidArgument, ": not a regular file");
  }
}

}  // namespace
}  // namespace prs::entry
