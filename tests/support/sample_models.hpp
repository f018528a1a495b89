// Small valid ONNX models: one or more an operator, and a few networks. For end-to-end checks of
// the importer and the backend, and as seeds for the fuzzer.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace prs::test {

/// (name, serialized model). Inputs have fixed shapes, so that each can be run as it is.
std::vector<std::pair<std::string, std::string>> sample_models();

/// Models that must be refused when they are imported: (name, serialized model). Seeds for the
/// fuzzer, too.
std::vector<std::pair<std::string, std::string>> refused_models();

/// The operator table's importable names that no sample uses; empty when all are covered.
std::vector<std::string> operators_without_sample();

}  // namespace prs::test
