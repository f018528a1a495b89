#include "onnx/importer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "onnx/wire_size.hpp"
#include "support/expect_error.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"
#include "support/sample_models.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

using test::expect_error;
using test::ModelBuilder;
using test::TempDir;
using test::tensor;

onnx::ImportedModel import(const ModelBuilder& model) {
  const std::string bytes = model.serialize();
  return onnx::import_bytes(bytes, "m.onnx", {});
}

/// x[N,3] * w -> y
ModelBuilder small_model(std::int64_t ir = 8, std::int64_t opset = 13) {
  ModelBuilder model(ir, opset);
  model.input("x", DType::kFloat32, {"N", 3});
  model.initializer("w", tensor<float>({3}, {1, 2, 3}));
  model.node("Mul", {"x", "w"}, {"y"}).set_name("scale");
  model.output("y", DType::kFloat32, {"N", 3});
  return model;
}

TEST(Importer, ReadsASmallModel) {
  const onnx::ImportedModel model = import(small_model());
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  EXPECT_EQ(model.graph.nodes[0].kind, OpKind::kMul);
  EXPECT_EQ(model.graph.nodes[0].name, "scale");
  ASSERT_EQ(model.graph.inputs.size(), 1U);
  ASSERT_EQ(model.graph.inputs[0].dims->size(), 2U);
  EXPECT_EQ((*model.graph.inputs[0].dims)[0].symbol, "N");
  EXPECT_EQ((*model.graph.inputs[0].dims)[1].extent, 3);
  EXPECT_EQ(model.opset, 13);
}

TEST(Importer, AcceptsEveryIrVersionFrom3To13) {
  for (std::int64_t ir = 3; ir <= 13; ++ir) EXPECT_EQ(import(small_model(ir)).ir_version, ir);
  expect_error(ErrorCode::kInvalidModel, "IR version 2", [] { import(small_model(2)); });
  expect_error(ErrorCode::kUnsupported, "IR version 14", [] { import(small_model(14)); });
}

TEST(Importer, AcceptsOpsets1To28) {
  for (std::int64_t opset = 7; opset <= 28; ++opset) import(small_model(8, opset));
  expect_error(ErrorCode::kUnsupported, "opset 29", [] { import(small_model(8, 29)); });
  expect_error(ErrorCode::kUnsupported, "opset -1", [] { import(small_model(8, -1)); });
  expect_error(ErrorCode::kInvalidModel, "no opset", [] {
    ModelBuilder model = small_model();
    model.proto().clear_opset_import();
    import(model);
  });
}

TEST(Importer, TakesTheDefaultDomainByEitherName) {
  ModelBuilder model = small_model();
  model.proto().mutable_opset_import(0)->set_domain("ai.onnx");
  model.proto().mutable_graph()->mutable_node(0)->set_domain("ai.onnx");
  EXPECT_EQ(import(model).opset, 13);
}

TEST(Importer, IgnoresADomainThatNoNodeUses) {
  ModelBuilder model = small_model();
  auto* unused = model.proto().add_opset_import();
  unused->set_domain("com.microsoft");
  unused->set_version(1);
  EXPECT_EQ(import(model).opset, 13);
  model.proto().mutable_graph()->mutable_node(0)->set_domain("com.microsoft");
  expect_error(ErrorCode::kUnsupported,
               "m.onnx: node 'scale' (Mul): operators of domain 'com.microsoft'",
               [&] { import(model); });
}

TEST(Importer, TakesInitializersThatAreListedAsInputs) {
  ModelBuilder model = small_model(3, 8);
  model.input("w", DType::kFloat32, {3});
  const onnx::ImportedModel imported = import(model);
  ASSERT_EQ(imported.graph.inputs.size(), 1U);
  EXPECT_EQ(imported.graph.value(imported.graph.inputs[0].value).name, "x");
}

TEST(Importer, RefusesDeclarationsThatContradictAnInitializer) {
  const auto declared = [](DType dtype, const std::vector<test::Dim>& dims) {
    ModelBuilder model = small_model(3, 8);
    model.input("w", dtype, dims);
    import(model);
  };
  declared(DType::kFloat32, {"K"});
  declared(DType::kFloat32, {-1});
  declared(DType::kFloat32, {0});
  expect_error(ErrorCode::kInvalidModel,
               "m.onnx: input 'w' is declared f32[4], but the initializer of that name is f32[3]",
               [&] { declared(DType::kFloat32, {4}); });
  expect_error(ErrorCode::kInvalidModel, "declared f32[3,1]", [&] {
    declared(DType::kFloat32, {3, 1});
  });
  expect_error(ErrorCode::kInvalidModel, "declared i64[3]", [&] { declared(DType::kInt64, {3}); });
}

TEST(Importer, RefusesValueInfoThatContradictsAnInitializerOrAnInput) {
  const auto declared = [](const std::string& name, DType dtype,
                           const std::vector<test::Dim>& dims) {
    ModelBuilder model = small_model();
    *model.proto().mutable_graph()->add_value_info() = model.input(name, dtype, dims);
    model.proto().mutable_graph()->mutable_input()->RemoveLast();
    return import(model);
  };
  declared("w", DType::kFloat32, {3});
  declared("x", DType::kFloat32, {5, 3});
  declared("stale", DType::kInt64, {5});
  // What nodes make is known when it is inferred; a stale shape of it does no harm.
  EXPECT_EQ(declared("y", DType::kFloat16, {9, 9}).graph.values.back().declared, DType::kFloat16);
  expect_error(
      ErrorCode::kInvalidModel,
      "m.onnx: value_info 'w' is declared f32[2], but the initializer of that name is f32[3]",
      [&] { declared("w", DType::kFloat32, {2}); });
  expect_error(
      ErrorCode::kInvalidModel,
      "m.onnx: value_info 'x' is declared f32[?,4], but the input of that name is f32[?,3]", [&] {
        declared("x", DType::kFloat32, {"N", 4});
      });
  expect_error(ErrorCode::kInvalidModel, "value_info 'x' is declared i32", [&] {
    declared("x", DType::kInt32, {"N", 3});
  });
}

TEST(Importer, ReadsWeightsFromRawDataAndTypedFields) {
  for (const bool raw : {true, false}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt8, DType::kInt16,
                              DType::kInt32, DType::kInt64, DType::kUint8, DType::kUint16,
                              DType::kUint32, DType::kUint64, DType::kBool}) {
      std::mt19937_64 random(7);
      const Tensor want = test::random_tensor(dtype, Shape{5}, random, 0, 100);
      ModelBuilder model(8, 13);
      model.initializer("w", want, raw);
      model.node("Identity", {"w"}, {"y"});
      model.output("y", dtype, {5});
      const onnx::ImportedModel imported = import(model);
      const Value& value = imported.graph.value(imported.graph.nodes[0].inputs[0]);
      ASSERT_TRUE(value.constant);
      test::expect_close(*value.constant, want, {}, std::string(dtype_name(dtype)));
    }
  }
}

TEST(Importer, SortsNodesAndFindsCycles) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {2});
  model.node("Relu", {"b"}, {"c"}).set_name("last");
  model.node("Neg", {"x"}, {"b"}).set_name("first");
  model.output("c", DType::kFloat32, {2});
  EXPECT_EQ(import(model).graph.nodes[0].name, "first");

  ModelBuilder cyclic(8, 13);
  cyclic.input("x", DType::kFloat32, {2});
  cyclic.node("Add", {"x", "c"}, {"b"}).set_name("one");
  cyclic.node("Neg", {"b"}, {"c"}).set_name("two");
  cyclic.output("c", DType::kFloat32, {2});
  expect_error(ErrorCode::kInvalidModel, "node 'one' (Add): the graph has a cycle",
               [&] { import(cyclic); });
}

TEST(Importer, NamesFileNodeAndOperatorOfWhatItCannotRead) {
  ModelBuilder unknown = small_model();
  unknown.proto().mutable_graph()->mutable_node(0)->set_op_type("Frobnicate");
  expect_error(ErrorCode::kUnsupported,
               "m.onnx: node 'scale' (Frobnicate): operator 'Frobnicate' is not supported",
               [&] { import(unknown); });

  ModelBuilder dangling = small_model();
  dangling.proto().mutable_graph()->mutable_node(0)->set_input(1, "nothing");
  expect_error(ErrorCode::kInvalidModel,
               "m.onnx: node 'scale' (Mul): input 'nothing' is produced by nothing",
               [&] { import(dangling); });

  ModelBuilder twice = small_model();
  twice.node("Neg", {"x"}, {"y"});
  expect_error(ErrorCode::kInvalidModel, "value 'y' is defined a second time",
               [&] { import(twice); });

  ModelBuilder few = small_model();
  few.proto().mutable_graph()->mutable_node(0)->mutable_input()->RemoveLast();
  expect_error(ErrorCode::kInvalidModel, "1 inputs; it takes 2..2", [&] { import(few); });

  ModelBuilder no_output = small_model();
  no_output.proto().mutable_graph()->clear_output();
  expect_error(ErrorCode::kInvalidModel, "m.onnx: the graph has no outputs",
               [&] { import(no_output); });
}

TEST(Importer, RefusesARequiredOutputWithoutAName) {
  for (const auto& [name, bytes] : test::refused_models()) {
    SCOPED_TRACE(name);
    expect_error(ErrorCode::kInvalidModel, "output 0 is missing",
                 [&, &bytes = bytes] { onnx::import_bytes(bytes, "m.onnx", {}); });
  }
  ModelBuilder none = small_model();
  none.node("Relu", {"x"}, {}).set_name("silent");
  expect_error(ErrorCode::kInvalidModel, "node 'silent' (Relu): 0 outputs; it gives 1..1",
               [&] { import(none); });
}

TEST(Importer, CannotBeUsedToCallInternalOperators) {
  ModelBuilder model = small_model();
  auto* node = model.proto().mutable_graph()->mutable_node(0);
  node->set_op_type("Normalize");
  node->mutable_input()->RemoveLast();
  expect_error(ErrorCode::kUnsupported, "operator 'Normalize'", [&] { import(model); });
}

TEST(Importer, ChecksTensorSizesBeforeTakingMemory) {
  ModelBuilder model = small_model();
  auto* weights = model.proto().mutable_graph()->mutable_initializer(0);
  weights->set_dims(0, std::int64_t{1} << 61);
  expect_error(ErrorCode::kInvalidModel, "initializer 'w': 12 bytes of raw data",
               [&] { import(model); });
  weights->add_dims(std::int64_t{1} << 61);
  expect_error(ErrorCode::kInvalidArgument, "2^62", [&] { import(model); });
  weights->mutable_dims()->RemoveLast();
  weights->set_dims(0, -3);
  expect_error(ErrorCode::kInvalidModel, "negative dimension", [&] { import(model); });
  weights->set_dims(0, 3);
  weights->set_data_type(8);
  expect_error(ErrorCode::kUnsupported, "element type string", [&] { import(model); });
  weights->set_data_type(17);
  expect_error(ErrorCode::kUnsupported, "element type number 17", [&] { import(model); });
  weights->set_data_type(99);
  expect_error(ErrorCode::kInvalidModel, "unknown element type number 99", [&] { import(model); });
}

TEST(Importer, NamesTheFileOnce) {
  const auto message = [](const ModelBuilder& model) -> std::string {
    try {
      import(model);
    } catch (const Error& error) {
      return error.message();
    }
    return "no error";
  };
  ModelBuilder model = small_model();
  model.proto().mutable_graph()->mutable_initializer(0)->set_dims(0, 4);
  EXPECT_EQ(message(model),
            "m.onnx: node 'scale' (Mul): initializer 'w': 12 bytes of raw data for a tensor "
            "f32[4]");
  model.proto().mutable_graph()->clear_node();
  model.output("w", DType::kFloat32, {4});
  model.proto().mutable_graph()->mutable_output()->DeleteSubrange(0, 1);
  EXPECT_EQ(message(model), "m.onnx: initializer 'w': 12 bytes of raw data for a tensor f32[4]");
}

TEST(Importer, EscapesNamesInMessages) {
  ModelBuilder model = small_model();
  auto* node = model.proto().mutable_graph()->mutable_node(0);
  node->set_name("a\x1b[31m\n" + std::string(500, 'b'));
  node->set_op_type("Unknown");
  try {
    import(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\x1b'), std::string::npos);
    EXPECT_NE(error.message().find("\\x1b[31m\\x0a"), std::string::npos);
    EXPECT_LT(error.message().size(), 400U);
  }
}

class ExternalDataTest : public ::testing::Test {
 protected:
  /// Points the small model's weights at an external file.
  ModelBuilder external(const std::string& location, const std::string& offset = "",
                        const std::string& length = "") {
    ModelBuilder model = small_model();
    auto* weights = model.proto().mutable_graph()->mutable_initializer(0);
    weights->clear_raw_data();
    weights->set_data_location(::onnx::TensorProto::EXTERNAL);
    const auto add = [&](const std::string& key, const std::string& value) {
      auto* entry = weights->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location);
    if (!offset.empty()) add("offset", offset);
    if (!length.empty()) add("length", length);
    return model;
  }
  onnx::ImportedModel load(const ModelBuilder& model) {
    return onnx::import_file(model.write(folder_ / "m.onnx"), {});
  }
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "sub");
    const float values[] = {0, 1, 2, 3};
    for (const auto& path :
         {folder_ / "w.bin", folder_ / "sub" / "w.bin", dir_.path() / "out.bin"}) {
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(values), sizeof values);
    }
  }

  TempDir dir_;
  std::filesystem::path folder_ = dir_.path() / "model";
};

TEST_F(ExternalDataTest, ReadsFilesInsideTheModelsFolder) {
  for (const char* location : {"w.bin", "sub/w.bin", "sub/../w.bin"}) {
    const onnx::ImportedModel model = load(external(location, "4", "12"));
    const Value& weights = model.graph.value(model.graph.nodes[0].inputs[1]);
    test::expect_close(*weights.constant, tensor<float>({3}, {1, 2, 3}), {}, location);
  }
}

TEST_F(ExternalDataTest, RefusesPathsThatLeaveTheFolder) {
  std::filesystem::create_symlink(dir_.path() / "out.bin", folder_ / "link.bin");
  std::filesystem::create_directory_symlink(dir_.path(), folder_ / "linked");
  for (const std::string& location :
       {std::string("../out.bin"), (dir_.path() / "out.bin").string(), std::string("link.bin"),
        std::string("linked/out.bin"), std::string("sub/../../out.bin")}) {
    expect_error(ErrorCode::kInvalidModel, "leaves the model's folder",
                 [&] { load(external(location)); });
  }
}

TEST_F(ExternalDataTest, ReadsEqualRangesOnceAndRefusesMoreThanTheFilesHold) {
  // w.bin has 16 bytes, under two names.
  std::filesystem::create_hard_link(folder_ / "w.bin", folder_ / "same.bin");
  ModelBuilder model = external("w.bin", "4", "12");
  const auto add = [&](const std::string& name, const std::string& offset) {
    auto& graph = *model.proto().mutable_graph();
    auto* weights = graph.add_initializer();
    *weights = graph.initializer(0);
    weights->set_name(name);
    weights->mutable_external_data(0)->set_value("same.bin");
    weights->mutable_external_data(1)->set_value(offset);
    model.node("Neg", {name}, {"neg_" + name});
  };
  for (int i = 0; i < 100; ++i) add("equal" + std::to_string(i), "4");
  const onnx::ImportedModel shared = load(model);
  const auto weights = [&](std::size_t node, std::size_t input) {
    return shared.graph.value(shared.graph.nodes[node].inputs[input]).constant;
  };
  EXPECT_EQ(shared.initializer_bytes, 12);
  EXPECT_EQ(weights(0, 1)->data(), weights(100, 0)->data());
  add("overlapping", "0");
  expect_error(ErrorCode::kInvalidModel,
               "m.onnx: node 'Neg_101' (Neg): initializer 'overlapping': external data: 12 bytes "
               "are wanted after 12 others, but the files named so far have 16 in all",
               [&] { load(model); });
}

TEST_F(ExternalDataTest, ChecksOffsetsAndLengths) {
  expect_error(ErrorCode::kInvalidModel, "at offset 8", [&] { load(external("w.bin", "8")); });
  expect_error(ErrorCode::kInvalidModel, "length 8", [&] { load(external("w.bin", "0", "8")); });
  expect_error(ErrorCode::kInvalidModel, "offset '-1'", [&] { load(external("w.bin", "-1")); });
  expect_error(ErrorCode::kInvalidModel, "offset 'x'", [&] { load(external("w.bin", "x")); });
  expect_error(ErrorCode::kIo, "absent.bin", [&] { load(external("absent.bin")); });
  expect_error(ErrorCode::kIo, "not a regular file", [&] { load(external("sub")); });
}

TEST(Importer, RefusesFilesThatAreNoModels) {
  TempDir dir;
  const auto write = [&](const std::string& bytes) {
    std::ofstream(dir.path() / "x.onnx", std::ios::binary) << bytes;
    return dir.path() / "x.onnx";
  };
  expect_error(ErrorCode::kInvalidModel, "the file is empty",
               [&] { onnx::import_file(write(""), {}); });
  expect_error(ErrorCode::kInvalidModel, "not an ONNX model",
               [&] { onnx::import_file(write("\xFF\xFF\xFF no model"), {}); });
  expect_error(ErrorCode::kIo, "No such file",
               [&] { onnx::import_file(dir.path() / "none.onnx", {}); });
  expect_error(ErrorCode::kIo, "not a regular file", [&] { onnx::import_file(dir.path(), {}); });
  ModelLimits limits;
  limits.max_file_bytes = 4;
  expect_error(ErrorCode::kInvalidModel, "exceed the limit",
               [&] { onnx::import_file(write("12345"), limits); });
}

/// A model file whose graph holds `count` times `part`.
std::string graph_of(const std::string& part, std::size_t count) {
  std::string body;
  for (std::size_t i = 0; i < count; ++i) body += part;
  std::string bytes = "\x08\x08\x3A";  // IR version 8, then the graph
  for (std::size_t size = body.size(); size > 0; size >>= 7) {
    bytes += static_cast<char>((size & 0x7F) | (size > 0x7F ? 0x80 : 0));
  }
  return bytes + body;
}

TEST(Importer, RefusesFilesMadeOfEmptyParts) {
  const std::string attribute = std::string("\x0A\x02\x2A\x00", 4);  // in a node
  const std::string unknown = std::string("\x9A\x06\x00", 3);
  for (const std::string& part :
       {std::string("\x0A\x00", 2), std::string("\x2A\x00", 2), std::string("\x62\x00", 2),
        std::string("\x6A\x00", 2), attribute, unknown}) {
    const std::string bytes = graph_of(part, 2'000'000);
    expect_error(ErrorCode::kInvalidModel, "made of almost empty parts",
                 [&] { onnx::import_bytes(bytes, "m.onnx", {}); });
  }
}

TEST(Importer, ForeseesTheMemoryOfAParsedModel) {
  ModelBuilder model = small_model();
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "a value with a long name " + std::to_string(i);
    model.node("Clip", {"x", name, ""}, {name + " out"}, {test::ints_attr("ints", {1, 2, 300})});
    model.initializer(name, tensor<std::int64_t>({5}, {1, 2, 3, 4, 5}), i % 2 == 0);
    model.input("other" + name, DType::kFloat32, {"N", 3});
  }
  const std::string bytes = model.serialize();
  ::onnx::ModelProto parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  const auto truth = static_cast<double>(parsed.SpaceUsedLong());
  EXPECT_NEAR(static_cast<double>(onnx::parsed_model_bytes(bytes)) / truth, 1.0, 0.25);
}

TEST(Importer, ForeseesNothingBeyondTheEndOfAFile) {
  // A number as a block of a million bytes that are not there.
  const std::string packed("\x08\x08\x0A\xC0\x84\x3D", 6);
  EXPECT_LT(onnx::parsed_model_bytes(packed), 10'000);
  expect_error(ErrorCode::kInvalidModel, "protobuf cannot parse",
               [&] { onnx::import_bytes(packed, "m.onnx", {}); });
}

TEST(Importer, RefusesEveryTruncationOfAModel) {
  const std::string bytes = small_model().serialize();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string part = bytes.substr(0, size);
    // A cut between two of protobuf's fields leaves a valid, smaller message: then what is missing
    // must show, or nothing that matters was missing.
    try {
      onnx::import_bytes(part, "cut.onnx", {});
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("cut.onnx"), std::string::npos) << error.message();
    }
  }
}

TEST(Importer, SurvivesFlippedBytes) {
  const std::string bytes = small_model().serialize();
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (int flips = 0; flips < 1 + round % 3; ++flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    try {
      onnx::import_bytes(damaged, "bad.onnx", {});
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.message();
    }
  }
}

}  // namespace
}  // namespace prs
