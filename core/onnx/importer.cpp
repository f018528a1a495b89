#include "onnx/importer.hpp"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <onnx/onnx_pb.h>
#include <sys/mman.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <unordered_map>
#include <utility>

#include "check.hpp"
#include "file.hpp"
#include "onnx/tensor_proto.hpp"
#include "onnx/wire_size.hpp"

namespace prs::onnx {
namespace {

using ::onnx::AttributeProto;
using ::onnx::GraphProto;
using ::onnx::ModelProto;
using ::onnx::NodeProto;
using ::onnx::TensorProto;
using ::onnx::ValueInfoProto;

/// What a parsed model may take: real ones take one to about ten times their file.
constexpr std::int64_t kParsedAllowanceBytes = std::int64_t{64} << 20;
constexpr std::int64_t kParsedFactor = 16;

bool is_default_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

/// Builds the graph of one model.
class Importer {
 public:
  Importer(ModelProto& model, std::string source, std::filesystem::path folder)
      : proto_(*model.mutable_graph()), external_(std::move(folder)) {
    result_.graph.source = std::move(source);
    read_header(model);
  }

  ImportedModel run() {
    collect_initializers();
    read_inputs();
    read_declarations();
    const std::vector<int> order = topological_order();
    for (const int index : order) read_node(index);
    read_outputs();
    result_.initializer_bytes += external_.bytes_read();
    return std::move(result_);
  }

 private:
  const std::string& source() const { return result_.graph.source; }

  void read_header(const ModelProto& model) {
    result_.ir_version = model.ir_version();
    result_.producer = model.producer_name();
    if (!model.producer_version().empty()) result_.producer += " " + model.producer_version();
    for (const auto& entry : model.metadata_props()) {
      result_.metadata[entry.key()] = entry.value();
    }
    for (const auto& import : model.opset_import()) {
      if (is_default_domain(import.domain())) result_.opset = import.version();
    }
    if (model.ir_version() < kOldestIr) {
      fail_model("{}: IR version {}: not an ONNX model, or one older than IR version {}", source(),
                 model.ir_version(), kOldestIr);
    }
    if (model.ir_version() > kNewestIr) {
      fail_unsupported(
          "{}: IR version {} is newer than {}, the newest this version reads; export "
          "the model with an older one",
          source(), model.ir_version(), kNewestIr);
    }
    if (!model.has_graph()) fail_model("{}: the model has no graph", source());
    if (result_.opset < 0 || result_.opset > kNewestOpset) {
      fail_unsupported(
          "{}: opset {} of the default domain is outside 1..{}; export the model with "
          "one of those",
          source(), result_.opset, kNewestOpset);
    }
  }

  void collect_initializers() {
    for (int i = 0; i < proto_.initializer_size(); ++i) {
      const std::string& name = proto_.initializer(i).name();
      if (name.empty()) fail_model("{}: initializer {} has no name", source(), i);
      if (!initializers_.emplace(name, i).second) {
        fail_model("{}: two initializers are named '{}'", source(), printable(name));
      }
    }
    for (const auto& sparse : proto_.sparse_initializer()) {
      sparse_.insert({sparse.values().name(), true});
    }
  }

  GraphPort read_port(const ValueInfoProto& info, const char* role) {
    GraphPort port;
    const std::string what = fmt::format("{}: {} '{}'", source(), role, printable(info.name()));
    if (!info.has_type()) return port;
    if (!info.type().has_tensor_type()) {
      fail_unsupported("{}: not a tensor (a sequence, map or optional)", what);
    }
    const auto& type = info.type().tensor_type();
    try {
      if (type.elem_type() != TensorProto::UNDEFINED) port.dtype = to_dtype(type.elem_type());
    } catch (const Error& error) {
      throw Error(error.code(), what + ": " + error.message());
    }
    if (!type.has_shape()) return port;
    port.dims.emplace();
    for (const auto& dim : type.shape().dim()) {
      DeclaredDim declared;
      if (dim.has_dim_value()) {
        // Some exporters write 0 or -1 for an open dimension of an input; a true 0 is kept, since
        // an empty tensor is legal.
        if (dim.dim_value() >= 0) declared.extent = dim.dim_value();
      } else {
        declared.symbol = dim.dim_param();
      }
      port.dims->push_back(std::move(declared));
    }
    if (static_cast<std::int64_t>(port.dims->size()) > Shape::kMaxRank) {
      fail_unsupported("{}: {} dimensions; at most {} are supported", what, port.dims->size(),
                       Shape::kMaxRank);
    }
    return port;
  }

  void read_inputs() {
    for (const ValueInfoProto& info : proto_.input()) {
      if (info.name().empty()) fail_model("{}: an input without a name", source());
      if (initializers_.contains(info.name())) {
        check_initializer(info, "input");
        continue;
      }
      GraphPort port = read_port(info, "input");
      if (port.dtype == DType::kUndefined) {
        fail_model("{}: input '{}' has no element type", source(), printable(info.name()));
      }
      port.value = define(info.name(), "the graph's inputs");
      result_.graph.value(port.value).dtype = port.dtype;
      result_.graph.inputs.push_back(std::move(port));
    }
  }

  /// A type as the file spells it, supported or not. extent 0 stands for an open dimension, too.
  struct Declaration {
    std::int32_t element_type = TensorProto::UNDEFINED;
    bool has_shape = false;
    std::vector<std::int64_t> extents;

    bool contradicts(const Declaration& other) const {
      const auto differ = [](std::int64_t a, std::int64_t b) { return a > 0 && b > 0 && a != b; };
      if (differ(element_type, other.element_type)) return true;
      if (!has_shape || !other.has_shape) return false;
      if (extents.size() != other.extents.size()) return true;
      return !std::equal(extents.begin(), extents.end(), other.extents.begin(),
                         [&](std::int64_t a, std::int64_t b) { return !differ(a, b); });
    }

    std::string to_string() const {
      const std::string_view name = dtype_name(static_cast<DType>(element_type));
      if (!has_shape) return std::string(name);
      std::vector<std::string> dims;
      for (const std::int64_t extent : extents) {
        dims.push_back(extent > 0 ? std::to_string(extent) : "?");
      }
      return fmt::format("{}[{}]", name, fmt::join(dims, ","));
    }
  };

  static Declaration declaration(const ValueInfoProto& info) {
    const auto& type = info.type().tensor_type();
    Declaration result{type.elem_type(), type.has_shape(), {}};
    for (const auto& dim : type.shape().dim()) result.extents.push_back(dim.dim_value());
    return result;
  }

  void check_initializer(const ValueInfoProto& info, const char* role) const {
    const TensorProto& proto = proto_.initializer(initializers_.at(info.name()));
    const Declaration actual{proto.data_type(), true, {proto.dims().begin(), proto.dims().end()}};
    const Declaration declared = declaration(info);
    if (declared.contradicts(actual)) {
      fail_model("{}: {} '{}' is declared {}, but the initializer of that name is {}", source(),
                 role, printable(info.name()), declared.to_string(), actual.to_string());
    }
  }

  /// value_info: checked here for inputs and initializers. For other values only the element type
  /// counts, once it is inferred. Shapes between nodes are not: exporters leave stale ones, and
  /// nothing hangs on them.
  void read_declarations() {
    std::unordered_map<std::string, const ValueInfoProto*> inputs;
    for (const ValueInfoProto& info : proto_.input()) inputs.emplace(info.name(), &info);
    for (const ValueInfoProto& info : proto_.value_info()) {
      if (!info.type().has_tensor_type()) continue;
      const auto input = inputs.find(info.name());
      if (initializers_.contains(info.name())) {
        check_initializer(info, "value_info");
      } else if (input == inputs.end()) {
        declared_.emplace(info.name(), info.type().tensor_type().elem_type());
      } else if (declaration(info).contradicts(declaration(*input->second))) {
        fail_model("{}: value_info '{}' is declared {}, but the input of that name is {}", source(),
                   printable(info.name()), declaration(info).to_string(),
                   declaration(*input->second).to_string());
      }
    }
  }

  /// A new value; throws when the name is taken (ONNX demands single assignment).
  ValueId define(const std::string& name, const std::string& by) {
    Value value;
    value.name = name;
    if (const auto declared = declared_.find(name); declared != declared_.end()) {
      // Types that no supported operator gives contradict as well.
      value.declared = static_cast<DType>(declared->second);
    }
    const ValueId id = result_.graph.add_value(std::move(value));
    if (initializers_.contains(name) || !values_.emplace(name, id).second) {
      fail_model("{}: value '{}' is defined a second time, by {}", source(), printable(name), by);
    }
    return id;
  }

  /// The value of that name, its initializer converted on first use; kNoValue when unknown. Errors
  /// name the initializer; the caller adds the file.
  ValueId find(const std::string& name) {
    const auto known = values_.find(name);
    if (known != values_.end()) return known->second;
    const auto initializer = initializers_.find(name);
    if (initializer == initializers_.end()) {
      if (sparse_.contains(name)) {
        fail_unsupported("initializer '{}' is sparse", printable(name));
      }
      return kNoValue;
    }
    TensorProto& proto = *proto_.mutable_initializer(initializer->second);
    try {
      const ValueId id = result_.graph.add_constant(name, to_tensor(proto, external_));
      if (proto.data_location() != TensorProto::EXTERNAL) {
        result_.initializer_bytes += result_.graph.value(id).constant->bytes();
      }
      // The parsed copy is no longer needed: a large model would be in memory twice.
      proto.clear_raw_data();
      proto.clear_float_data();
      values_.emplace(name, id);
      return id;
    } catch (const Error& error) {
      throw Error(error.code(),
                  fmt::format("initializer '{}': {}", printable(name), error.message()));
    }
  }

  std::string node_label(int index) const {
    const NodeProto& node = proto_.node(index);
    return fmt::format("{}: node '{}' ({})", source(), printable(node_name(index)),
                       printable(node.op_type()));
  }

  std::string node_name(int index) const {
    const NodeProto& node = proto_.node(index);
    if (!node.name().empty()) return node.name();
    return fmt::format("{}_{}", node.op_type(), index);
  }

  /// ONNX demands topologically sorted nodes; files in the wild are not always. Kahn's algorithm,
  /// lowest index first, so that sorted files keep their order.
  std::vector<int> topological_order() const {
    std::unordered_map<std::string, int> producer;
    for (int i = 0; i < proto_.node_size(); ++i) {
      for (const std::string& output : proto_.node(i).output()) {
        if (!output.empty() && !producer.emplace(output, i).second) {
          fail_model("{}: value '{}' is defined a second time", node_label(i), printable(output));
        }
      }
    }
    const auto count = static_cast<std::size_t>(proto_.node_size());
    std::vector<int> waiting(count, 0);
    std::vector<std::vector<int>> consumers(count);
    for (int i = 0; i < proto_.node_size(); ++i) {
      for (const std::string& input : proto_.node(i).input()) {
        const auto found = producer.find(input);
        if (input.empty() || found == producer.end()) continue;
        consumers[static_cast<std::size_t>(found->second)].push_back(i);
        ++waiting[static_cast<std::size_t>(i)];
      }
    }
    std::priority_queue<int, std::vector<int>, std::greater<>> ready;
    for (int i = 0; i < proto_.node_size(); ++i) {
      if (waiting[static_cast<std::size_t>(i)] == 0) ready.push(i);
    }
    std::vector<int> order;
    while (!ready.empty()) {
      const int index = ready.top();
      ready.pop();
      order.push_back(index);
      for (const int consumer : consumers[static_cast<std::size_t>(index)]) {
        if (--waiting[static_cast<std::size_t>(consumer)] == 0) ready.push(consumer);
      }
    }
    for (int i = 0; i < proto_.node_size(); ++i) {
      if (waiting[static_cast<std::size_t>(i)] > 0) {
        fail_model("{}: the graph has a cycle through this node", node_label(i));
      }
    }
    return order;
  }

  Attributes::Value read_attribute(const AttributeProto& attribute) {
    switch (attribute.type()) {
      case AttributeProto::INT:
        return attribute.i();
      case AttributeProto::FLOAT:
        return attribute.f();
      case AttributeProto::STRING:
        return attribute.s();
      case AttributeProto::INTS:
        return std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end());
      case AttributeProto::FLOATS:
        return std::vector<float>(attribute.floats().begin(), attribute.floats().end());
      case AttributeProto::STRINGS:
        return std::vector<std::string>(attribute.strings().begin(), attribute.strings().end());
      case AttributeProto::TENSOR:
        return to_tensor(attribute.t(), external_);
      default:
        fail_unsupported(
            "attribute '{}' is of a type (graph, sparse tensor, ...) that no supported "
            "operator takes",
            printable(attribute.name()));
    }
  }

  /// Files of IR version 3 may leave the type out; then the field that is set tells.
  static AttributeProto with_type(const AttributeProto& attribute) {
    AttributeProto typed = attribute;
    if (typed.type() != AttributeProto::UNDEFINED) return typed;
    if (typed.has_i()) typed.set_type(AttributeProto::INT);
    if (typed.has_f()) typed.set_type(AttributeProto::FLOAT);
    if (typed.has_s()) typed.set_type(AttributeProto::STRING);
    if (typed.has_t()) typed.set_type(AttributeProto::TENSOR);
    if (typed.ints_size() > 0) typed.set_type(AttributeProto::INTS);
    if (typed.floats_size() > 0) typed.set_type(AttributeProto::FLOATS);
    if (typed.strings_size() > 0) typed.set_type(AttributeProto::STRINGS);
    return typed;
  }

  void read_node(int index) {
    const NodeProto& proto = proto_.node(index);
    if (!is_default_domain(proto.domain())) {
      fail_unsupported("{}: operators of domain '{}' are not supported", node_label(index),
                       printable(proto.domain()));
    }
    const OpDef* def = find_op(proto.op_type());
    if (def == nullptr) {
      fail_unsupported("{}: operator '{}' is not supported", node_label(index),
                       printable(proto.op_type()));
    }
    if (result_.opset == 0) {
      fail_model("{}: the model imports no opset of the default domain", node_label(index));
    }
    Node node{def->kind, node_name(index), {}, {}, {}};
    try {
      Attributes attributes;
      for (const AttributeProto& attribute : proto.attribute()) {
        if (attribute.has_ref_attr_name() && !attribute.ref_attr_name().empty()) {
          fail_model("attribute '{}' refers to a function's attribute outside of a function",
                     printable(attribute.name()));
        }
        attributes.set(attribute.name(), read_attribute(with_type(attribute)));
      }
      node.params = def->parse({def->kind, attributes, result_.opset});
      read_operands(proto, *def, node);
    } catch (const Error& error) {
      throw Error(error.code(), node_label(index) + ": " + error.message());
    }
    for (const std::string& output : proto.output()) {
      node.outputs.push_back(output.empty() ? kNoValue : define(output, node_label(index)));
    }
    while (!node.outputs.empty() && node.outputs.back() == kNoValue) node.outputs.pop_back();
    result_.graph.nodes.push_back(std::move(node));
  }

  void read_operands(const NodeProto& proto, const OpDef& def, Node& node) {
    for (const std::string& input : proto.input()) {
      ValueId id = kNoValue;
      if (!input.empty()) {
        id = find(input);
        if (id == kNoValue) fail_model("input '{}' is produced by nothing", printable(input));
      }
      node.inputs.push_back(id);
    }
    while (!node.inputs.empty() && node.inputs.back() == kNoValue) node.inputs.pop_back();
    const auto inputs = static_cast<int>(node.inputs.size());
    if (inputs < def.min_inputs || inputs > def.max_inputs) {
      fail_model(
          "{} inputs; it takes {}..{}", inputs, def.min_inputs,
          def.max_inputs == kVariadic ? std::string("any number") : std::to_string(def.max_inputs));
    }
    for (int i = 0; i < std::min(inputs, def.min_inputs); ++i) {
      if (node.inputs[static_cast<std::size_t>(i)] == kNoValue)
        fail_model("input {} is missing", i);
    }
    if (proto.output_size() < def.min_outputs || proto.output_size() > def.max_outputs) {
      fail_model("{} outputs; it gives {}..{}", proto.output_size(), def.min_outputs,
                 def.max_outputs);
    }
    for (int i = 0; i < def.min_outputs; ++i) {
      if (proto.output(i).empty()) fail_model("output {} is missing: its name is empty", i);
    }
  }

  void read_outputs() {
    if (proto_.output_size() == 0) fail_model("{}: the graph has no outputs", source());
    for (const ValueInfoProto& info : proto_.output()) {
      GraphPort port = read_port(info, "output");
      try {
        port.value = find(info.name());
      } catch (const Error& error) {
        throw Error(error.code(), source() + ": " + error.message());
      }
      if (port.value == kNoValue) {
        fail_model("{}: output '{}' is produced by nothing", source(), printable(info.name()));
      }
      result_.graph.outputs.push_back(std::move(port));
    }
  }

  GraphProto& proto_;
  ExternalData external_;
  ImportedModel result_;
  std::unordered_map<std::string, int> initializers_;
  std::unordered_map<std::string, bool> sparse_;
  std::unordered_map<std::string, std::int32_t> declared_;  ///< Element types in value_info.
  std::unordered_map<std::string, ValueId> values_;
};

}  // namespace

ImportedModel import_bytes(std::span<const char> bytes, const std::string& source,
                           const std::filesystem::path& folder) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    fail_model(
        "{}: {} bytes; an ONNX file cannot exceed 2 GiB (larger models keep their weights as "
        "external data)",
        source, bytes.size());
  }
  const std::int64_t parsed_bytes = parsed_model_bytes(bytes);
  const auto size_bytes = static_cast<std::int64_t>(bytes.size());
  if (parsed_bytes > std::max(kParsedAllowanceBytes, kParsedFactor * size_bytes)) {
    fail_model(
        "{}: {} bytes that would take about {} bytes of memory, more than {} times as many: it is "
        "made of almost empty parts, as no exporter writes them",
        source, size_bytes, parsed_bytes, kParsedFactor);
  }
  ModelProto model;
  const google::protobuf::LogSilencer silencer;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    fail_model("{}: not an ONNX model, or a truncated one (protobuf cannot parse its {} bytes)",
               source, bytes.size());
  }
  return Importer(model, source, folder).run();
}

ImportedModel import_file(const std::filesystem::path& path, const ModelLimits& limits) {
  const InputFile file(path);
  if (file.size() == 0) fail_model("{}: the file is empty", path.string());
  if (file.size() > limits.max_file_bytes) {
    fail_model("{}: {} bytes exceed the limit of {} for a model file", path.string(), file.size(),
               limits.max_file_bytes);
  }
  const std::string bytes = file.read_all();
  const std::filesystem::path parent = path.parent_path();
  return import_bytes(bytes, path.string(), parent.empty() ? "." : parent);
}

}  // namespace prs::onnx
