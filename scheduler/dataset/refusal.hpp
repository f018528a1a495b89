// What is thrown for inputs that are wrong. Internal to the room.
#pragma once

#include <string>
#include <utility>

#include <prs/error.hpp>

namespace prs::dataset {

[[noreturn]] inline void fail_argument(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace prs::dataset
