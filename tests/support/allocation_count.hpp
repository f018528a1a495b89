// Counts heap allocations of the whole process, for tests that demand none.
#pragma once

#include <cstdint>

namespace prs::test {

/// Calls of operator new and of malloc, calloc, realloc and aligned_alloc so far.
std::int64_t allocation_count();

}  // namespace prs::test
