#include "backend.hpp"

#include <algorithm>

#include "check.hpp"

namespace prs {

ExecutionContext::~ExecutionContext() = default;
Executable::~Executable() = default;
Backend::~Backend() = default;

RunProfile Executable::profile(ExecutionContext&, std::span<const void* const>, double) const {
  fail_unsupported("only plans on a GPU are measured step by step");
}

DevicePeaks Backend::measure(double) const {
  fail_unsupported("device '{}': only GPUs are measured so; see prs-gpu bench cpu", name());
}

int Backend::lanes(int threads) const { return threads; }

PieceSize Backend::piece_size(std::int64_t arena_bytes, std::int64_t) const {
  return {.most = kPieceBytes / arena_bytes, .least = 1};
}

void require_precision(const Backend& backend, Precision precision) {
  const std::span<const Precision> known = backend.precisions();
  if (std::find(known.begin(), known.end(), precision) != known.end()) return;
  std::string names;
  for (const Precision one : known) {
    names += (names.empty() ? "" : ", ") + std::string(precision_name(one));
  }
  const std::string need = backend.precisions_need();
  fail_unsupported("{} does not compute in {}; it has {}{}", backend.name(),
                   precision_name(precision), names, need.empty() ? "" : ": " + need);
}

}  // namespace prs
