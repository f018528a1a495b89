// ONNX Runtime through its C interface: one session, and for each thread an input and an output
// that every batch uses again.
#include <array>
#include <vector>

#include "ort_api.hpp"
#include "png_scorer.hpp"

namespace prs::bench {
namespace {

// As the models that we ship name them.
constexpr std::array<const char*, 1> kInput = {"image"};
constexpr std::array<const char*, 1> kOutput = {"logits"};

class OrtScorer : public Scorer {
 public:
  explicit OrtScorer(ort::Handle session) : session_(session) {
    ort::call(ort::kCreateCpuMemoryInfo, ort::kArenaAllocator, ort::kDefaultMemory, memory_.out());
  }

  const float* score(const std::uint8_t* pixels, std::size_t count) override {
    if (count != bound_) bind(count);
    for (std::size_t i = 0; i < count * kImageBytes; ++i) {
      values_[i] = static_cast<float>(pixels[i]) * (1.0F / 255);
    }
    const ort::Handle input = input_.get();
    ort::Handle output = output_.get();
    ort::call(ort::kRun, session_, ort::Handle{}, kInput.data(), &input, std::size_t{1},
              kOutput.data(), std::size_t{1}, &output);
    return scores_.data();
  }

 private:
  void bind(std::size_t count) {
    const auto images = static_cast<std::int64_t>(count);
    const std::array<std::int64_t, 4> input{images, 1, 28, 28};
    const std::array<std::int64_t, 2> output{images, kClasses};
    tensor(values_, count * kImageBytes, input.data(), input.size(), input_);
    tensor(scores_, count * kClasses, output.data(), output.size(), output_);
    bound_ = count;
  }
  void tensor(std::vector<float>& values, std::size_t count, const std::int64_t* extents,
              std::size_t rank, ort::Owned& value) {
    ort::call(ort::kCreateTensorWithData, memory_.get(), static_cast<void*>(values.data()),
              count * sizeof(float), extents, rank, ort::kFloat, value.out());
  }

  const ort::Handle session_;
  ort::Owned memory_{ort::kReleaseMemoryInfo};
  ort::Owned input_{ort::kReleaseValue};
  ort::Owned output_{ort::kReleaseValue};
  std::size_t bound_ = 0;  ///< Images of the tensors.
  std::vector<float> values_ = std::vector<float>(kBatch * kImageBytes);
  std::vector<float> scores_ = std::vector<float>(kBatch * kClasses);
};

class OrtModel : public ScoringModel {
 public:
  explicit OrtModel(const std::string& path) {
    ort::Owned options(ort::kReleaseSessionOptions);
    ort::call(ort::kCreateEnv, ort::kWarnings, "png_pipeline", environment_.out());
    ort::call(ort::kCreateSessionOptions, options.out());
    ort::call(ort::kSetIntraOpNumThreads, options.get(), 1);
    ort::call(ort::kSetInterOpNumThreads, options.get(), 1);
    ort::call(ort::kCreateSession, environment_.get(), path.c_str(), options.get(), session_.out());
  }
  std::unique_ptr<Scorer> scorer() const override {
    return std::make_unique<OrtScorer>(session_.get());
  }

 private:
  ort::Owned environment_{ort::kReleaseEnv};
  ort::Owned session_{ort::kReleaseSession};
};

}  // namespace

std::unique_ptr<ScoringModel> load_model(const std::string& path) {
  return std::make_unique<OrtModel>(path);
}

std::string runtime_version() { return "ONNX Runtime " + ort::version(); }

}  // namespace prs::bench
