// Steps that several threads compute together, where one run has fewer pieces than there are
// threads. Which thread computes which part changes no result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend.hpp"
#include "cpu/isa/part.hpp"
#include "cpu/kernel.hpp"
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

/// A step's parts, each with scratch of its own, which consists of elements of 32 bits.
class SharedStep {
 public:
  /// `scratch`: elements that a part takes.
  SharedStep(const Sharing& sharing, std::int64_t vector_products, std::int64_t scratch)
      : parts_(planned_parts(sharing, vector_products)),
        stride_((scratch + kLineElements - 1) / kLineElements * kLineElements) {}

  std::int64_t scratch_bytes() const { return parts_ * stride_ * kElementBytes; }

  /// share() of body(part, its scratch).
  template <typename Element, typename Body>
  void run(const StepArgs& args, const Body& body) const {
    static_assert(sizeof(Element) == kElementBytes);
    share(args.crew, parts_, [&](const Part& part) {
      body(part, reinterpret_cast<Element*>(args.scratch) + part.index * stride_);
    });
  }

 private:
  static constexpr std::int64_t kElementBytes = 4;
  static constexpr std::int64_t kLineElements = 16;  ///< No two parts write to one cache line.

  int parts_;
  std::int64_t stride_;
};

}  // namespace prs::cpu
