#include "onnx_chain.hpp"

#include <onnx/onnx_pb.h>

#include <cstring>
#include <fstream>
#include <stdexcept>

namespace prs::bench {
namespace {

Weights weights_of(const onnx::TensorProto& tensor) {
  Weights weights{{tensor.dims().begin(), tensor.dims().end()},
                  {tensor.float_data().begin(), tensor.float_data().end()}};
  if (tensor.data_type() != onnx::TensorProto::FLOAT) {
    throw std::runtime_error(tensor.name() + ": not float32");
  }
  if (tensor.has_raw_data()) {
    weights.values.resize(tensor.raw_data().size() / sizeof(float));
    std::memcpy(weights.values.data(), tensor.raw_data().data(), tensor.raw_data().size());
  }
  return weights;
}

Link link_of(const onnx::NodeProto& node, const std::map<std::string, Weights>& weights,
             const std::string& previous) {
  if (node.input_size() == 0 || node.input(0) != previous || node.output_size() != 1) {
    throw std::runtime_error(node.name() + ": not the next link of one chain of operators");
  }
  Link link{node.op_type(), {}};
  for (int i = 1; i < node.input_size(); ++i) link.weights.push_back(weights.at(node.input(i)));
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    std::vector<std::int64_t>& values = link.ints[attribute.name()];
    switch (attribute.type()) {
      case onnx::AttributeProto::INT:
        values = {attribute.i()};
        break;
      case onnx::AttributeProto::INTS:
        values = {attribute.ints().begin(), attribute.ints().end()};
        break;
      case onnx::AttributeProto::FLOAT:
        if (attribute.f() == 1.0F) break;  // alpha and beta of Gemm
        [[fallthrough]];
      default:
        throw std::runtime_error(node.name() + ": attribute " + attribute.name() +
                                 " is not known to the peers");
    }
  }
  return link;
}

}  // namespace

std::vector<std::int64_t> Link::get(const std::string& name,
                                    std::vector<std::int64_t> absent) const {
  const auto found = ints.find(name);
  return found == ints.end() ? absent : found->second;
}

std::vector<Link> read_chain(const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  onnx::ModelProto model;
  if (!input || !model.ParseFromIstream(&input)) {
    throw std::runtime_error(path + ": not an ONNX file");
  }
  const onnx::GraphProto& graph = model.graph();
  std::map<std::string, Weights> weights;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    weights[tensor.name()] = weights_of(tensor);
  }
  if (graph.input_size() != 1) throw std::runtime_error(path + ": not one input");
  std::string previous = graph.input(0).name();
  std::vector<Link> chain;
  for (const onnx::NodeProto& node : graph.node()) {
    chain.push_back(link_of(node, weights, previous));
    previous = node.output(0);
  }
  return chain;
}

}  // namespace prs::bench
