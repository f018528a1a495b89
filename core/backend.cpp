#include "backend.hpp"

namespace prs {

ExecutionContext::~ExecutionContext() = default;
Executable::~Executable() = default;
Backend::~Backend() = default;

}  // namespace prs
