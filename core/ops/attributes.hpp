// The attributes of one ONNX node, as the importer hands them to an operator's parse function.
//
// Getters throw invalid model when an attribute is there with another type than asked for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "prs/tensor.hpp"

namespace prs {

class Attributes {
 public:
  using Value = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>,
                             std::vector<float>, std::vector<std::string>, Tensor>;

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  bool has(const std::string& name) const { return values_.contains(name); }

  std::int64_t get_int(const std::string& name, std::int64_t fallback) const;
  float get_float(const std::string& name, float fallback) const;
  std::string get_string(const std::string& name, const std::string& fallback) const;
  std::vector<std::int64_t> get_ints(const std::string& name) const;  ///< Empty when absent.
  std::optional<std::int64_t> find_int(const std::string& name) const;
  std::optional<float> find_float(const std::string& name) const;
  std::optional<std::string> find_string(const std::string& name) const;
  std::optional<std::vector<std::int64_t>> find_ints(const std::string& name) const;
  std::optional<std::vector<float>> find_floats(const std::string& name) const;
  std::optional<Tensor> find_tensor(const std::string& name) const;

 private:
  template <typename T>
  const T* find(const std::string& name, const char* type_name) const;

  std::map<std::string, Value> values_;
};

}  // namespace prs
