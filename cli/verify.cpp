// prs-gpu verify: runs models on reference data and compares, as ONNX's backend tests do.
//
// A data set is a folder with output_0.pb, output_1.pb, ... and the inputs they came from,
// input_0.pb, ...: serialized TensorProtos. A case is a model with its data sets.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <prs/model.hpp>

#include "choice.hpp"
#include "commands.hpp"
#include "compare.hpp"
#include "errors.hpp"
#include "output.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kVerifyExamples = R"(Examples:
  prs-gpu verify model.onnx --data test_data_set_0
  prs-gpu verify model.onnx --data .                   every folder here that holds output_0.pb
  prs-gpu verify --suite onnx/backend/test/data/node   every folder with a model.onnx is a case
  prs-gpu verify --suite cases --format json | jq '.cases[] | select(.status == "fail")'

Passes when |got - expected| <= atol + rtol * |expected| (floats), or got = expected (others). Exit
code: 0 nothing failed, 1 something failed, 2 usage. A case that prs-gpu does not support is no failure.
)";

struct VerifyOptions {
  fs::path model;
  fs::path data;
  fs::path suite;
  Tolerance tolerance;
  Format format = Format::kText;
};

struct Case {
  std::string name;
  fs::path model;
  std::vector<fs::path> data_sets;
};

enum class Status { kPass, kFail, kUnsupported };

struct CaseResult {
  std::string name;
  Status status = Status::kPass;
  bool elements_compared = false;  ///< The errors are of some output.
  double max_abs_error = 0.0;
  double max_rel_error = 0.0;
  std::string message;
};

const char* status_name(Status status) {
  switch (status) {
    case Status::kPass:
      return "pass";
    case Status::kFail:
      return "fail";
    case Status::kUnsupported:
      break;
  }
  return "unsupported";
}

bool is_data_set(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "output_0.pb", ignored);
}

std::vector<fs::path> find_data_sets(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && is_data_set(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (is_data_set(folder)) found.insert(found.begin(), folder);
  return found;
}

std::vector<Case> find_cases(const fs::path& suite) {
  std::vector<Case> cases;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(suite)) {
    if (entry.path().filename() != "model.onnx" || !entry.is_regular_file()) continue;
    const fs::path folder = entry.path().parent_path();
    const std::string name = fs::relative(folder, suite).string();
    cases.push_back({name, entry.path(), find_data_sets(folder)});
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

/// prefix_0.pb, prefix_1.pb, ... up to the first that does not exist.
std::vector<NamedTensor> read_tensors(const fs::path& folder, const char* prefix) {
  std::vector<NamedTensor> tensors;
  for (;;) {
    const fs::path file = folder / fmt::format("{}_{}.pb", prefix, tensors.size());
    if (!fs::exists(file)) return tensors;
    tensors.push_back(read_tensor_proto(file));
  }
}

/// For each tensor the port it belongs to: by name when all names are ports', else by position.
std::vector<std::size_t> match_ports(const std::vector<NamedTensor>& tensors,
                                     std::span<const PortInfo> ports) {
  std::vector<std::size_t> matches;
  for (const NamedTensor& tensor : tensors) {
    const auto port = std::find_if(ports.begin(), ports.end(),
                                   [&](const PortInfo& p) { return p.name == tensor.name; });
    const auto index = static_cast<std::size_t>(port - ports.begin());
    if (port == ports.end() || std::find(matches.begin(), matches.end(), index) != matches.end()) {
      matches.clear();
      break;
    }
    matches.push_back(index);
  }
  while (matches.size() < tensors.size()) matches.push_back(matches.size());
  return matches;
}

/// The inputs in the model's order; one that the data set leaves out is an empty tensor.
std::vector<Tensor> arrange_inputs(const std::vector<NamedTensor>& given, const Model& model,
                                   const fs::path& folder) {
  const auto ports = model.inputs();
  if (given.size() > ports.size()) {
    fail(ErrorCode::kInvalidArgument, "{}: {} inputs, but the model takes {}", folder.string(),
         given.size(), ports.size());
  }
  std::vector<Tensor> inputs(ports.size());
  const std::vector<std::size_t> matches = match_ports(given, ports);
  for (std::size_t i = 0; i < given.size(); ++i) inputs[matches[i]] = given[i].tensor;
  while (!inputs.empty() && inputs.back().empty()) inputs.pop_back();
  return inputs;
}

void verify_data_set(const Model& model, const fs::path& folder, const Tolerance& tolerance,
                     CaseResult& result) {
  const std::vector<NamedTensor> given = read_tensors(folder, "input");
  const std::vector<NamedTensor> wanted = read_tensors(folder, "output");
  const std::vector<Tensor> outputs = model.run(arrange_inputs(given, model, folder));
  if (wanted.size() > outputs.size()) {
    fail(ErrorCode::kInvalidArgument, "{}: {} outputs, but the model gives {}", folder.string(),
         wanted.size(), outputs.size());
  }
  const std::vector<std::size_t> matches = match_ports(wanted, model.outputs());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Comparison comparison = compare(outputs[matches[i]], wanted[i].tensor, tolerance);
    result.elements_compared = result.elements_compared || comparison.elements_compared;
    result.max_abs_error = std::max(result.max_abs_error, comparison.max_abs_error);
    result.max_rel_error = std::max(result.max_rel_error, comparison.max_rel_error);
    if (comparison.equal || result.status == Status::kFail) continue;
    result.status = Status::kFail;
    result.message = fmt::format("{}: output {} ({}): {}", folder.filename().string(), i,
                                 model.outputs()[matches[i]].name, comparison.difference);
  }
}

CaseResult verify_case(const Case& tested, const Tolerance& tolerance) {
  CaseResult result;
  result.name = tested.name;
  try {
    const Model model = Model::load(tested.model);
    for (const fs::path& folder : tested.data_sets) {
      verify_data_set(model, folder, tolerance, result);
    }
    if (tested.data_sets.empty()) {
      result.status = Status::kUnsupported;
      result.message = "no data";
    }
  } catch (const Error& error) {
    const bool unsupported = error.code() == ErrorCode::kUnsupported;
    result.status = unsupported ? Status::kUnsupported : Status::kFail;
    result.message = error.message();
  } catch (const std::bad_alloc&) {
    result.status = Status::kFail;
    result.message = "out of memory";
  } catch (const std::exception& error) {
    result.status = Status::kFail;
    result.message = error.what();
  }
  return result;
}

std::string as_text(const CaseResult& result) {
  std::string line = fmt::format("{:<11}  {}", status_name(result.status), result.name);
  if (result.elements_compared) {
    line += fmt::format("  (largest error {:.2g} absolute, {:.2g} relative)", result.max_abs_error,
                        result.max_rel_error);
  }
  if (!result.message.empty()) line += ": " + result.message;
  return line + "\n";
}

Json as_json(const CaseResult& result) {
  // JSON has no infinity.
  const auto error = [&](double value) {
    return result.elements_compared && std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  return {{"name", result.name},
          {"status", status_name(result.status)},
          {"max_abs_error", error(result.max_abs_error)},
          {"max_rel_error", error(result.max_rel_error)},
          {"message", result.message}};
}

std::vector<Case> chosen_cases(const VerifyOptions& options) {
  const bool one = !options.model.empty() && !options.data.empty();
  if (one == !options.suite.empty() || (!one && !(options.model.empty() && options.data.empty()))) {
    throw UsageError("give either MODEL and --data DIR, or --suite DIR");
  }
  const fs::path& folder = one ? options.data : options.suite;
  if (!fs::is_directory(folder)) fail(ErrorCode::kIo, "{}: is no folder", folder.string());
  if (one) {
    const Case only{options.model.string(), options.model, find_data_sets(folder)};
    if (only.data_sets.empty()) {
      fail(ErrorCode::kInvalidArgument,
           "{}: no data sets; expected output_0.pb in it or in folders of it", folder.string());
    }
    return {only};
  }
  std::vector<Case> cases = find_cases(folder);
  if (cases.empty()) fail(ErrorCode::kInvalidArgument, "{}: holds no model.onnx", folder.string());
  return cases;
}

int verify(const VerifyOptions& options) {
  Output output = Output::standard_output();
  std::map<Status, std::int64_t> totals = {
      {Status::kPass, 0}, {Status::kFail, 0}, {Status::kUnsupported, 0}};
  Json list = Json::array();
  for (const Case& tested : chosen_cases(options)) {
    const CaseResult result = verify_case(tested, options.tolerance);
    ++totals[result.status];
    if (options.format == Format::kText) {
      output.append(as_text(result));
      output.flush();
    } else {
      list.push_back(as_json(result));
    }
  }
  if (options.format == Format::kText) {
    output.append(fmt::format("{} passed, {} failed, {} unsupported\n", totals[Status::kPass],
                              totals[Status::kFail], totals[Status::kUnsupported]));
  } else {
    const Json json = {{"passed", totals[Status::kPass]},
                       {"failed", totals[Status::kFail]},
                       {"unsupported", totals[Status::kUnsupported]},
                       {"cases", std::move(list)}};
    output.append(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  output.commit();
  return totals[Status::kFail] == 0 ? kExitDone : kExitError;
}

}  // namespace

void add_verify(CLI::App& app, Command& chosen) {
  CLI::App& command = *app.add_subcommand("verify", "Compare models with reference outputs");
  const auto options = std::make_shared<VerifyOptions>();
  command.add_option("--model,model", options->model, "ONNX model")->type_name("FILE");
  command.add_option("--data", options->data, "Folder of data sets, or one itself")
      ->type_name("DIR");
  command.add_option("--suite", options->suite, "Folder of cases, each with its model.onnx")
      ->type_name("DIR");
  command.add_option("--rtol", options->tolerance.relative, "Relative tolerance of floats")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->capture_default_str();
  command.add_option("--atol", options->tolerance.absolute, "Absolute tolerance of floats")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->capture_default_str();
  add_format(command, options->format);
  command.footer(kVerifyExamples);
  command.callback([options, &chosen] { chosen = [options] { return verify(*options); }; });
}

}  // namespace prs::cli
