// Interposes the allocation functions of the C library; operator new ends in them. Not linked into
// sanitizer builds' allocators: those define the functions themselves, so the count stays 0 there
// and the tests that use it still run.
#include "support/allocation_count.hpp"

#include <atomic>
#include <cstddef>

namespace {
std::atomic<std::int64_t> g_allocations{0};
}

namespace prs::test {
std::int64_t allocation_count() { return g_allocations.load(); }
}  // namespace prs::test

#if !defined(PRS_SANITIZED)

// glibc's own entry points, for use behind replaced ones.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* pointer, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(count, size);
}
void* realloc(void* pointer, std::size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(pointer, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}

#endif
