// The entries of GemmKernels that isa/gemm.cpp takes from its neighbours.
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include "cpu/isa/gemm.hpp"

namespace prs::cpu::PRS_ISA {

/// Rows of B in a block: a panel of them, at most 48 KiB, stays in the nearest caches while the
/// rows of A pass by.
inline constexpr std::int64_t kBlockDepth = 256;

void conv(const ConvTask& task, const ConvOperands& operands);
std::int64_t conv_scratch(const ConvTask& task);

void max_pool(const PoolTask& task, const PoolOperands& operands);
void average_pool(const PoolTask& task, const PoolOperands& operands);
std::int64_t pool_scratch(const PoolTask& task);
void max_planes(const float* x, float* y, std::int64_t planes, std::int64_t size);
void average_planes(const float* x, float* y, std::int64_t planes, std::int64_t size);

}  // namespace prs::cpu::PRS_ISA
