#include "contender.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>

#include "measure/timed.hpp"

namespace prs::bench {
namespace {

using Json = nlohmann::ordered_json;

Json measure(Contender& contender, std::int64_t batch, double seconds) {
  if (batch < 1 || batch > contender.images()) throw std::runtime_error("batch out of range");
  std::int64_t first = 0;
  const Timed timed = time_calls(seconds, [&] {
    // Starts anew when fewer than a batch are left.
    if (first + batch > contender.images()) first = 0;
    contender.run(first, batch);
    first += batch;
  });
  return {{"images_per_s", timed.calls_per_s() * static_cast<double>(batch)},
          {"p50_us", timed.percentile_us(0.50)},
          {"p99_us", timed.percentile_us(0.99)}};
}

Json write_scores(Contender& contender, std::int64_t batch, const std::string& path) {
  if (batch < 1) throw std::runtime_error("batch out of range");
  std::ofstream output(path, std::ios::binary);
  for (std::int64_t first = 0; first < contender.images(); first += batch) {
    const std::span<const float> scores =
        contender.run(first, std::min(batch, contender.images() - first));
    output.write(reinterpret_cast<const char*>(scores.data()),
                 static_cast<std::streamsize>(scores.size_bytes()));
  }
  if (!output.flush()) throw std::runtime_error("cannot write " + path);
  return {{"images", contender.images()}};
}

Json answer(Contender& contender, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  std::int64_t batch = 0;
  if (words >> command >> batch) {
    double seconds = 0.0;
    std::string path;
    if (command == "run" && words >> seconds) return measure(contender, batch, seconds);
    if (command == "scores" && std::getline(words >> std::ws, path)) {
      return write_scores(contender, batch, path);
    }
  }
  throw std::runtime_error("'" + line + "': expected run BATCH SECONDS or scores BATCH FILE");
}

void print(const Json& json) {
  std::puts(json.dump().c_str());
  if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write to standard output");
}

}  // namespace

int serve(int argc, char** argv,
          const std::function<std::unique_ptr<Contender>(const Arguments&)>& load) try {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: %s MODEL IMAGES THREADS [PRECISION]\n", argv[0]);
    return 2;
  }
  const Arguments arguments{argv[1], argv[2], std::stoi(argv[3]), argc == 5 ? argv[4] : "fp32"};
  const std::unique_ptr<Contender> contender = load(arguments);
  print(contender->hello());
  for (std::string line; std::getline(std::cin, line);) print(answer(*contender, line));
  return 0;
} catch (const Unsupported& error) {
  print({{"unsupported", error.what()}});
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  return 1;
}

}  // namespace prs::bench
