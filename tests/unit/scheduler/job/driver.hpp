// Drives a Job by hand: scenario tests in its own events, with a clock that the test sets.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "job/job.hpp"

namespace prs::job::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Driver {
 public:
  explicit Driver(const Settings& settings = {}, int gpu_slots = 0)
      : job_(settings, Time(0)), gpu_slots_(gpu_slots) {}

  /// Adds mini-batches of these item counts, closes the listing, starts the node.
  void begin(const std::vector<std::int64_t>& items) {
    for (const std::int64_t count : items) feed(MiniBatchCreated{count});
    feed(ListingDone{});
    feed(NodeReady{0, gpu_slots_});
  }
  void advance(Duration by) {
    now_ += by;
    feed(Tick{});
  }
  /// The agent itself is stopped meanwhile: whatever comes was there before its next Tick.
  void stall(Duration by) { now_ += by; }
  void feed(const Event& event) {
    for (Command& command : job_.handle(event, now_)) commands_.push_back(std::move(command));
  }
  /// Process `number` of node 0 loads and initialises.
  void ready(int number) {
    feed(WorkerLoaded{{0, number}});
    feed(WorkerReady{{0, number}});
  }
  void init_fails(int number) {
    feed(WorkerLoaded{{0, number}});
    feed(WorkerInitFailed{{0, number}, "no model"});
    exits(number);
  }
  void exits(int number, ExitKind kind = ExitKind::kAbnormal) {
    feed(WorkerExited{{0, number}, kind, "exit code 1"});
  }
  /// The worker's run() of what it was sent last gives that many rows.
  void returns(int number, std::int64_t rows) {
    const SendMiniBatch sent = last_sent(number);
    feed(RunReturned{{0, number}, sent.mini_batch, sent.attempt, rows});
  }
  void fails(int number) {
    const SendMiniBatch sent = last_sent(number);
    feed(RunFailed{{0, number}, sent.mini_batch, sent.attempt, "ValueError"});
  }
  void starts_run(int number) {
    const SendMiniBatch sent = last_sent(number);
    feed(RunStarted{{0, number}, sent.mini_batch, sent.attempt});
  }
  /// Answers every ShutdownWorker and KillWorker until nothing is left.
  void let_workers_end() {
    for (std::size_t i = 0; i < commands_.size(); ++i) {
      const Command command = commands_[i];
      if (const auto* shut = std::get_if<ShutdownWorker>(&command)) {
        feed(WorkerExited{shut->worker, ExitKind::kOrderly, "exit code 0"});
      } else if (const auto* kill = std::get_if<KillWorker>(&command)) {
        feed(WorkerExited{kill->worker, ExitKind::kAbnormal, "signal 15"});
      }
    }
  }

  /// All commands of a kind so far.
  template <typename Kind>
  std::vector<Kind> all() const {
    std::vector<Kind> found;
    for (const Command& command : commands_) {
      if (const Kind* one = std::get_if<Kind>(&command)) found.push_back(*one);
    }
    return found;
  }
  std::optional<EndJob> end() const {
    const std::vector<EndJob> ends = all<EndJob>();
    return ends.empty() ? std::nullopt : std::optional(ends.back());
  }
  SendMiniBatch last_sent(int number) const {
    std::optional<SendMiniBatch> last;
    for (const SendMiniBatch& one : all<SendMiniBatch>()) {
      if (one.worker.process == number) last = one;
    }
    EXPECT_TRUE(last.has_value()) << "nothing was sent to process " << number;
    return last.value_or(SendMiniBatch{{0, number}, -1, 0});
  }
  bool noted(const std::string& text) const {
    for (const Note& note : all<Note>()) {
      if (note.text.find(text) != std::string::npos) return true;
    }
    return false;
  }
  const Counts& counts() const { return job_.counts(); }
  Job& job() { return job_; }

 private:
  Job job_;
  int gpu_slots_;
  Time now_{0};
  std::vector<Command> commands_;
};

/// Expects the job to have ended that way, for a reason that holds `text`.
inline void expect_end(Driver& driver, Outcome outcome, const std::string& text) {
  driver.let_workers_end();
  ASSERT_TRUE(driver.end().has_value()) << "the job has not ended";
  EXPECT_EQ(driver.end()->outcome, outcome) << driver.end()->reason;
  EXPECT_NE(driver.end()->reason.find(text), std::string::npos) << driver.end()->reason;
}

}  // namespace prs::job::test
