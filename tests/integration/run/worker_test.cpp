// A real worker whose agent is the test: what was sent to it runs once, or is withdrawn, whatever
// the two do at the same time.

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "../program.hpp"
#include "config/step.hpp"
#include "dataset/dataset.hpp"
#include "protocol.pb.h"
#include "runtime/child.hpp"
#include "runtime/claims.hpp"
#include "runtime/frame.hpp"
#include "runtime/protocol.hpp"

namespace prs::test {
namespace {

using runtime::Claims;
namespace wire = runtime::wire;

/// Long enough for any machine: only a worker that hangs takes so long.
constexpr int kPatienceMs = 60'000;

std::vector<std::int64_t> from_to(std::int64_t first, std::int64_t end) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(end - first));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

runtime::ChildOptions worker_process(const std::filesystem::path& folder, int weights) {
  runtime::ChildOptions options;
  options.arguments = prs_gpu_command({"worker"});
  for (char** variable = environ; *variable != nullptr; ++variable) {
    options.environment.emplace_back(*variable);
  }
  options.stdout_file = folder / "stdout";
  options.stderr_file = folder / "stderr";
  options.shared_weights = weights;
  return options;
}

/// The agent of one worker. Mini-batch n is sent as number n: one image.
class Agent {
 public:
  Agent(const std::filesystem::path& folder, const std::string& image, const std::string& threads,
        const std::string& model = "lenet.onnx", int weights = -1)
      : image_(image), child_(worker_process(folder, weights)) {
    config::Step step;
    step.entry.kind = config::EntrySpec::Kind::kModel;
    step.entry.path = model_path(model);
    step.device = "cpu";
    step.model_options["threads"] = threads;
    wire::ToWorker message;
    wire::Hello& hello = *message.mutable_hello();
    hello.set_protocol_version(runtime::kProtocolVersion);
    hello.set_step_json(config::to_json(step));
    hello.set_output_folder(folder.string());
    hello.set_logs_folder(folder.string());
    hello.set_agent_name("process000");
    hello.set_process_count(1);
    hello.set_shares_weights(weights >= 0);
    hello.set_segment_path((folder / "rows").string());
    send(message);
    // As an agent does, which gives work to those alone that are ready.
    EXPECT_TRUE(wait_until([&] { return ready_; })) << "the worker does not become ready";
  }

  /// As one write: the worker finds them all there.
  void send_mini_batches(const std::vector<std::int64_t>& ids) {
    for (const std::int64_t id : ids) {
      dataset::MiniBatch mini_batch;
      mini_batch.id = id;
      mini_batch.files = {image_};
      wire::ToWorker message;
      message.mutable_run()->set_mini_batch(id);
      message.mutable_run()->set_attempt(1);
      message.mutable_run()->set_number(static_cast<std::uint64_t>(id));
      message.mutable_run()->set_description(dataset::serialize(mini_batch));
      writer_.add(message.SerializeAsString());
    }
    flush();
  }

  Claims& claims() { return child_.claims(); }
  /// The memory that the worker has mapped of a file, by the file's name.
  std::int64_t mapped_bytes(const std::string& name) const {
    std::int64_t bytes = 0;
    for (const std::string& line :
         lines_of(read_text(fmt::format("/proc/{}/maps", child_.pid())))) {
      if (line.find(name) == std::string::npos) continue;
      std::size_t dash = 0;
      const auto begin = std::stoull(line, &dash, 16);
      bytes += static_cast<std::int64_t>(std::stoull(line.substr(dash + 1), nullptr, 16) - begin);
    }
    return bytes;
  }

  /// Reads until so many mini-batches have returned. False when that does not come.
  bool wait_for_returned(std::size_t count) {
    return wait_until([&] { return returned.size() >= count; });
  }
  bool wait_for_first_start() {
    return wait_until([&] { return started > 0; });
  }
  /// The exit code after an orderly shutdown.
  int shut_down() {
    wire::ToWorker message;
    message.mutable_shutdown();
    send(message);
    pollfd ended{child_.pidfd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, kPatienceMs), 1) << "the worker does not end";
    if (ended.revents == 0) return -1;
    const runtime::ExitStatus status = child_.reap();
    return status.signaled ? -status.code : status.code;
  }

  std::vector<std::int64_t> returned;  ///< In this order.
  int started = 0;

 private:
  void send(const wire::ToWorker& message) {
    writer_.add(message.SerializeAsString());
    flush();
  }
  void flush() {
    ASSERT_TRUE(writer_.flush(child_.socket()));
    ASSERT_FALSE(writer_.pending()) << "more than a socket holds";
  }

  template <typename Done>
  bool wait_until(const Done& done) {
    while (!done()) {
      pollfd readable{child_.socket(), POLLIN, 0};
      if (::poll(&readable, 1, kPatienceMs) != 1) return false;
      if (reader_.fill(child_.socket()) == runtime::FrameReader::Fill::kEnded) return false;
      while (const auto frame = reader_.next()) {
        wire::FromWorker message;
        if (!message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) return false;
        if (message.has_init_failed() || message.has_run_failed()) return false;
        if (message.has_ready()) ready_ = true;
        if (message.has_run_started()) ++started;
        if (!message.has_run_returned()) continue;
        EXPECT_EQ(message.run_returned().rows(), 1);
        returned.push_back(message.run_returned().mini_batch());
      }
    }
    return true;
  }

  const std::string image_;
  bool ready_ = false;
  runtime::Child child_;
  runtime::FrameReader reader_;
  runtime::FrameWriter writer_;
};

class Worker : public ProgramTest {
 protected:
  void SetUp() override { write_png(image_, 1); }
  std::filesystem::path folder(const std::string& name) const {
    std::filesystem::create_directories(dir() / name);
    return dir() / name;
  }
  const std::string image_ = file("image.png");
};

TEST_F(Worker, W1_OfAGroupOnlyWhatIsNotWithdrawnRuns) {
  // With one thread nothing is read ahead.
  for (const char* threads : {"1", "3"}) {
    for (const std::int64_t withdrawn : {0, 3, 10}) {
      SCOPED_TRACE(fmt::format("{} threads, {} withdrawn", threads, withdrawn));
      Agent agent(folder(fmt::format("{}.{}", threads, withdrawn)), image_, threads);
      // Before they are sent: the worker cannot be quicker.
      EXPECT_EQ(agent.claims().withdraw(static_cast<std::uint64_t>(withdrawn)), 0U);
      agent.send_mini_batches(from_to(0, 10));
      agent.send_mini_batches(from_to(10, 13));
      EXPECT_TRUE(agent.wait_for_returned(static_cast<std::size_t>(13 - withdrawn)));
      EXPECT_EQ(agent.returned, from_to(withdrawn, 13));
      EXPECT_EQ(agent.shut_down(), 0);
    }
  }
}

TEST_F(Worker, W1_WhatIsWithdrawnWhileGroupsAreReadAndRunIsNotRun) {
  for (const char* threads : {"1", "3"}) {
    for (std::size_t after = 0; after < 100; after += 9) {
      SCOPED_TRACE(fmt::format("{} threads, withdrawn after {} have returned", threads, after));
      Agent agent(folder(fmt::format("{}.{}", threads, after)), image_, threads);
      agent.send_mini_batches(from_to(0, 120));
      ASSERT_TRUE(agent.wait_for_first_start());
      ASSERT_TRUE(agent.wait_for_returned(after));
      const auto first = static_cast<std::int64_t>(agent.claims().withdraw(120));
      EXPECT_GE(first, 1) << "one had started";
      ASSERT_TRUE(agent.wait_for_returned(static_cast<std::size_t>(first)));
      agent.send_mini_batches(from_to(120, 125));
      EXPECT_TRUE(agent.wait_for_returned(static_cast<std::size_t>(first + 5)));
      std::vector<std::int64_t> expected = from_to(0, first);
      for (const std::int64_t id : from_to(120, 125)) expected.push_back(id);
      EXPECT_EQ(agent.returned, expected);
      EXPECT_EQ(agent.shut_down(), 0);
    }
  }
}

TEST_F(Worker, WeightsAreInMemoryOnceForAll) {
  const runtime::Fd weights = runtime::shared_weights_file();
  Agent one(folder("one"), image_, "1", "mlp.onnx", weights.get());
  const auto size = std::filesystem::file_size(fmt::format("/proc/self/fd/{}", weights.get()));
  Agent two(folder("two"), image_, "1", "mlp.onnx", weights.get());
  EXPECT_EQ(std::filesystem::file_size(fmt::format("/proc/self/fd/{}", weights.get())), size);
  for (Agent* agent : {&one, &two}) {
    // The first layer's matrix, as it was read and as it was packed.
    EXPECT_GE(agent->mapped_bytes("memfd:prs-gpu-weights"), 2 * 784 * 256 * 4);
    agent->send_mini_batches(from_to(0, 3));
    EXPECT_TRUE(agent->wait_for_returned(3));
    EXPECT_EQ(agent->shut_down(), 0);
  }
}

TEST(WorkerClaims, W1_EveryNumberIsTakenOrWithdrawnAndNoneBoth) {
  constexpr std::uint64_t kNumbers = 200'000;
  constexpr std::uint64_t kAtOnce = 20;
  Claims claims = Claims::create();
  std::atomic<std::uint64_t> sent{0};
  std::set<std::uint64_t> withdrawn;
  std::vector<std::uint64_t> taken;
  std::thread worker([&] {
    for (std::uint64_t number = 0; number < kNumbers; ++number) {
      while (sent.load() <= number) std::this_thread::yield();
      if (claims.take(number)) taken.push_back(number);
    }
  });
  for (std::uint64_t end = kAtOnce; end <= kNumbers; end += kAtOnce) {
    sent = end;
    if (end % (3 * kAtOnce) != 0) continue;
    for (std::uint64_t n = claims.withdraw(end); n < end; ++n) {
      EXPECT_TRUE(withdrawn.insert(n).second) << n << " was withdrawn twice";
    }
  }
  worker.join();
  EXPECT_EQ(taken.size() + withdrawn.size(), kNumbers);
  for (const std::uint64_t number : taken) {
    EXPECT_FALSE(withdrawn.contains(number)) << number << " is taken and withdrawn";
  }
}

}  // namespace
}  // namespace prs::test
