// Steps that several threads compute together, where one run has fewer pieces than there are
// threads. Which thread computes which part changes no result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend.hpp"
#include "cpu/isa/part.hpp"
#include "engine/thread_pool.hpp"

namespace prs::cpu {

/// In how many parts at most a step of so many products of vectors is computed: each may have
/// scratch of its own.
inline int planned_parts(const Sharing& sharing, std::int64_t vector_products) {
  constexpr int kMost = 4;
  return vector_products < sharing.least_products ? 1 : std::clamp(sharing.threads, 1, kMost);
}

/// What a product of m rows with a matrix of so many vectors counts as: a single row waits for the
/// matrix to come from the caches.
inline std::int64_t gemm_products(std::int64_t m, std::int64_t vectors) {
  return m == 1 ? 4 * vectors : m * vectors;
}

/// Elements of 32 bits between the scratch of two parts that take so many: whole cache lines.
inline std::int64_t part_scratch(std::int64_t elements) { return (elements + 15) / 16 * 16; }

/// body(part) for parts that make up the whole, on the crew's threads; one part without a crew.
template <typename Body>
void share(ThreadPool* crew, int parts, const Body& body) {
  const int count = crew == nullptr ? 1 : std::min(crew->threads(), parts);
  if (count <= 1) {
    body(Part{});
    return;
  }
  crew->run_parts(count, [&](std::int64_t index, std::int64_t parts_run) {
    body(Part{index, parts_run});
  });
}

}  // namespace prs::cpu
