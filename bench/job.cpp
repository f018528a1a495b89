// bench_job NODES MINI_BATCHES: the decisions alone. Drives job::Job with NODES nodes of 8 workers
// that answer at once, to the job's end, and prints what an event costs, as JSON.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <variant>
#include <vector>

#include "job/job.hpp"

namespace {

namespace job = prs::job;
using Clock = std::chrono::steady_clock;

constexpr int kWorkersPerNode = 8;

/// Workers that are ready, return and end as soon as they are told to.
class Cluster {
 public:
  explicit Cluster(int nodes) : job_(settings(nodes), job::Time(0)) {}

  void feed(const job::Event& event) {
    ++events_;
    now_ += std::chrono::microseconds(1);
    for (job::Command& command : job_.handle(event, now_)) {
      std::visit([&](const auto& one) { answer(one); }, command);
    }
  }
  /// What the commands have led to, until there is no more.
  void run() {
    for (; !pending_.empty(); pending_.pop_front()) feed(pending_.front());
  }
  bool ended() const { return job_.ended(); }
  std::int64_t events() const { return events_; }

 private:
  static job::Settings settings(int nodes) {
    job::Settings settings;
    settings.node_count = nodes;
    settings.processes_per_node = kWorkersPerNode;
    return settings;
  }

  void answer(const job::StartWorker& command) {
    pending_.emplace_back(job::WorkerLoaded{command.worker});
    pending_.emplace_back(job::WorkerReady{command.worker});
  }
  void answer(const job::SendMiniBatch& command) {
    pending_.emplace_back(job::RunStarted{command.worker, command.mini_batch, command.attempt});
    pending_.emplace_back(job::RunReturned{command.worker, command.mini_batch, command.attempt, 1});
  }
  void answer(const job::WithdrawMiniBatches& command) {
    // They are past that.
    pending_.emplace_back(job::Withdrawn{command.worker, command.ticket, {}});
  }
  void answer(const job::ShutdownWorker& command) {
    pending_.emplace_back(job::WorkerExited{command.worker, job::ExitKind::kOrderly, "", false});
  }
  void answer(const job::KillWorker& command) {
    pending_.emplace_back(job::WorkerExited{command.worker, job::ExitKind::kAbnormal, "", false});
  }
  template <typename Other>
  void answer(const Other&) {}

  job::Job job_;
  job::Time now_{0};
  std::int64_t events_ = 0;
  std::deque<job::Event> pending_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_job NODES MINI_BATCHES\n");
    return 2;
  }
  const int nodes = std::atoi(argv[1]);
  const std::int64_t mini_batches = std::atoll(argv[2]);
  Cluster cluster(nodes);
  const Clock::time_point start = Clock::now();
  for (std::int64_t id = 0; id < mini_batches; ++id) cluster.feed(job::MiniBatchCreated{1});
  cluster.feed(job::ListingDone{});
  for (int node = 0; node < nodes; ++node) cluster.feed(job::NodeReady{node, 0});
  cluster.run();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!cluster.ended()) {
    std::fprintf(stderr, "bench_job: the job has not ended [this is a bug]\n");
    return 1;
  }
  std::printf(
      "{\"nodes\": %d, \"workers\": %d, \"mini_batches\": %lld, \"events\": %lld, "
      "\"seconds\": %.6f}\n",
      nodes, nodes * kWorkersPerNode, static_cast<long long>(mini_batches),
      static_cast<long long>(cluster.events()), seconds);
  return 0;
}
