// Measures calls that each do the same work: how long one takes, and how many fit into a second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace prs::bench {

struct Timed {
  double seconds = 0.0;                ///< From the first call's start to the last one's end.
  std::vector<double> latencies_us{};  ///< Of each call, ascending. Never empty.

  double calls_per_s() const { return static_cast<double>(latencies_us.size()) / seconds; }
  /// `fraction` in [0, 1]: 0.5 is the median.
  double percentile_us(double fraction) const {
    return latencies_us[static_cast<std::size_t>(static_cast<double>(latencies_us.size() - 1) *
                                                 fraction)];
  }
};

/// Calls `call` for `seconds`, after a quarter of that to warm up; each at least once.
template <typename Call>
Timed time_calls(double seconds, const Call& call) {
  using Clock = std::chrono::steady_clock;
  const auto repeat = [&call](double limit_s) {
    Timed timed;
    const Clock::time_point start = Clock::now();
    Clock::time_point before = start;
    do {
      call();
      const Clock::time_point now = Clock::now();
      timed.latencies_us.push_back(std::chrono::duration<double, std::micro>(now - before).count());
      before = now;
      timed.seconds = std::chrono::duration<double>(now - start).count();
    } while (timed.seconds < limit_s);
    return timed;
  };
  repeat(seconds / 4);
  Timed timed = repeat(seconds);
  std::sort(timed.latencies_us.begin(), timed.latencies_us.end());
  return timed;
}

}  // namespace prs::bench
