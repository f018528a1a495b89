// bench_torchscript: PyTorch's TorchScript from C++ as a contender, frozen and optimised for
// inference. The module is written from the ONNX model: the same weights, PyTorch's operators.
#include <ATen/Parallel.h>
#include <torch/script.h>
#include <torch/version.h>

#include <string>
#include <vector>

#include "contender.hpp"
#include "images.hpp"
#include "onnx_chain.hpp"

namespace prs::bench {
namespace {

std::string list(const std::vector<std::int64_t>& values) {
  std::string text;
  for (const std::int64_t value : values)
    text += (text.empty() ? "[" : ", ") + std::to_string(value);
  return text + "]";
}

/// PyTorch pads both ends of an axis alike.
std::string padding(const Link& link) {
  const std::vector<std::int64_t> pads = link.get("pads", {0, 0, 0, 0});
  if (pads.size() != 4 || pads[0] != pads[2] || pads[1] != pads[3]) {
    throw std::runtime_error(link.op + ": pads " + list(pads) + " are not alike at both ends");
  }
  return list({pads[0], pads[1]});
}

/// The expression for `link` applied to `x`, with its weights as parameters w0, w1, ... of
/// `prefix`.
std::string expression(const Link& link, const std::string& prefix) {
  const auto weight = [&](int i) { return "self." + prefix + std::to_string(i); };
  if (link.op == "Relu") return "torch.relu(x)";
  if (link.op == "Flatten" && link.get("axis", {1}) == std::vector<std::int64_t>{1}) {
    return "torch.flatten(x, 1)";
  }
  if (link.op == "Gemm" && link.get("transB", {0}) == std::vector<std::int64_t>{1} &&
      link.get("transA", {0}) == std::vector<std::int64_t>{0} && link.weights.size() == 2) {
    return "torch.linear(x, " + weight(0) + ", " + weight(1) + ")";
  }
  if (link.op == "Conv" && link.weights.size() == 2) {
    return "torch.conv2d(x, " + weight(0) + ", " + weight(1) + ", " +
           list(link.get("strides", {1, 1})) + ", " + padding(link) + ", " +
           list(link.get("dilations", {1, 1})) + ", " + std::to_string(link.get("group", {1})[0]) +
           ")";
  }
  if (link.op == "MaxPool" && link.get("ceil_mode", {0}) == std::vector<std::int64_t>{0}) {
    return "torch.max_pool2d(x, " + list(link.get("kernel_shape", {})) + ", " +
           list(link.get("strides", {1, 1})) + ", " + padding(link) + ")";
  }
  throw std::runtime_error(link.op + ": bench_torchscript does not know this operator so");
}

torch::jit::Module load_module(const std::string& path) {
  torch::jit::Module module("Model");
  std::string source = "def forward(self, x):\n";
  int number = 0;
  for (const Link& link : read_chain(path)) {
    const std::string prefix = "layer" + std::to_string(number++) + "_";
    for (std::size_t i = 0; i < link.weights.size(); ++i) {
      const Weights& weights = link.weights[i];
      module.register_parameter(
          prefix + std::to_string(i),
          torch::tensor(at::ArrayRef<float>(weights.values)).reshape(weights.extents), false);
    }
    source += "    x = " + expression(link, prefix) + "\n";
  }
  module.define(source + "    return x\n");
  // A module without this attribute passes for one that is frozen already, and keeps its weights as
  // variables that the optimisation cannot lay out anew.
  module.register_attribute("training", c10::BoolType::get(), false);
  return torch::jit::optimize_for_inference(module);
}

class TorchScript : public Contender {
 public:
  explicit TorchScript(const Arguments& arguments)
      : images_(read_images(arguments.images)), module_(load_module(arguments.model)) {
    if (arguments.precision != "fp32") throw Unsupported("computes in fp32 only");
    at::set_num_threads(arguments.threads);
  }
  nlohmann::ordered_json hello() const override {
    return {{"name", "TorchScript"}, {"version", TORCH_VERSION}};
  }
  std::int64_t images() const override { return images_.count; }
  std::span<const float> run(std::int64_t first, std::int64_t batch) override {
    const c10::InferenceMode inference;
    // The tensor only points to the images: none of the operators writes to its input.
    const at::Tensor input = torch::from_blob(const_cast<float*>(images_.image(first)),
                                              {batch, 1, images_.height, images_.width});
    scores_ = module_.forward({input}).toTensor().contiguous();
    return {scores_.data_ptr<float>(), static_cast<std::size_t>(scores_.numel())};
  }

 private:
  Images images_;
  torch::jit::Module module_;
  at::Tensor scores_;
};

}  // namespace
}  // namespace prs::bench

int main(int argc, char** argv) {
  return prs::bench::serve(argc, argv, [](const prs::bench::Arguments& arguments) {
    return std::make_unique<prs::bench::TorchScript>(arguments);
  });
}
