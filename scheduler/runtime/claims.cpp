#include "runtime/claims.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <prs/error.hpp>
#include <utility>

namespace prs::runtime {
namespace {

using Counter = std::atomic<std::uint64_t>;
// Across processes only what needs no lock works.
static_assert(Counter::is_always_lock_free);

[[noreturn]] void fail(const char* call) {
  throw Error(ErrorCode::kIo, fmt::format("a worker's claims: {}: {}", call, std::strerror(errno)));
}

}  // namespace

Claims Claims::create() {
  Fd fd(::memfd_create("prs-gpu-claims", MFD_CLOEXEC));
  if (!fd) fail("memfd_create");
  // The new bytes are zero: nothing is decided.
  if (::ftruncate(fd.get(), sizeof(Counter)) != 0) fail("ftruncate");
  return Claims(std::move(fd));
}

Claims Claims::inherited(int fd) { return Claims(Fd(fd)); }

Claims::Claims(Fd fd) : fd_(std::move(fd)) {
  void* shared = ::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (shared == MAP_FAILED) fail("mmap");
  decided_ = static_cast<Counter*>(shared);
}

Claims::~Claims() { ::munmap(decided_, sizeof(Counter)); }

std::uint64_t Claims::withdraw(std::uint64_t sent) {
  // An entry gone wild may have written anything there.
  return std::min(decided_->exchange(sent), sent);
}

}  // namespace prs::runtime
