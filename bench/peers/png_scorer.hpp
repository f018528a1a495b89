// What png_pipeline scores with: ONNX Runtime, or our own engine. One of the two sources is linked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace prs::bench {

constexpr std::size_t kImageBytes = 28 * 28;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kClasses = 10;

/// The buffers of one thread. Throws std::exception.
class Scorer {
 public:
  virtual ~Scorer() = default;
  /// Of `count` <= kBatch images at `pixels`, [count, 28, 28]; [count, kClasses], valid until the
  /// next call.
  virtual const float* score(const std::uint8_t* pixels, std::size_t count) = 0;
};

/// A model that is loaded once and that all threads share.
class ScoringModel {
 public:
  virtual ~ScoringModel() = default;
  virtual std::unique_ptr<Scorer> scorer() const = 0;
};

/// Computes with one thread a call. Throws std::exception.
std::unique_ptr<ScoringModel> load_model(const std::string& path);
std::string runtime_version();

}  // namespace prs::bench
