// bench_eigen: a chain of matrix products through Eigen as a contender, compiled for this
// processor: the floor, what a few lines of code give. Fully connected layers only.
#include <Eigen/Core>
#include <string>
#include <vector>

#include "contender.hpp"
#include "images.hpp"
#include "onnx_chain.hpp"

namespace prs::bench {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Layer {
  Matrix weights;  // [outputs, inputs]
  Eigen::RowVectorXf bias;
  bool relu = false;
};

std::vector<Layer> load_layers(const std::string& path) {
  std::vector<Layer> layers;
  for (const Link& link : read_chain(path)) {
    if (link.op == "Flatten") continue;
    if (link.op == "Relu" && !layers.empty()) {
      layers.back().relu = true;
    } else if (link.op == "Gemm" && link.get("transB", {0})[0] == 1 && link.weights.size() == 2) {
      const Weights& weights = link.weights[0];
      layers.push_back(
          {Eigen::Map<const Matrix>(weights.values.data(), weights.extents[0], weights.extents[1]),
           Eigen::Map<const Eigen::RowVectorXf>(link.weights[1].values.data(),
                                                weights.extents[0])});
    } else {
      throw Unsupported(link.op + ": bench_eigen computes fully connected layers only");
    }
  }
  return layers;
}

class EigenGemm : public Contender {
 public:
  explicit EigenGemm(const Arguments& arguments)
      : images_(read_images(arguments.images)),
        layers_(load_layers(arguments.model)),
        activations_(layers_.size()) {
    if (arguments.precision != "fp32") throw Unsupported("computes in fp32 only");
    Eigen::setNbThreads(arguments.threads);
  }
  nlohmann::ordered_json hello() const override {
    return {{"name", "Eigen"},
            {"version", std::to_string(EIGEN_WORLD_VERSION) + "." +
                            std::to_string(EIGEN_MAJOR_VERSION) + "." +
                            std::to_string(EIGEN_MINOR_VERSION)}};
  }
  std::int64_t images() const override { return images_.count; }
  std::span<const float> run(std::int64_t first, std::int64_t batch) override {
    const Eigen::Map<const Matrix> pixels(images_.image(first), batch, images_.image_size());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      Matrix& output = activations_[i];
      if (i == 0) {
        output.noalias() = pixels * layer.weights.transpose();
      } else {
        output.noalias() = activations_[i - 1] * layer.weights.transpose();
      }
      output.rowwise() += layer.bias;
      if (layer.relu) output = output.cwiseMax(0.0F);
    }
    const Matrix& scores = activations_.back();
    return {scores.data(), static_cast<std::size_t>(scores.size())};
  }

 private:
  Images images_;
  std::vector<Layer> layers_;
  std::vector<Matrix> activations_;
};

}  // namespace
}  // namespace prs::bench

int main(int argc, char** argv) {
  return prs::bench::serve(argc, argv, [](const prs::bench::Arguments& arguments) {
    return std::make_unique<prs::bench::EigenGemm>(arguments);
  });
}
