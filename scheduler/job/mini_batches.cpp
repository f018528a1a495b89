#include "job/mini_batches.hpp"

namespace prs::job {
namespace {

/// W8: a mini-batch that was on so many lost nodes is failed: it may be what loses them.
constexpr int kMaxLosses = 3;

}  // namespace

void MiniBatches::create(const MiniBatchCreated& event) {
  entries_.push_back({.items = event.items});
  ++counts_.mini_batches;
  counts_.items += event.items;
  if (event.accepted) {
    entries_.back().state = State::kDone;
    ++counts_.mini_batches_done;
    counts_.items_succeeded += event.succeeded;
    counts_.items_failed += event.items > event.succeeded ? event.items - event.succeeded : 0;
  }
}

std::size_t MiniBatches::next_new() const {
  while (next_new_ < entries_.size() && entries_[next_new_].state == State::kDone) ++next_new_;
  return next_new_;
}

std::optional<std::int64_t> MiniBatches::take() {
  std::int64_t id = 0;
  if (!repeats_.empty()) {
    id = repeats_.front();
    repeats_.pop_front();
  } else if (next_new() < entries_.size()) {
    id = static_cast<std::int64_t>(next_new_++);
  } else {
    return std::nullopt;
  }
  at(id).state = State::kRunning;
  return id;
}

void MiniBatches::accept(std::int64_t id, std::int64_t succeeded, std::int64_t failed) {
  Entry& entry = at(id);
  entry.state = State::kDone;
  set_failing(entry, false);
  ++counts_.mini_batches_done;
  counts_.items_succeeded += succeeded;
  counts_.items_failed += failed;
}

bool MiniBatches::end_try(std::int64_t id, bool node_lost) {
  Entry& entry = at(id);
  if (node_lost) {
    ++entry.losses;
  } else {
    ++entry.tries;
  }
  if (entry.tries < run_max_try_ && entry.losses < kMaxLosses) {
    if (!node_lost) set_failing(entry, true);
    put_back(id);
    return true;
  }
  set_failing(entry, false);
  entry.state = State::kFailed;
  ++counts_.mini_batches_failed;
  counts_.items_failed += entry.items;  // T4
  return false;
}

void MiniBatches::put_back(std::int64_t id) {
  at(id).state = State::kWaiting;
  repeats_.push_back(id);
}

void MiniBatches::set_failing(Entry& entry, bool failing) {
  if (!count_while_failing_ || entry.failing == failing) return;
  entry.failing = failing;
  failing_ += failing ? 1 : -1;
}

}  // namespace prs::job
