// What the driver (run.cjs) measures: a process that scores images in memory, ours or a peer's.
//
//   CONTENDER MODEL IMAGES THREADS [PRECISION]
//
// It first prints one line of JSON: name, version and what else there is to tell, or
// {"unsupported": why} when it cannot do that precision here. Then it answers each line of standard
// input with one line of JSON, until that ends:
//
//   run BATCH SECONDS     warms up, then runs batch after batch over the images for SECONDS
//                         -> images_per_s, p50_us and p99_us of a batch
//   scores BATCH FILE     writes the scores of all images, computed in batches of BATCH, as raw
//                         float32 -> images
//
// Whatever goes wrong is one line on standard error and exit code 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>

namespace prs::bench {

class Contender {
 public:
  virtual ~Contender() = default;
  virtual nlohmann::ordered_json hello() const = 0;
  /// How many images there are.
  virtual std::int64_t images() const = 0;
  /// The scores of images [first, first + batch), [batch, classes], valid until the next call.
  virtual std::span<const float> run(std::int64_t first, std::int64_t batch) = 0;
};

struct Arguments {
  std::string model;
  std::string images;
  int threads = 1;
  std::string precision = "fp32";
};

/// This machine or build cannot do what was asked, which is no mistake.
class Unsupported : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// main() of a contender.
int serve(int argc, char** argv,
          const std::function<std::unique_ptr<Contender>(const Arguments&)>& load);

}  // namespace prs::bench
