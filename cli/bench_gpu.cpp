// prs-gpu bench gpu: what the GPU can do at most, and how near to it each kernel of a model comes.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <prs/engine.hpp>
#include <prs/profile.hpp>
#include <prs/version.hpp>

#include "bench.hpp"
#include "commands.hpp"
#include "errors.hpp"
#include "measure/peaks.hpp"
#include "measure/timed.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

using Json = nlohmann::ordered_json;
using Rate = std::optional<double>;

constexpr const char* kGpu = "cuda:0";

/// One batch size. From host memory to host memory, as Engine::run takes and gives it.
struct GpuCell {
  std::int64_t batch = 0;
  RunProfile run;
  Rate host_images_per_s{};
  Rate p50_us{};
  Rate p99_us{};

  Rate resident_images_per_s() const {
    if (!run.resident_us) return std::nullopt;
    return 1e6 * static_cast<double>(run.batch) / *run.resident_us;
  }
};

struct GpuReport {
  DevicePeaks peaks;
  std::string model;  ///< Empty: none was measured.
  Precision precision = Precision::kFp32;
  double flops_per_image = 0.0;
  std::int64_t pixel_bytes = 0;  ///< Of an image.
  std::vector<GpuCell> cells;
};

/// How near the step comes to the slower of its operations at the device's peak and its bytes at
/// the speed of a copy.
Rate percent_of_limit(const StepProfile& step, const DevicePeaks& peaks) {
  const auto found = std::find_if(peaks.operations.begin(), peaks.operations.end(),
                                  [&](const auto& one) { return one.precision == step.precision; });
  if (!step.time_us || !peaks.copy_gb_s || found == peaks.operations.end() || !found->giga_per_s) {
    return std::nullopt;
  }
  const double runs_per_s = 1e6 / *step.time_us;
  return 100.0 * runs_per_s /
         bench::limit_images_per_s(step.flops, step.bytes, *found->giga_per_s, *peaks.copy_gb_s);
}

/// How much of the copy rate to the device host-to-host scoring uses.
Rate percent_of_copy(const GpuReport& report, const GpuCell& cell) {
  if (!cell.host_images_per_s || !report.peaks.to_device_gb_s) return std::nullopt;
  return 100.0 * *cell.host_images_per_s * static_cast<double>(report.pixel_bytes) / 1e9 /
         *report.peaks.to_device_gb_s;
}

void measure_model(const BenchOptions& options, GpuReport& report) {
  EngineOptions engine_options = options.scoring.engine;
  engine_options.device = kGpu;
  const auto [least, most] = std::minmax_element(options.batches.begin(), options.batches.end());
  engine_options.max_batch = std::max(engine_options.max_batch, *most);
  const Engine engine = load_measured(options, engine_options);
  const ImageInput& input = engine.input();
  report.model = options.scoring.model.string();
  report.precision = engine.precision();
  report.flops_per_image = engine.describe(*least).flops_per_image;
  report.pixel_bytes = input.height * input.width * input.channels;
  const std::vector<std::uint8_t> pixels = random_pixels(input, *most);
  std::vector<float> scores;
  for (const std::int64_t batch : options.batches) {
    spdlog::debug("batch {}", batch);
    GpuCell cell;
    cell.batch = batch;
    cell.run = engine.profile(batch, options.seconds);
    // The host's clock would say nothing about a device that keeps no time.
    if (report.peaks.keeps_time) {
      scores.resize(static_cast<std::size_t>(batch * engine.classes()));
      const bench::Timed timed = bench::time_calls(options.seconds, [&] {
        engine.run({DType::kUint8, {batch, report.pixel_bytes}, pixels.data()}, scores);
      });
      cell.host_images_per_s = timed.calls_per_s() * static_cast<double>(batch);
      cell.p50_us = timed.percentile_us(0.50);
      cell.p99_us = timed.percentile_us(0.99);
    }
    report.cells.push_back(std::move(cell));
  }
}

std::string rate_text(const Rate& rate) { return rate ? format_rate(*rate) : "-"; }
std::string percent_text(const Rate& rate) { return rate ? fmt::format("{:.0f}", *rate) : "-"; }

std::string peaks_as_text(const DevicePeaks& peaks) {
  Table table("<>");
  table.add({"host to device, GB/s", rate_text(peaks.to_device_gb_s)});
  table.add({"device to host, GB/s", rate_text(peaks.to_host_gb_s)});
  table.add({"copy on the device, GB/s", rate_text(peaks.copy_gb_s)});
  table.add({"launch behind another, us", rate_text(peaks.launch_us)});
  table.add({"launch and wait, us", rate_text(peaks.round_trip_us)});
  for (const DevicePeaks::Operations& one : peaks.operations) {
    table.add({fmt::format("{}, {}/s", precision_name(one.precision),
                           one.precision == Precision::kInt8 ? "GOP" : "GFLOP"),
               rate_text(one.giga_per_s)});
  }
  return table.to_string("  ");
}

std::string steps_as_text(const GpuCell& cell, const DevicePeaks& peaks) {
  Table table("<<>>>>");
  table.add({"operators", "kernel", "FLOP", "bytes", "us", "% of limit"});
  for (const StepProfile& step : cell.run.steps) {
    table.add({step.step.op, step.step.kernel, format_quantity(step.flops),
               format_quantity(step.bytes), rate_text(step.time_us),
               percent_text(percent_of_limit(step, peaks))});
  }
  return table.to_string("    ");
}

std::string as_text(const GpuReport& report) {
  std::string text = fmt::format("{}\n", gpu_status());
  if (!report.peaks.keeps_time) text += "  emulated: nothing is timed\n";
  text += peaks_as_text(report.peaks);
  if (report.model.empty()) return text;
  text += fmt::format("{}: {}FLOP an image, {}\n", report.model,
                      format_quantity(report.flops_per_image), precision_name(report.precision));
  Table table(">>>>>>");
  table.add({"batch", "resident images/s", "host-to-host images/s", "p50 us", "p99 us",
             "% of copy rate"});
  for (const GpuCell& cell : report.cells) {
    table.add({group_digits(cell.batch), rate_text(cell.resident_images_per_s()),
               rate_text(cell.host_images_per_s), rate_text(cell.p50_us), rate_text(cell.p99_us),
               percent_text(percent_of_copy(report, cell))});
  }
  text += table.to_string("  ");
  for (const GpuCell& cell : report.cells) {
    text += fmt::format("  kernels for batch {}{}\n{}", group_digits(cell.batch),
                        cell.run.batch == cell.batch
                            ? ""
                            : fmt::format(", in pieces of {}", group_digits(cell.run.batch)),
                        steps_as_text(cell, report.peaks));
  }
  return text;
}

Json or_null(const Rate& rate) { return rate ? Json(*rate) : Json(); }

Json cell_as_json(const GpuReport& report, const GpuCell& cell) {
  Json json = {{"batch", cell.batch},
               {"piece", cell.run.batch},
               {"device", report.peaks.device},
               {"precision", precision_name(report.precision)},
               {"resident_images_per_s", or_null(cell.resident_images_per_s())},
               {"images_per_s", or_null(cell.host_images_per_s)},
               {"p50_us", or_null(cell.p50_us)},
               {"p99_us", or_null(cell.p99_us)},
               {"percent_of_copy", or_null(percent_of_copy(report, cell))},
               {"steps", Json::array()}};
  for (const StepProfile& step : cell.run.steps) {
    json["steps"].push_back({{"name", step.step.name},
                             {"op", step.step.op},
                             {"kernel", step.step.kernel},
                             {"precision", precision_name(step.precision)},
                             {"flops", step.flops},
                             {"bytes", step.bytes},
                             {"time_us", or_null(step.time_us)},
                             {"percent_of_limit", or_null(percent_of_limit(step, report.peaks))}});
  }
  return json;
}

std::string as_json(const GpuReport& report) {
  Json json = {{"commit", build_info().commit},
               {"gpu", gpu_status()},
               {"cuda", build_info().cuda},
               {"emulated", !report.peaks.keeps_time},
               {"peaks",
                {{"device", report.peaks.device},
                 {"to_device_gb_s", or_null(report.peaks.to_device_gb_s)},
                 {"to_host_gb_s", or_null(report.peaks.to_host_gb_s)},
                 {"copy_gb_s", or_null(report.peaks.copy_gb_s)},
                 {"launch_us", or_null(report.peaks.launch_us)},
                 {"round_trip_us", or_null(report.peaks.round_trip_us)},
                 {"giga_operations_per_s", Json::object()}}}};
  for (const DevicePeaks::Operations& one : report.peaks.operations) {
    json["peaks"]["giga_operations_per_s"][std::string(precision_name(one.precision))] =
        or_null(one.giga_per_s);
  }
  if (!report.model.empty()) {
    json["model"] = report.model;
    json["flops_per_image"] = report.flops_per_image;
    json["pixel_bytes_per_image"] = report.pixel_bytes;
    json["cells"] = Json::array();
    for (const GpuCell& cell : report.cells) json["cells"].push_back(cell_as_json(report, cell));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

int run_bench_gpu(const BenchOptions& options) {
  GpuReport report;
  const std::string gpus = gpu_status();
  if (gpus.starts_with("none: ")) {
    throw ExitError(
        Error(ErrorCode::kUnavailable, fmt::format("no GPU to measure: {}", gpus.substr(6))),
        kExitNoGpu);
  }
  spdlog::info("measuring what the GPU can do");
  report.peaks = measure_device(kGpu, options.seconds);
  if (!options.scoring.model.empty()) measure_model(options, report);
  print(options.format == Format::kText ? as_text(report) : as_json(report));
  return kExitDone;
}

}  // namespace prs::cli
