// PLACEHOLDER
#pragma once
namespace prs::cpu {
struct ElementwiseKernels { int unused; };
}
