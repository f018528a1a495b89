#include "onnx/wire_size.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <string>
#include <unordered_map>

namespace prs::onnx {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

/// What the allocator adds to a block, and the pointer to it in a repeated field.
constexpr std::int64_t kBlock = 16;
constexpr std::int64_t kString = static_cast<std::int64_t>(sizeof(std::string)) + kBlock;
/// A field that the schema does not know, in a growing array of such.
constexpr std::int64_t kUnknownField = 24;
/// protobuf's parser refuses deeper nesting.
constexpr int kMaxDepth = 100;

class Walk {
 public:
  explicit Walk(std::span<const char> bytes)
      : bytes_(reinterpret_cast<const std::uint8_t*>(bytes.data())),
        size_(static_cast<int>(bytes.size())),
        input_(bytes_, size_) {}

  std::int64_t run() {
    message(*::onnx::ModelProto::descriptor(), 0);
    return total_;
  }

 private:
  std::int64_t object_bytes(const Descriptor& type) {
    const auto [entry, added] = object_bytes_.try_emplace(&type, 0);
    if (added) {
      const auto* prototype =
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type);
      entry->second = static_cast<std::int64_t>(prototype->SpaceUsedLong()) + kBlock;
    }
    return entry->second;
  }

  /// The fields up to the current limit; false where the parser will give up.
  bool message(const Descriptor& type, int depth) {
    if (depth > kMaxDepth) return false;
    total_ += object_bytes(type);
    while (const std::uint32_t tag = input_.ReadTag()) {
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const bool read =
          WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED
              ? payload(field, depth)
              : number(field, tag);
      if (!read) return false;
    }
    return input_.ConsumedEntireMessage();
  }

  bool payload(const FieldDescriptor* field, int depth) {
    int size = 0;
    if (!input_.ReadVarintSizeAsInt(&size) || size > left()) return false;
    if (field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const CodedInputStream::Limit limit = input_.PushLimit(size);
      if (!message(*field->message_type(), depth + 1)) return false;
      input_.PopLimit(limit);
      return true;
    }
    if (field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      total_ += kString + size;
    } else if (field != nullptr && field->is_repeated()) {
      total_ += packed_bytes(*field, bytes_ + input_.CurrentPosition(), size);
    } else {
      total_ += kUnknownField + kString + size;
    }
    return input_.Skip(size);
  }

  static std::int64_t element_bytes(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return 8;
      default:
        return 4;
    }
  }

  static std::int64_t packed_bytes(const FieldDescriptor& field, const std::uint8_t* bytes,
                                   int size) {
    if (field.type() == FieldDescriptor::TYPE_FLOAT || field.type() == FieldDescriptor::TYPE_DOUBLE)
      return size;
    // Every varint ends with the one byte whose highest bit is clear.
    return element_bytes(field) *
           std::count_if(bytes, bytes + size, [](std::uint8_t byte) { return byte < 0x80; });
  }

  bool number(const FieldDescriptor* field, std::uint32_t tag) {
    const int begin = input_.CurrentPosition();
    if (!WireFormatLite::SkipField(&input_, tag)) return false;
    if (field == nullptr ||
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_START_GROUP) {
      // A group holds unknown fields, at least two bytes each.
      total_ += kUnknownField * (1 + (input_.CurrentPosition() - begin) / 2);
    } else if (field->is_repeated()) {
      total_ += element_bytes(*field);
    }
    return true;
  }

  int left() const {
    const int limit = input_.BytesUntilLimit();
    return limit >= 0 ? limit : size_ - input_.CurrentPosition();
  }

  const std::uint8_t* bytes_;
  int size_;
  CodedInputStream input_;
  std::unordered_map<const Descriptor*, std::int64_t> object_bytes_;
  std::int64_t total_ = 0;
};

}  // namespace

std::int64_t parsed_model_bytes(std::span<const char> bytes) { return Walk(bytes).run(); }

}  // namespace prs::onnx
