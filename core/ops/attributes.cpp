#include "ops/attributes.hpp"

#include "check.hpp"

namespace prs {

template <typename T>
const T* Attributes::find(const std::string& name, const char* type_name) const {
  const auto entry = values_.find(name);
  if (entry == values_.end()) return nullptr;
  const T* value = std::get_if<T>(&entry->second);
  if (value == nullptr) fail_model("attribute '{}' is not of type {}", name, type_name);
  return value;
}

namespace {
template <typename T>
std::optional<T> to_optional(const T* value) {
  return value != nullptr ? std::optional<T>(*value) : std::nullopt;
}
}  // namespace

std::optional<std::int64_t> Attributes::find_int(const std::string& name) const {
  return to_optional(find<std::int64_t>(name, "int"));
}
std::optional<float> Attributes::find_float(const std::string& name) const {
  return to_optional(find<float>(name, "float"));
}
std::optional<std::string> Attributes::find_string(const std::string& name) const {
  return to_optional(find<std::string>(name, "string"));
}
std::optional<std::vector<std::int64_t>> Attributes::find_ints(const std::string& name) const {
  return to_optional(find<std::vector<std::int64_t>>(name, "ints"));
}
std::optional<std::vector<float>> Attributes::find_floats(const std::string& name) const {
  return to_optional(find<std::vector<float>>(name, "floats"));
}
std::optional<Tensor> Attributes::find_tensor(const std::string& name) const {
  return to_optional(find<Tensor>(name, "tensor"));
}
std::int64_t Attributes::get_int(const std::string& name, std::int64_t fallback) const {
  return find_int(name).value_or(fallback);
}
float Attributes::get_float(const std::string& name, float fallback) const {
  return find_float(name).value_or(fallback);
}
std::string Attributes::get_string(const std::string& name, const std::string& fallback) const {
  return find_string(name).value_or(fallback);
}
std::vector<std::int64_t> Attributes::get_ints(const std::string& name) const {
  return find_ints(name).value_or(std::vector<std::int64_t>{});
}

}  // namespace prs
