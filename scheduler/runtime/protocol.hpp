// What both ends of a worker's socket must agree on besides protocol.proto.
#pragma once

#include <csignal>
#include <cstdint>

namespace prs::runtime {

/// Raised with every change that the other end would misread.
inline constexpr std::uint32_t kProtocolVersion = 2;

/// Makes a worker write its stack to its stderr.
inline constexpr int kStackSignal = SIGUSR2;

}  // namespace prs::runtime
