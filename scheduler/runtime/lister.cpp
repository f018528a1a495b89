#include "runtime/lister.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <prs/error.hpp>
#include <utility>

#include "dataset/identity.hpp"

namespace prs::runtime {
namespace {

/// The listing waits when so many have not been taken: memory does not grow with the input, and to
/// take them keeps the agent for some milliseconds at most.
constexpr std::size_t kMostUntaken = 256;

}  // namespace

Lister::Lister(dataset::InputSpec inputs, std::unique_ptr<dataset::Partitioner> partitioner,
               Identify identify, profile::Recorder* profile)
    : inputs_(std::move(inputs)),
      partitioner_(std::move(partitioner)),
      identify_(identify),
      profile_(profile),
      ready_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!ready_) throw Error(ErrorCode::kIo, fmt::format("eventfd: {}", std::strerror(errno)));
  thread_ = std::jthread([this](const std::stop_token& stop) { list(stop); });
}

Lister::~Lister() = default;

void Lister::list(const std::stop_token& stop) {
  if (profile_ != nullptr) profile_->name_thread("listing");
  const profile::Scope scope(profile_, profile::Stage::kList);
  std::string identity;
  std::exception_ptr error;
  try {
    identity = list_all(stop);
  } catch (const Error&) {
    error = std::current_exception();
  } catch (const std::exception& other) {  // No memory left, say.
    error = std::make_exception_ptr(Error(ErrorCode::kInternal, other.what()));
  }
  const std::lock_guard lock(mutex_);
  listed_.complete = !error;
  listed_.input_identity = std::move(identity);
  error_ = error;
  tell();
}

std::string Lister::list_all(const std::stop_token& stop) {
  std::optional<dataset::InputIdentity> identity;
  std::string whole;
  const bool by_content = identify_ == Identify::kByContent;
  // What comes in pieces is looked at file by file, before any of it is given out.
  const bool by_files = dataset::names_tables(inputs_) || !inputs_.partition_keys.empty();
  if (by_content || (identify_ != Identify::kNot && by_files)) {
    whole = dataset::input_identity(inputs_, by_content, stop);
  } else if (identify_ != Identify::kNot) {
    identity.emplace(false);
  }
  while (std::optional<dataset::MiniBatch> one = partitioner_->next(stop)) {
    if (identity) identity->add(*one);
    give_out(std::move(*one), stop);
  }
  return identity ? identity->finish() : whole;
}

void Lister::give_out(dataset::MiniBatch mini_batch, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [this] { return listed_.mini_batches.size() < kMostUntaken; });
  dataset::check_not_stopped(stop);
  listed_.mini_batches.push_back(std::move(mini_batch));
  if (listed_.mini_batches.size() == 1) return tell();
  changed_.notify_all();
}

/// With the mutex held.
void Lister::tell() {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the descriptor is readable.
  [[maybe_unused]] const ssize_t written = ::write(ready_.get(), &one, sizeof one);
  changed_.notify_all();
}

Lister::Listed Lister::take() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(ready_.get(), &count, sizeof count);
  if (error_ && listed_.mini_batches.empty()) std::rethrow_exception(error_);
  Listed taken = std::exchange(listed_, Listed{});
  if (error_) tell();
  changed_.notify_all();
  return taken;
}

void Lister::wait_for(std::size_t count, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] {
    return listed_.mini_batches.size() >= count || listed_.complete || error_;
  });
}

}  // namespace prs::runtime
