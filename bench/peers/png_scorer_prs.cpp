// Our own engine: a pipeline that computes as fast as prs-gpu does, and schedules nothing.
#include <vector>

#include <prs/engine.hpp>

#include "png_scorer.hpp"

namespace prs::bench {
namespace {

class PrsScorer : public Scorer {
 public:
  explicit PrsScorer(const Engine& engine) : engine_(engine) {}
  const float* score(const std::uint8_t* pixels, std::size_t count) override {
    engine_.run({DType::kUint8, {static_cast<std::int64_t>(count), 1, 28, 28}, pixels},
                std::span(scores_).first(count * kClasses));
    return scores_.data();
  }

 private:
  const Engine& engine_;
  std::vector<float> scores_ = std::vector<float>(kBatch * kClasses);
};

class PrsModel : public ScoringModel {
 public:
  explicit PrsModel(const std::string& path)
      : engine_(Engine::load(path, {.device = "cpu", .threads = 1})) {}
  std::unique_ptr<Scorer> scorer() const override { return std::make_unique<PrsScorer>(engine_); }

 private:
  const Engine engine_;
};

}  // namespace

std::unique_ptr<ScoringModel> load_model(const std::string& path) {
  return std::make_unique<PrsModel>(path);
}

std::string runtime_version() { return "prs"; }

}  // namespace prs::bench
