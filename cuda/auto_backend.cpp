#include "auto_backend.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "graph/step.hpp"
#include "prs/error.hpp"

namespace prs {
namespace {

/// Runs of one device: enough for the fastest of a few, and no more than a slow model bears.
constexpr double kWantedUs = 2e3;
constexpr double kMostUs = 50e3;
/// The first load kernels and record them.
constexpr int kWarmUps = 2;
constexpr int kFewestRuns = 3;

struct Comparison {
  double gpu_us = 0.0;
  double cpu_us = 0.0;

  bool gpu_wins() const { return gpu_us <= cpu_us; }
};

/// FNV-1a, 64 bits: names files, and says nothing else.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

/// What a run's duration hangs on: operators and types, not names or the values of weights.
std::string shape_of(const Graph& graph) {
  std::string text;
  const auto add = [&](ValueId id) {
    if (id == kNoValue) return;
    const Value& value = graph.value(id);
    text += fmt::format(" {}{}{}", dtype_name(value.dtype), value.shape->to_string(),
                        value.constant ? "c" : "");
  };
  for (const Node& node : graph.nodes) {
    text += step_label(node);
    for (const ValueId id : node.inputs) add(id);
    text += " ->";
    for (const ValueId id : node.outputs) add(id);
    text += '\n';
  }
  return text;
}

/// A decision on disk: the plan's shape, so that two with one hash are told apart, then the times.
class Cache {
 public:
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::optional<Comparison> find(const std::string& key) const {
    if (folder_.empty()) return std::nullopt;
    std::ifstream file(path_of(key), std::ios::binary);
    std::string stored(key.size(), '\0');
    if (!file.read(stored.data(), static_cast<std::streamsize>(stored.size())) || stored != key) {
      return std::nullopt;
    }
    Comparison times;
    if (!(file >> times.gpu_us >> times.cpu_us) || !(times.gpu_us > 0.0 && times.cpu_us > 0.0)) {
      return std::nullopt;
    }
    return times;
  }

  /// A file appears whole or not at all: other processes read it at the same time.
  void keep(const std::string& key, const Comparison& times) const {
    if (folder_.empty()) return;
    static std::atomic<int> number{0};
    std::error_code ignored;
    std::filesystem::create_directories(folder_, ignored);
    const std::filesystem::path path = path_of(key);
    std::filesystem::path partial = path;
    partial += fmt::format(".{}.{}", ::getpid(), number++);
    std::ofstream file(partial, std::ios::binary);
    file << key << fmt::format("{} {}\n", times.gpu_us, times.cpu_us);
    file.close();
    if (file) {
      std::filesystem::rename(partial, path, ignored);
    } else {
      std::filesystem::remove(partial, ignored);
    }
  }

 private:
  std::filesystem::path path_of(const std::string& key) const {
    return folder_ / fmt::format("{:016x}", hash_of(key));
  }

  std::filesystem::path folder_;
};

/// The chosen executable, with the reason among its notes.
class ChosenExecutable : public Executable {
 public:
  ChosenExecutable(std::unique_ptr<Executable> chosen, std::string note)
      : chosen_(std::move(chosen)), notes_(chosen_->notes().begin(), chosen_->notes().end()) {
    notes_.push_back(std::move(note));
  }

  std::unique_ptr<ExecutionContext> new_context() const override { return chosen_->new_context(); }
  void run(ExecutionContext& context, std::span<const void* const> inputs,
           std::span<void* const> outputs) const override {
    chosen_->run(context, inputs, outputs);
  }
  RunProfile profile(ExecutionContext& context, std::span<const void* const> inputs,
                     double seconds) const override {
    return chosen_->profile(context, inputs, seconds);
  }
  std::int64_t arena_bytes() const override { return chosen_->arena_bytes(); }
  std::int64_t block_images() const override { return chosen_->block_images(); }
  std::span<const StepInfo> steps() const override { return chosen_->steps(); }
  std::span<const std::string> notes() const override { return notes_; }

 private:
  std::unique_ptr<Executable> chosen_;
  std::vector<std::string> notes_;
};

class AutoBackend : public Backend {
 public:
  AutoBackend(std::unique_ptr<Backend> gpu, std::unique_ptr<Backend> cpu, AutoOptions options)
      : gpu_(std::move(gpu)),
        cpu_(std::move(cpu)),
        options_(std::move(options)),
        cache_(options_.cache_folder) {
    for (const Backend* backend : {gpu_.get(), cpu_.get()}) {
      for (const Precision one : backend->precisions()) {
        if (std::find(precisions_.begin(), precisions_.end(), one) == precisions_.end()) {
          precisions_.push_back(one);
        }
      }
    }
  }

  std::string name() const override {
    if (!problem().empty()) return cpu_->name();
    return fmt::format("{} or {}", gpu_->name(), cpu_->name());
  }
  std::string problem() const override {
    const std::lock_guard lock(mutex_);
    return problem_;
  }
  std::span<const Precision> precisions() const override { return precisions_; }
  int lanes(int threads) const override { return gpu_->lanes(threads); }
  std::int64_t preferred_images() const override { return gpu_->preferred_images(); }
  PieceSize piece_size(std::int64_t arena_bytes, std::int64_t input_bytes) const override {
    return gpu_->piece_size(arena_bytes, input_bytes);
  }
  DevicePeaks measure(double seconds) const override { return gpu_->measure(seconds); }

  /// Where a graph ended up is told by the device of its steps.
  std::unique_ptr<Executable> compile(const Graph& graph,
                                      const CompileOptions& options) const override {
    try {
      return compile_on_faster(graph, options);
    } catch (const Error& error) {
      // Another process may have its memory, or have it for itself.
      if (error.code() != ErrorCode::kOutOfMemory && error.code() != ErrorCode::kUnavailable) throw;
      std::unique_ptr<Executable> on_cpu = try_compile(*cpu_, graph, options);
      if (on_cpu == nullptr) throw;
      const std::lock_guard lock(mutex_);
      problem_ = fmt::format("{} cannot be used: {}", gpu_->name(), error.message());
      return std::make_unique<ChosenExecutable>(std::move(on_cpu), "auto: " + problem_);
    }
  }

 private:
  std::unique_ptr<Executable> compile_on_faster(const Graph& graph,
                                                const CompileOptions& options) const {
    const std::string key = fmt::format("{}\n{}\n{}", options_.machine,
                                        precision_name(options.precision), shape_of(graph));
    if (const auto known = cache_.find(key)) {
      // A kept decision may not hold for this device any more: then all is as without it.
      if (auto chosen = try_compile(known->gpu_wins() ? *gpu_ : *cpu_, graph, options)) {
        chosen->new_context();  // Throws now, not in the first run, where there is no memory.
        return with_note(std::move(chosen), *known);
      }
    }
    std::unique_ptr<Executable> on_gpu = try_compile(*gpu_, graph, options);
    if (on_gpu == nullptr) return cpu_->compile(graph, options);
    std::unique_ptr<Executable> on_cpu = try_compile(*cpu_, graph, options);
    if (on_cpu == nullptr) return on_gpu;
    const Comparison times{run_us(*on_gpu, graph), run_us(*on_cpu, graph)};
    cache_.keep(key, times);
    return with_note(std::move(times.gpu_wins() ? on_gpu : on_cpu), times);
  }

  /// Null where the backend has no kernels for it.
  static std::unique_ptr<Executable> try_compile(const Backend& backend, const Graph& graph,
                                                 const CompileOptions& options) {
    try {
      return backend.compile(graph, options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      return nullptr;
    }
  }

  std::unique_ptr<Executable> with_note(std::unique_ptr<Executable> chosen,
                                        const Comparison& times) const {
    return std::make_unique<ChosenExecutable>(
        std::move(chosen),
        fmt::format("auto: {:.1f} us on {}, {:.1f} us on the CPU: {}", times.gpu_us, gpu_->name(),
                    times.cpu_us, times.gpu_wins() ? "the GPU" : "the CPU"));
  }

  /// The fastest of some runs on inputs of zeros.
  double run_us(const Executable& executable, const Graph& graph) const {
    std::vector<std::vector<std::byte>> memory;
    const auto make = [&](const std::vector<GraphPort>& ports) {
      std::vector<void*> pointers;
      for (const GraphPort& port : ports) {
        const Value& value = graph.value(port.value);
        memory.emplace_back(static_cast<std::size_t>(value.shape->elements()) *
                            static_cast<std::size_t>(dtype_size(value.dtype)));
        pointers.push_back(memory.back().data());
      }
      return pointers;
    };
    const std::vector<void*> in = make(graph.inputs);
    const std::vector<const void*> inputs(in.begin(), in.end());
    const std::vector<void*> outputs = make(graph.outputs);
    const auto context = executable.new_context();
    double best_us = std::numeric_limits<double>::infinity();
    double measured_us = 0.0;
    double spent_us = 0.0;
    for (int run = 0; spent_us < kMostUs; ++run) {
      if (run >= kWarmUps + kFewestRuns && measured_us >= kWantedUs) break;
      const double begin_us = options_.now_us();
      executable.run(*context, inputs, outputs);
      const double us = options_.now_us() - begin_us;
      spent_us += us;
      best_us = std::min(best_us, us);
      if (run >= kWarmUps) measured_us += us;
    }
    return best_us;
  }

  std::unique_ptr<Backend> gpu_;
  std::unique_ptr<Backend> cpu_;
  AutoOptions options_;
  Cache cache_;
  std::vector<Precision> precisions_;  ///< The GPU's, then the CPU's own.
  mutable std::mutex mutex_;
  mutable std::string problem_;  ///< Why the GPU was not used.
};

}  // namespace

std::filesystem::path auto_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return std::filesystem::path(cache) / "prs-gpu" / "auto";
  if (home == nullptr || *home != '/') return {};
  return std::filesystem::path(home) / ".cache" / "prs-gpu" / "auto";
}

std::unique_ptr<Backend> make_auto_backend(std::unique_ptr<Backend> gpu,
                                           std::unique_ptr<Backend> cpu, AutoOptions options) {
  return std::make_unique<AutoBackend>(std::move(gpu), std::move(cpu), std::move(options));
}

}  // namespace prs
