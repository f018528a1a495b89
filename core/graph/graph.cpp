#include "graph/graph.hpp"

#include <utility>

#include "check.hpp"

namespace prs {

ValueId Graph::add_value(Value value) {
  values.push_back(std::move(value));
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string name, Tensor tensor) {
  Value value;
  value.name = std::move(name);
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::make_shared<const Tensor>(std::move(tensor));
  return add_value(std::move(value));
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLimit = 120;
  std::string result;
  for (const char character : text.substr(0, kLimit)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += character;
    }
  }
  return text.size() > kLimit ? result + "..." : result;
}

std::string describe(const Graph& graph, const Node& node) {
  return fmt::format("{}: node '{}' ({})", graph.source, printable(node.name),
                     op_def(node.kind).name);
}

}  // namespace prs
