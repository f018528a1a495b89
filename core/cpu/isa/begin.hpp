// First include of every source that is compiled once per instruction-set level: gives Eigen a
// namespace of the level's own, so that no inline function compiled for one level serves another.
#pragma once

#ifndef PRS_ISA
#error "compile this source through prs_add_isa_sources()"
#endif

#define PRS_ISA_CONCAT_(a, b) a##b
#define PRS_ISA_CONCAT(a, b) PRS_ISA_CONCAT_(a, b)
#define Eigen PRS_ISA_CONCAT(prs_eigen_, PRS_ISA)

// Kernels are single-threaded and must not allocate: parallelism lies above, buffers come in.
#define EIGEN_DONT_PARALLELIZE

// Before a loop whose iterations touch the same index of every buffer only: lets GCC vectorise it
// although an output may be the same buffer as an input. Other compilers check at run time.
#ifdef __clang__
#define PRS_IVDEP
#else
#define PRS_IVDEP _Pragma("GCC ivdep")
#endif
