#include "world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <unordered_map>
#include <utility>

namespace prs::job::simulation {
namespace {

using std::chrono::milliseconds;

/// No history may take longer; a job that does is stuck.
constexpr Duration kEndOfTime = std::chrono::hours(24 * 365);

struct Violation {
  std::string text;
};

template <typename... Args>
void require(bool held, fmt::format_string<Args...> text, Args&&... args) {
  if (!held) throw Violation{fmt::format(text, std::forward<Args>(args)...)};
}

/// The life of a worker as the outside world sees it.
struct Process {
  std::set<int> gpu_slots;
  bool ready = false;
  bool shutting_down = false;
  std::int64_t mini_batch = -1;
  int attempt = 0;
  std::deque<SendMiniBatch> ahead;  ///< Not begun.
  std::set<std::int64_t> held;      ///< Sent to it, and to nobody else until it is done with them.
};

/// What the world knows of a mini-batch.
struct Ledger {
  std::int64_t items = 0;
  int tries = 0;   ///< Failed ones that count.
  int losses = 0;  ///< Lost with their node.
  int sent = 0;
  bool held = false;   ///< By a worker.
  bool alone = false;  ///< It was run together with others by a worker that failed.
  bool accepted = false;
  bool failed = false;
};

class World {
 public:
  World(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario), random_(seed), job_(scenario.settings, Time(0)) {}

  Result run() {
    begin();
    while (!ended_) {
      const std::optional<Time> deadline = job_.next_deadline();
      const bool tick = deadline && (queue_.empty() || *deadline < queue_.top().at);
      require(tick || !queue_.empty(),
              "stuck: no event and no deadline, but the job has not ended");
      if (tick) {
        now_ = std::max(now_, *deadline);
        feed(Tick{});
      } else {
        const Pending next = queue_.top();
        queue_.pop();
        now_ = std::max(now_, next.at);
        deliver(next);
      }
      require(now_ < kEndOfTime, "the job does not end");
    }
    check_end();
    result_.counts = job_.counts();
    result_.simulated_s = std::chrono::duration<double>(now_).count();
    return result_;
  }

  const Result& result() const { return result_; }
  Time now() const { return now_; }

 private:
  struct Pending {
    Time at;
    std::int64_t sequence;
    Event event;
    bool operator>(const Pending& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };

  bool chance(double probability) {
    return probability > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }
  Duration between(Duration low, Duration high) {
    return Duration(
        std::uniform_int_distribution<std::int64_t>(low.count(), high.count())(random_));
  }
  /// Puts an event into the future; sometimes twice, sometimes much later.
  void later(Duration delay, const Event& event) {
    const Time at =
        now_ + delay +
        (chance(scenario_.late) ? between(milliseconds(1), std::chrono::minutes(5)) : Duration(0));
    queue_.push({at, ++sequence_, event});
    if (chance(scenario_.duplicate)) {
      queue_.push({at + between(Duration(0), std::chrono::minutes(2)), ++sequence_, event});
    }
  }

  void begin() {
    // Some mini-batches are there at once, the rest while the job runs.
    const std::int64_t at_once = scenario_.mini_batches / 2;
    for (std::int64_t id = 0; id < at_once; ++id) create();
    Duration delay{0};
    for (int node = 0; node < scenario_.nodes; ++node) {
      later(between(Duration(0), std::chrono::seconds(5)), NodeReady{node, scenario_.gpu_slots});
    }
    for (std::int64_t id = at_once; id < scenario_.mini_batches; ++id) {
      delay += between(Duration(0), milliseconds(2));
      queue_.push({now_ + delay, ++sequence_, MiniBatchCreated{-1}});
    }
    queue_.push({now_ + delay, ++sequence_, ListingDone{}});
    if (chance(scenario_.stop)) {
      const Duration when = between(Duration(0), std::chrono::minutes(2));
      queue_.push({now_ + when, ++sequence_, StopRequested{false}});
      if (scenario_.stop_now) {
        queue_.push({now_ + when + between(Duration(0), std::chrono::seconds(20)), ++sequence_,
                     StopRequested{true}});
      }
    }
  }

  void create() {
    MiniBatchCreated event;
    event.items = std::uniform_int_distribution<std::int64_t>(1, scenario_.max_items)(random_);
    event.accepted = chance(scenario_.restored);
    event.succeeded = event.accepted ? event.items : 0;
    Ledger ledger;
    ledger.items = event.items;
    ledger.accepted = event.accepted;
    ledgers_.push_back(ledger);
    if (event.accepted) ++accepted_;
    feed(event);
  }

  void deliver(const Pending& pending) {
    if (std::holds_alternative<MiniBatchCreated>(pending.event)) return create();
    if (const auto* exited = std::get_if<WorkerExited>(&pending.event)) {
      const auto found = processes_.find(exited->worker);
      if (found != processes_.end()) {
        let_go(found->second);
        processes_.erase(found);
      }
    }
    if (const auto* lost = std::get_if<NodeLost>(&pending.event)) {
      given_up_.erase(lost->node);  // It comes back with all of them.
      std::erase_if(processes_, [&](const auto& one) {
        if (one.first.node != lost->node) return false;
        let_go(one.second);
        return true;
      });
      later(between(std::chrono::seconds(1), std::chrono::minutes(1)),
            NodeReady{lost->node, scenario_.gpu_slots});
    }
    if (std::holds_alternative<StopRequested>(pending.event)) stopping_ = true;
    if (const auto* ready = std::get_if<WorkerReady>(&pending.event)) {
      const auto found = processes_.find(ready->worker);
      if (found != processes_.end()) found->second.ready = true;
    }
    // A worker goes on before anybody hears that it has ended a try.
    if (const auto* returned = std::get_if<RunReturned>(&pending.event)) {
      try_ends(returned->worker, returned->mini_batch, returned->attempt);
    }
    if (const auto* failed = std::get_if<RunFailed>(&pending.event)) {
      try_ends(failed->worker, failed->mini_batch, failed->attempt);
    }
    if (const auto* withdrawn = std::get_if<Withdrawn>(&pending.event)) {
      for (const std::int64_t id : withdrawn->mini_batches) release(withdrawn->worker, id);
    }
    feed(pending.event);
  }

  void try_ends(WorkerId id, std::int64_t mini_batch, int attempt) {
    const auto found = processes_.find(id);
    if (found == processes_.end()) return;
    Process& process = found->second;
    if (process.mini_batch != mini_batch || process.attempt != attempt) return;
    process.mini_batch = -1;
    if (process.ahead.empty()) return;
    if (chance(scenario_.run_crash)) {
      return later(Duration(0), WorkerExited{id, ExitKind::kAbnormal, "signal 9 (Killed)", true});
    }
    const SendMiniBatch next = process.ahead.front();
    process.ahead.pop_front();
    take_up(process, next);
  }

  void take_up(Process& process, const SendMiniBatch& next) {
    process.mini_batch = next.mini_batch;
    process.attempt = next.attempt;
    serve(next, ledger_of(next.mini_batch).items);
  }

  void let_go(const Process& process) {
    for (const std::int64_t id : process.held) ledger_of(id).held = false;
  }

  void feed(const Event& event) {
    ++result_.events;
    require(!ended_, "an event was taken after the end");
    for (const Command& command : job_.handle(event, now_)) {
      require(!ended_, "a command came after EndJob");
      std::visit([&](const auto& one) { carry_out(one); }, command);
    }
    check_limits();
  }

  // What each command means in this world, and what must hold when it comes.

  void carry_out(const StartWorker& command) {
    const WorkerId id = command.worker;
    require(!limit_exceeded(), "a worker is started although a limit is exceeded");
    require(id.process == next_process_[id.node]++, "process numbers are not consecutive");
    int on_node = 1;
    std::set<int> held = given_up_[id.node];
    for (auto other = processes_.lower_bound({id.node, 0});
         other != processes_.end() && other->first.node == id.node; ++other) {
      ++on_node;
      held.insert(other->second.gpu_slots.begin(), other->second.gpu_slots.end());
    }
    require(on_node <= scenario_.settings.processes_per_node, "too many workers on node {}",
            id.node);
    Process process;
    process.gpu_slots = free_slots(held);
    require(std::equal(process.gpu_slots.begin(), process.gpu_slots.end(),
                       command.gpu_slots.begin(), command.gpu_slots.end()),
            "a worker gets {} GPU slots of which {} are held; {} were due",
            command.gpu_slots.size(), held.size(), process.gpu_slots.size());
    processes_.emplace(id, process);
    const Duration loading = between(milliseconds(1), milliseconds(500));
    if (chance(scenario_.init_crash)) {
      return later(loading, WorkerExited{id, ExitKind::kAbnormal, "exit code 1"});
    }
    later(loading, WorkerLoaded{id});
    if (chance(scenario_.init_hang)) return;
    const Duration init = loading + between(milliseconds(1), std::chrono::seconds(3));
    if (chance(scenario_.init_failure)) {
      later(init, WorkerInitFailed{id, "no such model"});
    } else {
      later(init, WorkerReady{id});
    }
  }

  /// G2, G4: the lowest free slots, or none when too few are free.
  std::set<int> free_slots(const std::set<int>& held) const {
    const int per_worker = scenario_.settings.gpus_per_worker;
    const int wanted = per_worker == 0 ? scenario_.gpu_slots : per_worker;
    std::set<int> free;
    for (int slot = 0; slot < scenario_.gpu_slots && static_cast<int>(free.size()) < wanted;
         ++slot) {
      if (!held.contains(slot)) free.insert(slot);
    }
    return static_cast<int>(free.size()) == wanted ? free : std::set<int>();
  }

  void carry_out(const SendMiniBatch& command) {
    const auto found = processes_.find(command.worker);
    Ledger& ledger = ledger_of(command.mini_batch);
    require(!limit_exceeded(), "a mini-batch is sent although a limit is exceeded");
    require(!ledger.accepted && !ledger.failed, "mini-batch {} is sent after its end",
            command.mini_batch);
    require(command.attempt == ledger.tries + ledger.losses + 1, "attempt {} after {} tries",
            command.attempt, ledger.tries + ledger.losses);
    require(ledger.tries < scenario_.settings.run_max_try, "more tries than run_max_try");
    require(command.alone || !ledger.alone, "mini-batch {} is to run with others once more",
            command.mini_batch);
    ++ledger.sent;
    if (found == processes_.end()) return;  // Its end is on its way to the job.
    Process& process = found->second;
    require(process.ready, "a mini-batch is sent to a worker that is not ready");
    require(!process.shutting_down, "a mini-batch is sent to a worker that ends");
    require(!ledger.held, "mini-batch {} is sent to two workers", command.mini_batch);
    ledger.held = true;
    process.held.insert(command.mini_batch);
    if (process.mini_batch < 0) {
      take_up(process, command);
    } else {
      process.ahead.push_back(command);
      ++result_.sent_ahead;
      require(static_cast<std::int64_t>(process.ahead.size()) <= kMostAhead,
              "more than {} mini-batches are sent ahead", kMostAhead);
    }
    if (chance(scenario_.node_loss)) {
      later(between(Duration(0), std::chrono::seconds(1)), NodeLost{command.worker.node});
    }
  }

  void serve(const SendMiniBatch& command, std::int64_t items) {
    const WorkerId id = command.worker;
    const Duration load = between(Duration(0), scenario_.longest_run / 10);
    if (chance(scenario_.load_hang)) return;
    const bool shared = !command.alone && chance(0.3);
    later(load, RunStarted{id, command.mini_batch, command.attempt, shared});
    if (chance(scenario_.run_hang)) return;
    const Duration run = chance(scenario_.slow)
                             ? between(std::chrono::seconds(1), std::chrono::minutes(3))
                             : between(scenario_.longest_run / 200, scenario_.longest_run);
    const auto process = processes_.find(id);
    const bool killed =
        process != processes_.end() && process->second.gpu_slots.contains(scenario_.bad_gpu);
    if (killed) return later(load + run, WorkerExited{id, ExitKind::kAbnormal, "exit code 84"});
    if (chance(scenario_.run_crash)) {
      const ExitKind kind = chance(0.3) ? ExitKind::kOutOfMemory : ExitKind::kAbnormal;
      return later(load + run, WorkerExited{id, kind, "signal 9 (Killed)"});
    }
    if (chance(scenario_.run_exception)) {
      return later(load + run, RunFailed{id, command.mini_batch, command.attempt, "ValueError"});
    }
    std::int64_t rows = items;
    if (chance(scenario_.short_return)) {
      rows = std::uniform_int_distribution<std::int64_t>(0, items - 1)(random_);
    } else if (chance(scenario_.long_return)) {
      rows = items + 3;
    }
    later(load + run, RunReturned{id, command.mini_batch, command.attempt, rows});
  }

  void carry_out(const WithdrawMiniBatches& command) {
    const auto found = processes_.find(command.worker);
    if (found == processes_.end()) return;
    Withdrawn answer{command.worker, command.ticket, {}};
    for (const SendMiniBatch& one : std::exchange(found->second.ahead, {})) {
      answer.mini_batches.push_back(one.mini_batch);
    }
    result_.withdrawn += static_cast<std::int64_t>(answer.mini_batches.size());
    later(between(Duration(0), milliseconds(1)), answer);
  }

  void carry_out(const ShutdownWorker& command) {
    const auto found = processes_.find(command.worker);
    if (found == processes_.end()) return;
    require(found->second.mini_batch < 0 && found->second.ahead.empty(),
            "a busy worker is told to shut down");
    found->second.shutting_down = true;
    if (chance(scenario_.shutdown_hang)) return;
    later(between(Duration(0), milliseconds(50)),
          WorkerExited{command.worker, ExitKind::kOrderly, "exit code 0"});
  }

  void carry_out(const KillWorker& command) {
    if (!processes_.contains(command.worker)) return;
    processes_[command.worker].shutting_down = true;
    // The exit of a killed process is always seen in the end.
    queue_.push({now_ + between(Duration(0), std::chrono::seconds(6)), ++sequence_,
                 WorkerExited{command.worker, ExitKind::kAbnormal, "signal 15 (Terminated)"}});
  }

  void carry_out(const DumpStacks&) {}

  /// G8.
  void carry_out(const GiveUpGpus& command) {
    std::set<int>& given_up = given_up_[command.node];
    for (const int slot : command.slots) {
      require(slot >= 0 && slot < scenario_.gpu_slots, "GPU slot {} does not exist", slot);
      require(given_up.insert(slot).second, "GPU slot {} is given up twice", slot);
    }
    require(static_cast<int>(given_up.size()) < scenario_.gpu_slots, "all GPUs are given up");
    ++result_.gpus_given_up;
  }

  void carry_out(const Accept& command) {
    Ledger& ledger = ledger_of(command.mini_batch);
    require(!ledger.accepted, "mini-batch {} is accepted twice", command.mini_batch);
    require(!ledger.failed, "mini-batch {} is accepted after it failed", command.mini_batch);
    require(command.attempt == ledger.tries + ledger.losses + 1, "an old try is accepted");
    require(command.succeeded >= 0 && command.failed >= 0 &&
                command.succeeded + command.failed == ledger.items,
            "the items of an accepted mini-batch do not add up");
    ledger.accepted = true;
    ++accepted_;
    failed_items_ += command.failed;
    if (command.failed > 0) ++short_;
    set_failing(command.mini_batch, false);
    release(command.worker, command.mini_batch);
  }

  void carry_out(const TryFailed& command) {
    Ledger& ledger = ledger_of(command.mini_batch);
    require(!ledger.accepted && !ledger.failed, "a try of a mini-batch with a result fails");
    release(command.worker, command.mini_batch);
    if (stopping_) return;
    (command.status == TryStatus::kNodeLost ? ledger.losses : ledger.tries) += 1;
    const bool left = ledger.tries < scenario_.settings.run_max_try && ledger.losses < 3;
    require(command.will_retry == left, "will_retry is {} after {} tries and {} losses",
            command.will_retry, ledger.tries, ledger.losses);
    if (left && command.status != TryStatus::kNodeLost) set_failing(command.mini_batch, true);
  }

  void carry_out(const SharedTryFailed& command) {
    Ledger& ledger = ledger_of(command.mini_batch);
    require(!ledger.accepted && !ledger.failed, "a try of a mini-batch with a result fails");
    require(!ledger.alone, "mini-batch {} ran alone and its failure counts nothing",
            command.mini_batch);
    ledger.alone = true;
    ++result_.shared_failures;
    release(command.worker, command.mini_batch);
  }

  void carry_out(const MiniBatchFailed& command) {
    Ledger& ledger = ledger_of(command.mini_batch);
    require(!ledger.accepted && !ledger.failed, "mini-batch {} fails after its end",
            command.mini_batch);
    require(command.items == ledger.items, "wrong number of items");
    ledger.failed = true;
    ++failed_;
    failed_items_ += ledger.items;
    set_failing(command.mini_batch, false);
  }

  void carry_out(const Note&) {}

  void carry_out(const EndJob& command) {
    require(processes_.empty(), "the job ends with {} live workers", processes_.size());
    ended_ = true;
    result_.outcome = command.outcome;
    result_.reason = command.reason;
    require(!command.reason.empty(), "the job ends without a reason");
  }

  void release(WorkerId worker, std::int64_t mini_batch) {
    const auto found = processes_.find(worker);
    if (found == processes_.end()) return;
    if (found->second.held.erase(mini_batch) > 0) ledger_of(mini_batch).held = false;
    if (found->second.mini_batch == mini_batch) found->second.mini_batch = -1;
  }

  Ledger& ledger_of(std::int64_t id) {
    require(id >= 0 && id < static_cast<std::int64_t>(ledgers_.size()), "unknown mini-batch {}",
            id);
    return ledgers_[static_cast<std::size_t>(id)];
  }

  void set_failing(std::int64_t id, bool failing) {
    if (failing) {
      failing_.insert(id);
    } else {
      failing_.erase(id);
    }
  }

  std::int64_t failed_mini_batches() const {
    std::int64_t failed = failed_;
    if (scenario_.settings.compat == Compat::kV1)
      failed += static_cast<std::int64_t>(failing_.size());
    if (scenario_.settings.compat == Compat::kStrict) failed += short_;
    return failed;
  }

  /// T1, from this side's books.
  bool limit_exceeded() const {
    const Settings& settings = scenario_.settings;
    return (settings.error_threshold >= 0 && failed_items_ > settings.error_threshold) ||
           (settings.allowed_failed_count >= 0 &&
            failed_mini_batches() > settings.allowed_failed_count);
  }

  void check_limits() {
    const Counts& counts = job_.counts();
    require(counts.mini_batches_done == accepted_, "{} done, but {} accepted",
            counts.mini_batches_done, accepted_);
    require(counts.mini_batches_failed == failed_, "the failed mini-batches differ");
    require(counts.items_failed == failed_items_, "{} failed items, but {} by the books",
            counts.items_failed, failed_items_);
    if (limit_exceeded()) exceeded_ = true;
  }

  void check_end() {
    const bool stopped = result_.outcome == Outcome::kCanceled;
    const bool limited = result_.outcome == Outcome::kLimitExceeded;
    if (result_.outcome == Outcome::kCompleted) {
      require(!exceeded_, "completed although a limit was exceeded");
      for (std::size_t id = 0; id < ledgers_.size(); ++id) {
        require(ledgers_[id].accepted != ledgers_[id].failed, "mini-batch {} has {}", id,
                ledgers_[id].accepted ? "two results" : "no result");
      }
      require(static_cast<std::int64_t>(ledgers_.size()) == scenario_.mini_batches,
              "completed before all mini-batches were known");
    }
    require(!exceeded_ || limited || stopped,
            "a limit was exceeded, but the job ended otherwise: {}", result_.reason);
    for (const Ledger& ledger : ledgers_) {
      require(ledger.tries <= scenario_.settings.run_max_try, "too many tries");
    }
  }

  const Scenario& scenario_;
  std::mt19937_64 random_;
  Job job_;
  Time now_{0};
  std::int64_t sequence_ = 0;
  std::priority_queue<Pending, std::vector<Pending>, std::greater<>> queue_;
  std::map<WorkerId, Process> processes_;
  std::unordered_map<int, int> next_process_;
  std::unordered_map<int, std::set<int>> given_up_;  ///< GPU slots, by node.
  std::vector<Ledger> ledgers_;
  std::set<std::int64_t> failing_;
  std::int64_t accepted_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t failed_items_ = 0;
  std::int64_t short_ = 0;
  bool exceeded_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  Result result_;
};

}  // namespace

Scenario Scenario::draw(std::uint64_t seed, std::int64_t most) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15u + 1);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  const auto one_of = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  // Log-uniform: small cases are as frequent as large ones.
  const auto size = [&](double high) {
    return static_cast<std::int64_t>(std::exp(uniform(0, std::log(high))));
  };
  const auto maybe = [&](double part, double high) {
    return uniform(0, 1) < part ? uniform(0, high) : 0.0;
  };
  Scenario scenario;
  scenario.nodes = static_cast<int>(size(64));
  scenario.gpu_slots = static_cast<int>(one_of(0, 8));
  scenario.mini_batches = one_of(0, 19) == 0 ? 0 : size(static_cast<double>(most));
  scenario.max_items = size(100);
  // From mini-batches that are gone before the next message comes to those that nobody sends ahead.
  scenario.longest_run = std::chrono::microseconds(10 * size(20'000));
  scenario.restored = maybe(0.2, 1.0);
  scenario.init_failure = maybe(0.3, uniform(0, 1) < 0.2 ? 1.0 : 0.3);
  scenario.init_crash = maybe(0.3, 0.3);
  scenario.init_hang = maybe(0.2, 0.2);
  scenario.run_exception = maybe(0.5, 0.3);
  scenario.run_crash = maybe(0.5, 0.2);
  scenario.run_hang = maybe(0.3, 0.05);
  scenario.load_hang = maybe(0.2, 0.05);
  scenario.slow = maybe(0.3, 0.1);
  scenario.short_return = maybe(0.3, 0.2);
  scenario.long_return = maybe(0.2, 0.1);
  scenario.duplicate = maybe(0.5, 0.3);
  scenario.late = maybe(0.3, 0.1);
  scenario.shutdown_hang = maybe(0.2, 0.3);
  scenario.node_loss = maybe(0.2, 0.02);
  scenario.stop = uniform(0, 1) < 0.2 ? 1.0 : 0.0;
  scenario.stop_now = uniform(0, 1) < 0.5;
  Settings& settings = scenario.settings;
  settings.node_count = scenario.nodes;
  settings.processes_per_node = static_cast<int>(one_of(1, 8));
  settings.gpus_per_worker = static_cast<int>(one_of(0, 2));
  settings.run_max_try = static_cast<int>(one_of(1, 5));
  settings.run_invocation_timeout = std::chrono::seconds(one_of(1, 120));
  settings.task_overhead_timeout = std::chrono::seconds(one_of(1, 60));
  settings.error_threshold = uniform(0, 1) < 0.3 ? size(1000) - 1 : -1;
  settings.allowed_failed_count = uniform(0, 1) < 0.3 ? size(100) - 1 : -1;
  settings.allowed_failed_percent = uniform(0, 1) < 0.2 ? uniform(0, 100) : 100;
  settings.append_row = one_of(0, 1) == 0;
  settings.strict_return_length = one_of(0, 3) == 0;
  settings.fail_on_empty = one_of(0, 3) == 0;
  settings.compat = static_cast<Compat>(one_of(0, 3));
  if (uniform(0, 1) < 0.2) scenario.bad_gpu = static_cast<int>(one_of(0, 7));
  return scenario;
}

std::string Scenario::describe() const {
  return fmt::format(
      "{} nodes x {} workers, {} mini-batches of up to {} items, {} GPU slots, run_max_try {}, "
      "error_threshold {}, allowed_failed_count {}",
      nodes, settings.processes_per_node, mini_batches, max_items, gpu_slots, settings.run_max_try,
      settings.error_threshold, settings.allowed_failed_count);
}

Result simulate(const Scenario& scenario, std::uint64_t seed) {
  World world(scenario, seed);
  try {
    return world.run();
  } catch (const Violation& violation) {
    Result result = world.result();
    result.violation = violation.text;
    result.simulated_s = std::chrono::duration<double>(world.now()).count();
    return result;
  }
}

}  // namespace prs::job::simulation
