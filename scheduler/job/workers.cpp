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
  worker.half = worker.full = worker.recall = kNever;
  if (phase == WorkerPhase::kIdle) idle_.emplace_back(worker.id, worker.generation);
}

void Workers::set_deadline(Worker& worker, Duration full, bool half) {
  worker.full = worker.since + full;
  if (half) worker.half = worker.since + full / 2;
  watch(worker);
}

void Workers::set_recall(Worker& worker, Duration patience) {
  if (worker.ahead.empty()) return;
  worker.recall = worker.since + patience;
  watch(worker);
}

void Workers::watch(Worker& worker) {
  const Time next = worker.next_deadline();
  if (next >= worker.watched) return;
  worker.watched = next;
  watches_.push({next, worker.id});
}

Worker* Workers::first_watched() {
  while (!watches_.empty()) {
    const Watch first = watches_.top();
    Worker* worker = find(first.worker);
    // An earlier entry has taken its place otherwise.
    const bool stands = worker != nullptr && worker->watched == first.at;
    if (stands && worker->next_deadline() == first.at) return worker;
    watches_.pop();
    if (!stands) continue;
    worker->watched = kNever;
    watch(*worker);
  }
  return nullptr;
}

std::optional<Deadline> Workers::take_due(Time now) {
  Worker* worker = first_watched();
  if (worker == nullptr || worker->watched > now) return std::nullopt;
  Deadline due{worker->watched, worker->id, Deadline::Kind::kFull};
  // Of deadlines at one moment the lesser come first.
  if (worker->half == due.at) {
    due.kind = Deadline::Kind::kHalf;
    worker->half = kNever;
  } else if (worker->recall == due.at) {
    due.kind = Deadline::Kind::kRecall;
    worker->recall = kNever;
  } else {
    worker->full = kNever;
  }
  return due;
}

std::optional<Time> Workers::next_deadline() {
  const Worker* worker = first_watched();
  if (worker == nullptr) return std::nullopt;
  return worker->watched;
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
