// bench_engine: images per second of the engine alone, from u8 images in memory to scores in
// memory.
//
//   bench_engine MODEL IMAGES.idx[.gz] BATCH THREADS SECONDS [SCORES]
//
// Warms up, then runs batch after batch over the images for SECONDS. Prints one line of JSON:
// images, seconds, images_per_s, the 50th and 99th percentile of a batch's latency in microseconds,
// and what build that was. With SCORES it also writes the scores of all images as raw float32.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <prs/engine.hpp>
#include <prs/version.hpp>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Workload {
  const prs::RecordFile& images;
  std::int64_t batch;
  std::int64_t at = 0;

  /// The next batch; starts anew when fewer than a batch are left.
  prs::TensorView next() {
    if (at + batch > images.count()) at = 0;
    at += batch;
    return images.records(at - batch, batch);
  }
};

struct Measurement {
  std::int64_t batches = 0;
  double seconds = 0;
  std::vector<double> latencies_us;
};

Measurement measure(const prs::Engine& engine, Workload workload, double seconds) {
  std::vector<float> scores(static_cast<std::size_t>(workload.batch * engine.classes()));
  const Clock::time_point warm_up = Clock::now();
  do {
    engine.run(workload.next(), scores);
  } while (seconds_since(warm_up) < seconds / 4);
  Measurement result;
  const Clock::time_point start = Clock::now();
  Clock::time_point before = start;
  do {
    engine.run(workload.next(), scores);
    const Clock::time_point now = Clock::now();
    result.latencies_us.push_back(std::chrono::duration<double, std::micro>(now - before).count());
    before = now;
    ++result.batches;
  } while (std::chrono::duration<double>(before - start).count() < seconds);
  result.seconds = std::chrono::duration<double>(before - start).count();
  std::sort(result.latencies_us.begin(), result.latencies_us.end());
  return result;
}

double percentile(const std::vector<double>& sorted, double fraction) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(last * fraction)];
}

void write_scores(const std::string& path, const std::vector<float>& scores) {
  std::ofstream output(path, std::ios::binary);
  output.write(reinterpret_cast<const char*>(scores.data()),
               static_cast<std::streamsize>(scores.size() * sizeof(float)));
  if (!output.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6 && argc != 7) {
    std::fprintf(stderr, "usage: bench_engine MODEL IMAGES BATCH THREADS SECONDS [SCORES]\n");
    return 2;
  }
  const std::int64_t batch = std::stoll(argv[3]);
  prs::EngineOptions options;
  options.device = "cpu";
  options.threads = std::stoi(argv[4]);
  const prs::Engine engine = prs::Engine::load(argv[1], options);
  const prs::RecordFile images = prs::RecordFile::open(argv[2]);
  if (batch < 1 || batch > images.count()) throw std::runtime_error("batch out of range");
  if (argc == 7) write_scores(argv[6], engine.run(images.records(0, images.count())));
  const Measurement measured = measure(engine, {images, batch}, std::stod(argv[5]));
  const double scored = static_cast<double>(measured.batches * batch);
  const prs::BuildInfo build = prs::build_info();
  const nlohmann::ordered_json line = {{"images", scored},
                                       {"seconds", measured.seconds},
                                       {"images_per_s", scored / measured.seconds},
                                       {"p50_us", percentile(measured.latencies_us, 0.50)},
                                       {"p99_us", percentile(measured.latencies_us, 0.99)},
                                       {"commit", build.commit},
                                       {"compiler", build.compiler + ", " + build.build_type},
                                       {"kernels", build.isa}};
  std::puts(line.dump().c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_engine: %s\n", error.what());
  return 1;
}
