// The CUDA backend over any Runtime.
#pragma once

#include <memory>

#include "backend.hpp"
#include "runtime.hpp"

namespace prs::cuda {

std::unique_ptr<Backend> make_backend(std::shared_ptr<Runtime> runtime);

}  // namespace prs::cuda
