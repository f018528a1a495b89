// The worker's side: loads the entry, runs init() once and run() for each mini-batch that the agent
// sends, and ends with shutdown() (section E of docs/semantics.md).
#pragma once

namespace prs::runtime {

/// The descriptors that a worker finds its socket, its claims, and the file of the weights that it
/// has in common with others (Hello.shares_weights) under.
inline constexpr int kWorkerSocket = 3;
inline constexpr int kWorkerClaims = 4;
inline constexpr int kWorkerWeights = 5;
/// Exit codes of a worker, besides 0 and those that an entry's own exit() gives.
inline constexpr int kWorkerInitFailed = 81;
inline constexpr int kWorkerOutOfMemory = 82;
inline constexpr int kWorkerLostAgent = 83;
inline constexpr int kWorkerDeviceLost = 84;

/// Of a worker in the foreground whose entry failed.
inline constexpr int kForegroundFailed = 1;

/// The life of a worker that run_in_foreground() has started: one mini-batch, its rows on stdout.
/// Returns the exit code. Does not throw.
int run_foreground_worker();

/// The life of a worker process. Returns its exit code. Does not throw.
int run_worker();

}  // namespace prs::runtime
