#include "entry/entry.hpp"

#include <fmt/format.h>

#include <prs/error.hpp>

#include "entry/kinds.hpp"

namespace prs::entry {
namespace {

[[noreturn]] void refuse_script(const config::Step& step) {
  throw Error(ErrorCode::kUnsupported,
              fmt::format("entry script {}: Python entry scripts are not there yet; use model: for "
                          "an ONNX model or plugin: for a native entry",
                          step.entry.path.string()));
}

}  // namespace

std::unique_ptr<Entry> load_entry(const config::Step& step, const Context& context) {
  switch (step.entry.kind) {
    case config::EntrySpec::Kind::kModel:
      return make_model_entry(step);
    case config::EntrySpec::Kind::kPlugin:
      return make_plugin_entry(step, context);
    case config::EntrySpec::Kind::kScript:
      break;
  }
  refuse_script(step);
}

void check_entry(const config::Step& step) {
  switch (step.entry.kind) {
    case config::EntrySpec::Kind::kModel:
      return check_model_entry(step);
    case config::EntrySpec::Kind::kPlugin:
      return check_plugin_entry(step);
    case config::EntrySpec::Kind::kScript:
      break;
  }
  refuse_script(step);
}

}  // namespace prs::entry
