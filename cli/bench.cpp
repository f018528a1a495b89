// prs-gpu bench: how fast a model is on this machine, and how near to what the machine can do.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <prs/engine.hpp>
#include <prs/version.hpp>

#include "bench.hpp"
#include "choice.hpp"
#include "commands.hpp"
#include "load_engine.hpp"
#include "measure/peaks.hpp"
#include "measure/timed.hpp"
#include "output.hpp"
#include "scoring_options.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

using bench::Peaks;
using Json = nlohmann::ordered_json;

constexpr const char* kBenchExamples = R"(Examples:
  prs-gpu bench cpu --model lenet.onnx                     batches from 1 to 1024, 1 and all threads
  prs-gpu bench cpu --model lenet.onnx --batch 1,64 --threads 2 --seconds 2
  prs-gpu bench cpu --model model.onnx --resize=224x224    a model that leaves the image size open
  prs-gpu bench cpu                                        only what the machine can do
  prs-gpu bench cpu --model lenet.onnx --format json | jq .cells
  prs-gpu bench gpu --model lenet.onnx --precision bf16    GPU 0, kernel by kernel

From u8 pixels in memory (random ones; of images with many zeros, fully connected first layers take
less time) to scores in memory. The limit is what the model's operations
would take at the machine's own peak, or its pixels and scores at the speed of its memory, whichever is
slower; both are measured first. A kernel that saves multiplications may pass it. On a GPU each kernel
is measured by the device's clock and set against its own operations and bytes. Exit code 69: there is
no GPU to measure.
)";

struct Cell {
  std::int64_t batch = 0;
  int threads = 0;
  double images_per_s = 0.0;
  double p50_us = 0.0;
  double p99_us = 0.0;
  std::optional<double> percent_of_limit{};  ///< None without a peak for the precision.
};

/// A model's share of a report.
struct ModelReport {
  std::string path;
  Precision precision = Precision::kFp32;
  double flops_per_image = 0.0;
  double bytes_per_image = 0.0;
  std::vector<Cell> cells;
};

/// The machine's peak for products in `precision`.
std::optional<double> peak_of(Precision precision, const Peaks& peaks) {
  switch (precision) {
    case Precision::kFp32:
      return peaks.fp32_gflops;
    case Precision::kBf16:
      return peaks.bf16_gflops;
    case Precision::kInt8:
      return peaks.int8_gops;
    default:
      return std::nullopt;
  }
}

ModelReport measure_model(const BenchOptions& options, const std::vector<Peaks>& peaks) {
  ModelReport report;
  report.path = options.scoring.model.string();
  report.precision = options.scoring.engine.precision;
  std::vector<std::uint8_t> pixels;
  for (const Peaks& peak : peaks) {
    EngineOptions engine_options = options.scoring.engine;
    engine_options.device = "cpu";
    engine_options.threads = peak.threads;
    const Engine engine = load_measured(options, engine_options);
    const ImageInput& input = engine.input();
    const std::int64_t image_bytes = input.height * input.width * input.channels;
    report.flops_per_image = engine.describe(1).flops_per_image;
    report.bytes_per_image = static_cast<double>(
        image_bytes + engine.classes() * static_cast<std::int64_t>(sizeof(float)));
    const std::optional<double> peak_gops = peak_of(engine.precision(), peak);
    const auto percent_of_limit = [&](double rate) -> std::optional<double> {
      if (!peak_gops) return std::nullopt;
      return 100.0 * rate /
             bench::limit_images_per_s(report.flops_per_image, report.bytes_per_image, *peak_gops,
                                       peak.copy_gb_s);
    };
    const std::int64_t images = std::max(
        std::int64_t{256}, *std::max_element(options.batches.begin(), options.batches.end()));
    if (pixels.empty()) pixels = random_pixels(input, images);
    std::vector<float> scores;
    for (const std::int64_t batch : options.batches) {
      spdlog::debug("batch {}, {} threads", batch, peak.threads);
      scores.resize(static_cast<std::size_t>(batch * engine.classes()));
      std::int64_t first = 0;
      const bench::Timed timed = bench::time_calls(options.seconds, [&] {
        if (first + batch > images) first = 0;
        engine.run({DType::kUint8, {batch, image_bytes}, pixels.data() + first * image_bytes},
                   scores);
        first += batch;
      });
      const double rate = timed.calls_per_s() * static_cast<double>(batch);
      report.cells.push_back({batch, peak.threads, rate, timed.percentile_us(0.50),
                              timed.percentile_us(0.99), percent_of_limit(rate)});
    }
  }
  return report;
}

std::string as_text(const std::vector<Peaks>& peaks, const std::optional<ModelReport>& model) {
  const auto or_none = [](const std::optional<double>& rate) {
    return rate ? format_rate(*rate) : "-";
  };
  Table machine(">>>>>");
  machine.add({"threads", "fp32 GFLOP/s", "bf16 GFLOP/s", "int8 GOP/s", "copy GB/s"});
  for (const Peaks& peak : peaks) {
    machine.add({fmt::format("{}", peak.threads), format_rate(peak.fp32_gflops),
                 or_none(peak.bf16_gflops), or_none(peak.int8_gops), format_rate(peak.copy_gb_s)});
  }
  std::string text = fmt::format("{}; kernels: {}\n{}", build_info().cpu, build_info().isa,
                                 machine.to_string("  "));
  if (!model) return text;
  Table table(">>>>>>");
  table.add({"threads", "batch", "images/s", "p50 us", "p99 us", "% of limit"});
  for (const Cell& cell : model->cells) {
    table.add({fmt::format("{}", cell.threads), group_digits(cell.batch),
               format_rate(cell.images_per_s), format_rate(cell.p50_us), format_rate(cell.p99_us),
               cell.percent_of_limit ? fmt::format("{:.0f}", *cell.percent_of_limit) : "-"});
  }
  return text + fmt::format("{}: {}FLOP and {}B an image, {}\n{}", model->path,
                            format_quantity(model->flops_per_image),
                            format_quantity(model->bytes_per_image),
                            precision_name(model->precision), table.to_string("  "));
}

std::string as_json(const std::vector<Peaks>& peaks, const std::optional<ModelReport>& model) {
  const auto or_null = [](const std::optional<double>& rate) {
    return rate ? Json(*rate) : Json();
  };
  const BuildInfo build = build_info();
  Json json = {{"commit", build.commit},
               {"cpu", build.cpu},
               {"kernels", build.isa},
               {"peaks", Json::array()}};
  for (const Peaks& peak : peaks) {
    json["peaks"].push_back({{"threads", peak.threads},
                             {"fp32_gflops", peak.fp32_gflops},
                             {"bf16_gflops", or_null(peak.bf16_gflops)},
                             {"int8_gops", or_null(peak.int8_gops)},
                             {"copy_gb_s", peak.copy_gb_s}});
  }
  if (model) {
    json["model"] = model->path;
    json["flops_per_image"] = model->flops_per_image;
    json["bytes_per_image"] = model->bytes_per_image;
    json["cells"] = Json::array();
    for (const Cell& cell : model->cells) {
      json["cells"].push_back({{"batch", cell.batch},
                               {"threads", cell.threads},
                               {"device", "cpu"},
                               {"precision", precision_name(model->precision)},
                               {"images_per_s", cell.images_per_s},
                               {"p50_us", cell.p50_us},
                               {"p99_us", cell.p99_us},
                               {"percent_of_limit", or_null(cell.percent_of_limit)}});
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int run_bench_cpu(const BenchOptions& options) {
  std::vector<Peaks> peaks;
  for (const int threads : options.threads) {
    spdlog::info("measuring what the machine can do with {} thread{}", threads,
                 threads == 1 ? "" : "s");
    peaks.push_back(bench::measure_peaks(threads, options.seconds));
  }
  std::optional<ModelReport> model;
  if (!options.scoring.model.empty()) model = measure_model(options, peaks);
  print(options.format == Format::kText ? as_text(peaks, model) : as_json(peaks, model));
  return kExitDone;
}

}  // namespace

std::vector<std::uint8_t> random_pixels(const ImageInput& input, std::int64_t images) {
  std::vector<std::uint8_t> pixels(
      static_cast<std::size_t>(images * input.height * input.width * input.channels));
  std::minstd_rand random(1);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random() >> 8);
  return pixels;
}

Engine load_measured(const BenchOptions& options, EngineOptions engine_options) {
  const std::filesystem::path& model = options.scoring.model;
  if (engine_options.precision != Precision::kInt8) return load_engine(model, engine_options);
  EngineOptions as_float = engine_options;
  as_float.device = "cpu";
  as_float.precision = Precision::kFp32;
  const ImageInput input = load_engine(model, as_float).input();
  constexpr std::int64_t kImages = 64;
  const std::vector<std::uint8_t> pixels = random_pixels(input, kImages);
  engine_options.calibration = {
      DType::kUint8, {kImages, input.height * input.width * input.channels}, pixels.data()};
  return load_engine(model, engine_options);
}

void add_bench(CLI::App& app, Command& chosen) {
  CLI::App& command = *app.add_subcommand("bench", "Measure a model's speed on this machine");
  const auto options = std::make_shared<BenchOptions>();
  const int cores = available_processors();
  options->threads = cores == 1 ? std::vector<int>{1} : std::vector<int>{1, cores};
  command.add_option("device", options->device, "What to measure: cpu or gpu")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember(std::vector<std::string>{"cpu", "gpu"}).description(""));
  command.add_option("--model", options->scoring.model, "ONNX model (default: none)")
      ->type_name("FILE");
  command.add_option("--batch", options->batches, "Images computed at once")
      ->type_name("N[,N]")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20).description(""))
      ->capture_default_str();
  command.add_option("--threads", options->threads, "Threads that share a batch; cpu only")
      ->type_name("N[,N]")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096).description(""))
      ->capture_default_str();
  command.add_option("--seconds", options->seconds, "How long each figure is measured")
      ->type_name("S")
      ->check(CLI::Range(0.0, 3600.0).description(""))
      ->capture_default_str();
  add_precision(command, options->scoring);
  add_format(command, options->format);
  add_preprocess_options(command, options->scoring);
  command.footer(kBenchExamples);
  command.callback([options, &chosen] {
    chosen = [options] {
      return options->device == "gpu" ? run_bench_gpu(*options) : run_bench_cpu(*options);
    };
  });
}

}  // namespace prs::cli
