// PLACEHOLDER
#pragma once
namespace prs::cpu {
struct GemmKernels { int unused; };
}
