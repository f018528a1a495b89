#include "job/workers.hpp"

#include <algorithm>
#include <utility>

namespace prs::job {
Node& Workers::node(int index) {
  const auto wanted = static_cast<std::size_t>(index) + 1;
  if (nodes_.size() < wanted) nodes_.resize(wanted);
  return nodes_[wanted - 1];
}

Worker* Workers::find(WorkerId id) {
  if (id.node < 0 || static_cast<std::size_t>(id.node) >= nodes_.size()) return nullptr;
  std::vector<Worker>& workers = nodes_[static_cast<std::size_t>(id.node)].workers;
  const auto found = std::find_if(workers.begin(), workers.end(),
                                  [&](const Worker& worker) { return worker.id == id; });
  return found == workers.end() ? nullptr : &*found;
}

Worker& Workers::start(int node_index, std::vector<int> gpu_slots, Time now) {
  Node& home = node(node_index);
  Worker worker;
  worker.id = {node_index, home.next_process++};
  worker.since = now;
  worker.gpu_slots = std::move(gpu_slots);
  worker.generation = ++generations_;
  home.workers.push_back(std::move(worker));
  ++live_;
  return home.workers.back();
}

void Workers::remove(WorkerId id) {
  Node& home = node(id.node);
  const auto found = std::find_if(home.workers.begin(), home.workers.end(),
                                  [&](const Worker& worker) { return worker.id == id; });
  if (found == home.workers.end()) return;
  home.slots.release(found->gpu_slots);
  if (found->init_done) --initialised_;
  --live_;
  home.workers.erase(found);
}

void Workers::clear(Node& home) {
  while (!home.workers.empty()) remove(home.workers.back().id);
}

void Workers::set_init_done(Worker& worker) {
  if (!worker.init_done) ++initialised_;
  worker.init_done = true;
}

void Workers::set_phase(Worker& worker, WorkerPhase phase, Time now) {
  worker.phase = phase;
  worker.since = now;
  worker.generation = ++generations_;
  if (phase == WorkerPhase::kIdle) idle_.emplace_back(worker.id, worker.generation);
}

void Workers::set_deadline(const Worker& worker, Duration full, bool half) {
  Deadline deadline{worker.since + full, worker.id, worker.generation, Deadline::Kind::kFull};
  deadlines_.push(deadline);
  if (!half) return;
  deadline.at = worker.since + full / 2;
  deadline.kind = Deadline::Kind::kHalf;
  deadlines_.push(deadline);
}

void Workers::drop_void_deadlines() {
  while (!deadlines_.empty()) {
    const Worker* worker = find(deadlines_.top().worker);
    if (worker != nullptr && worker->generation == deadlines_.top().generation) return;
    deadlines_.pop();
  }
}

std::optional<Deadline> Workers::take_due(Time now) {
  drop_void_deadlines();
  if (deadlines_.empty() || deadlines_.top().at > now) return std::nullopt;
  const Deadline due = deadlines_.top();
  deadlines_.pop();
  return due;
}

std::optional<Time> Workers::next_deadline() {
  drop_void_deadlines();
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.top().at;
}

Worker* Workers::take_idle() {
  while (!idle_.empty()) {
    const WorkerId id = idle_.front().first;
    const std::int64_t generation = idle_.front().second;
    idle_.pop_front();
    Worker* worker = find(id);
    if (worker != nullptr && worker->generation == generation) return worker;
  }
  return nullptr;
}

}  // namespace prs::job
