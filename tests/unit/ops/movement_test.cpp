// Transpose, Concat, Gather, Slice, Pad.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "cpu/kernel.hpp"
#include "movement_support.hpp"

namespace prs::test {
namespace {

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHuge = std::int64_t{1} << 62;

Ints random_permutation(Random& random, std::int64_t rank) {
  Ints perm(static_cast<std::size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::shuffle(perm.begin(), perm.end(), random);
  return perm;
}

TEST(Transpose, ReversesByDefault) {
  expect_result({OpKind::kTranspose, parse(OpKind::kTranspose, 1, {}), {iota({2, 3})}},
                tensor<float>({3, 2}, {0, 3, 1, 4, 2, 5}));
  expect_result({OpKind::kTranspose, TransposeParams{}, {iota({})}}, iota({}));
}

TEST(Transpose, TakesAxisPermIOfTheInputForAxisI) {
  const Params params = parse(OpKind::kTranspose, 13, attributes({{"perm", Ints{1, 2, 0}}}));
  expect_result({OpKind::kTranspose, params, {iota({2, 3, 2})}},
                tensor<float>({3, 2, 2}, {0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}));
}

TEST(Transpose, AgreesOnRandomShapesTypesAndPermutations) {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t rank = round % 7;
    const Tensor x = random_bits(random_type(random), random_shape(random, rank), random);
    expect_equal_bits({OpKind::kTranspose, TransposeParams{random_permutation(random, rank)}, {x}});
  }
}

TEST(Transpose, AgreesAroundTheTile) {
  Random random(12);
  for (const DType dtype : {DType::kUint8, DType::kFloat16, DType::kFloat32, DType::kInt64}) {
    for (const std::int64_t rows : {1, 31, 32, 33, 67}) {
      for (const std::int64_t columns : {2, 31, 32, 33, 64}) {
        const Tensor x = random_bits(dtype, {2, rows, columns}, random);
        expect_equal_bits({OpKind::kTranspose, TransposeParams{{0, 2, 1}}, {x}});
      }
    }
  }
}

TEST(Transpose, ConvertsBetweenNchwAndNhwc) {
  Random random(13);
  const Tensor nchw = random_bits(DType::kFloat32, {2, 3, 19, 23}, random);
  expect_equal_bits({OpKind::kTranspose, TransposeParams{{0, 2, 3, 1}}, {nchw}});
  const Tensor nhwc = random_bits(DType::kUint8, {2, 19, 23, 3}, random);
  expect_equal_bits({OpKind::kTranspose, TransposeParams{{0, 3, 1, 2}}, {nhwc}});
}

TEST(Transpose, RefusesWhatIsNoPermutation) {
  const auto expect = [](const char* part, const Ints& perm) {
    expect_infer_error(ErrorCode::kInvalidModel, part,
                       {OpKind::kTranspose, TransposeParams{perm}, {iota({2, 3})}});
  };
  expect("perm has 3 entries for an input of rank 2", {0, 1, 2});
  expect("perm [0,0] is no permutation of 0..1", {0, 0});
  expect("perm [0,2] is no permutation of 0..1", {0, 2});
  expect("perm [0,-1] is no permutation of 0..1", {0, -1});
}

TEST(Concat, JoinsAlongItsAxis) {
  expect_result({OpKind::kConcat, ConcatParams{0}, {iota({1, 2}), iota({2, 2})}},
                tensor<float>({3, 2}, {0, 1, 0, 1, 2, 3}));
  expect_result({OpKind::kConcat, ConcatParams{-1}, {iota({2, 1}), iota({2, 2}), iota({2, 1})}},
                tensor<float>({2, 4}, {0, 0, 1, 0, 1, 2, 3, 1}));
}

TEST(Concat, AllowsPartsWithoutElements) {
  expect_result({OpKind::kConcat, ConcatParams{1}, {iota({2, 0}), iota({2, 1}), iota({2, 0})}},
                iota({2, 1}));
  expect_result({OpKind::kConcat, ConcatParams{0}, {iota({0}), iota({0})}}, iota({0}));
}

TEST(Concat, AgreesOnRandomShapesAndTypes) {
  Random random(14);
  for (int round = 0; round < 120; ++round) {
    const std::int64_t rank = 1 + round % 6;
    const std::int64_t axis = random_int(random, -rank, rank - 1);
    const DType dtype = random_type(random);
    Shape shape = random_shape(random, rank, 800);
    std::vector<Tensor> parts;
    for (std::int64_t count = random_int(random, 1, 5); count > 0; --count) {
      shape.set(axis < 0 ? axis + rank : axis, random_int(random, 0, 7));
      parts.push_back(random_bits(dtype, shape, random));
    }
    expect_equal_bits({OpKind::kConcat, ConcatParams{axis}, parts});
  }
}

TEST(Concat, DefaultsToAxis1BelowOpset4) {
  EXPECT_EQ(std::get<ConcatParams>(parse(OpKind::kConcat, 3, {})).axis, 1);
  const Attributes axis = attributes({{"axis", std::int64_t{-2}}});
  EXPECT_EQ(std::get<ConcatParams>(parse(OpKind::kConcat, 11, axis)).axis, -2);
  expect_error(ErrorCode::kInvalidModel, "'axis'", [] { parse(OpKind::kConcat, 4, {}); });
}

TEST(Concat, RefusesPartsThatDoNotMatch) {
  const auto expect = [](const char* part, std::int64_t axis, const std::vector<Tensor>& parts) {
    expect_infer_error(ErrorCode::kInvalidModel, part,
                       {OpKind::kConcat, ConcatParams{axis}, parts});
  };
  expect("input 1 is of type i64, input 0 of type f32", 0, {iota({2}), ints({1})});
  expect("input 1 [2,4] and input 0 [2,3]", 0, {iota({2, 3}), iota({2, 4})});
  expect("input 1 [2] and input 0 [2,3]", 0, {iota({2, 3}), iota({2})});
  expect("axis 2 out of range for rank 2", 2, {iota({2, 3}), iota({2, 3})});
  expect("scalar", 0, {iota({}), iota({})});
  const Tensor huge(DType::kUint8, {0, kMax});
  expect("too large", 1, {huge, huge});
}

TEST(Gather, PicksAlongItsAxis) {
  const Tensor x = iota({3, 2});
  expect_result({OpKind::kGather, GatherParams{0}, {x, ints({2, 0, 2})}},
                tensor<float>({3, 2}, {4, 5, 0, 1, 4, 5}));
  expect_result({OpKind::kGather, GatherParams{-1}, {x, ints32({1})}},
                tensor<float>({3, 1}, {1, 3, 5}));
}

TEST(Gather, CountsNegativeIndicesFromTheEnd) {
  expect_result({OpKind::kGather, GatherParams{0}, {iota({3}), ints({-1, -3})}},
                tensor<float>({2}, {2, 0}));
}

TEST(Gather, PutsTheIndicesShapeInPlaceOfTheAxis) {
  const OpCase scalar{
      OpKind::kGather, GatherParams{1}, {iota({2, 3, 4}), tensor<std::int64_t>({}, {1})}};
  EXPECT_EQ(infer_types(scalar).at(0).shape, Shape({2, 4}));
  const Tensor indices(DType::kInt64, {5, 0, 6});
  EXPECT_EQ(infer_types({OpKind::kGather, GatherParams{1}, {iota({2, 3}), indices}}).at(0).shape,
            Shape({2, 5, 0, 6}));
}

TEST(Gather, AgreesOnRandomShapesAndTypes) {
  Random random(15);
  for (int round = 0; round < 150; ++round) {
    const std::int64_t rank = 1 + round % 5;
    const Tensor x = random_bits(random_type(random), random_shape(random, rank, 500), random);
    const std::int64_t axis = random_int(random, -rank, rank - 1);
    const std::int64_t extent = x.shape()[axis < 0 ? axis + rank : axis];
    Shape shape = random_shape(random, random_int(random, 0, 3), 20);
    if (extent == 0) shape = {0};
    const bool narrow = random() % 2 == 0;
    Tensor indices(narrow ? DType::kInt32 : DType::kInt64, shape);
    for (std::int64_t i = 0; i < indices.elements(); ++i) {
      const std::int64_t index = random_int(random, -extent, extent - 1);
      if (narrow) {
        indices.as<std::int32_t>()[i] = static_cast<std::int32_t>(index);
      } else {
        indices.as<std::int64_t>()[i] = index;
      }
    }
    expect_equal_bits({OpKind::kGather, GatherParams{axis}, {x, indices}});
  }
}

TEST(Gather, RefusesAConstantIndexOutOfRangeWhenCompiling) {
  for (const std::int64_t index : {std::int64_t{3}, std::int64_t{-4}, kMin, kMax}) {
    expect_infer_error(
        ErrorCode::kInvalidModel, "for axis 0 of extent 3; expected -3..2",
        {OpKind::kGather, GatherParams{0}, {iota({3, 2}), ints({0, index})}, 1, {1}});
  }
}

TEST(Gather, RefusesAnIndexOutOfRangeWhenRunning) {
  for (const std::int64_t index : {std::int64_t{3}, std::int64_t{-4}, kMin, kMax}) {
    const OpCase test{OpKind::kGather, GatherParams{0}, {iota({3, 2}), ints({0, index})}};
    const std::string message =
        "index " + std::to_string(index) + " out of range for axis 0 of extent 3";
    expect_error(ErrorCode::kInvalidArgument, message, [&] { run_reference(test); });
    expect_error(ErrorCode::kInvalidArgument, message, [&] { run_cpu(test, "portable"); });
  }
  const OpCase narrow{OpKind::kGather, GatherParams{0}, {iota({3}), ints32({-4})}};
  expect_error(ErrorCode::kInvalidArgument, "index -4", [&] { run_cpu(narrow, "portable"); });
  const OpCase empty{OpKind::kGather, GatherParams{0}, {iota({0}), ints({0})}};
  expect_error(ErrorCode::kInvalidArgument, "extent 0", [&] { run_cpu(empty, "portable"); });
}

TEST(Gather, RefusesWrongOperands) {
  expect_infer_error(ErrorCode::kInvalidModel, "i64 or i32, not f32",
                     {OpKind::kGather, GatherParams{0}, {iota({3}), iota({1})}});
  expect_infer_error(ErrorCode::kInvalidModel, "axis 1 out of range for rank 1",
                     {OpKind::kGather, GatherParams{1}, {iota({3}), ints({0})}});
  const Tensor deep(DType::kInt64, {1, 1, 1, 1, 1, 1, 1, 1});
  expect_infer_error(ErrorCode::kUnsupported, "more than 8",
                     {OpKind::kGather, GatherParams{0}, {iota({3, 1}), deep}});
}

OpCase slice(const Tensor& x, const Ints& starts, const Ints& ends, const Ints& axes,
             const Ints& steps) {
  return {OpKind::kSlice, SliceParams{}, {x, ints(starts), ints(ends), ints(axes), ints(steps)}};
}

/// Slices 0, 1, .., 9.
void expect_slice(std::int64_t start, std::int64_t end, std::int64_t step,
                  const std::vector<float>& want) {
  expect_result(slice(iota({10}), {start}, {end}, {0}, {step}),
                tensor<float>({static_cast<std::int64_t>(want.size())}, want));
}

TEST(Slice, TakesEveryStepthElement) {
  expect_slice(2, 5, 1, {2, 3, 4});
  expect_slice(1, 9, 3, {1, 4, 7});
  expect_slice(1, 8, 3, {1, 4, 7});
  expect_slice(1, 7, 3, {1, 4});
  expect_slice(5, 5, 1, {});
  expect_slice(5, 2, 1, {});
}

TEST(Slice, CountsNegativeBoundsFromTheEnd) {
  expect_slice(-3, -1, 1, {7, 8});
  expect_slice(-3, kMax, 1, {7, 8, 9});
}

TEST(Slice, ClampsBoundsBeyondTheExtent) {
  expect_slice(-100, 100, 4, {0, 4, 8});
  expect_slice(100, 200, 1, {});
  expect_slice(kMin, kMax, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  expect_slice(7, kMax, kMax, {7});
}

TEST(Slice, WalksBackwardsWithANegativeStep) {
  expect_slice(3, 0, -1, {3, 2, 1});
  expect_slice(-1, kMin, -4, {9, 5, 1});
  expect_slice(100, -100, -3, {9, 6, 3, 0});
  expect_slice(-100, -200, -1, {0});
  expect_slice(0, 5, -1, {});
  expect_slice(9, kMin, kMin, {9});
}

TEST(Slice, DefaultsToTheFirstAxesAndSteps1) {
  expect_result({OpKind::kSlice, SliceParams{}, {iota({2, 3}), ints32({1, 1}), ints32({2, 9})}},
                tensor<float>({1, 2}, {4, 5}));
  expect_result(
      {OpKind::kSlice, SliceParams{}, {iota({2, 3}), ints({1}), ints({2}), {}, ints({1})}},
      tensor<float>({1, 3}, {3, 4, 5}));
}

TEST(Slice, AcceptsNegativeAxes) {
  expect_result(slice(iota({2, 3}), {2}, {0}, {-1}, {-1}), tensor<float>({2, 2}, {2, 1, 5, 4}));
}

TEST(Slice, LeavesAnAxisWithoutElementsAlone) {
  expect_result(slice(iota({2, 0}), {-5}, {5}, {1}, {-1}), iota({2, 0}));
  expect_result({OpKind::kSlice, SliceParams{}, {iota({}), ints({}), ints({})}}, iota({}));
}

TEST(Slice, AgreesOnRandomShapesTypesAndBounds) {
  Random random(16);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t rank = round % 7;
    const Tensor x = random_bits(random_type(random), random_shape(random, rank), random);
    Ints axes = random_permutation(random, rank);
    axes.resize(static_cast<std::size_t>(random_int(random, 0, rank)));
    Ints starts, ends, steps;
    for (std::int64_t& axis : axes) {
      const std::int64_t extent = x.shape()[axis];
      starts.push_back(random_int(random, -extent - 2, extent + 2));
      ends.push_back(random_int(random, -extent - 2, extent + 2));
      const std::int64_t step = random_int(random, 1, 3);
      steps.push_back(random() % 2 == 0 ? step : -step);
      if (random() % 2 == 0) std::swap(starts.back(), ends.back());
      if (random() % 2 == 0) axis -= rank;
    }
    expect_equal_bits(slice(x, starts, ends, axes, steps));
  }
}

TEST(Slice, ReadsAttributesBelowOpset10) {
  const Params params =
      parse(OpKind::kSlice, 1,
            attributes({{"starts", Ints{0, 1}}, {"ends", Ints{-1, 1000}}, {"axes", Ints{1, 0}}}));
  expect_result({OpKind::kSlice, params, {iota({2, 3})}}, tensor<float>({1, 2}, {3, 4}));
  const Params no_axes =
      parse(OpKind::kSlice, 9, attributes({{"starts", Ints{1}}, {"ends", Ints{2}}}));
  expect_result({OpKind::kSlice, no_axes, {iota({2, 2})}}, tensor<float>({1, 2}, {2, 3}));
  expect_error(ErrorCode::kInvalidModel, "'starts'", [] { parse(OpKind::kSlice, 9, {}); });
  expect_error(ErrorCode::kInvalidModel, "'ends'", [] {
    parse(OpKind::kSlice, 9, attributes({{"starts", Ints{1}}}));
  });
  EXPECT_NO_THROW(parse(OpKind::kSlice, 10, {}));
}

TEST(Slice, RefusesWrongBounds) {
  const Tensor x = iota({2, 3});
  const auto expect = [](const char* part, const OpCase& test) {
    expect_infer_error(ErrorCode::kInvalidModel, part, test);
  };
  expect("the step of axis 1 is 0", slice(x, {0}, {1}, {1}, {0}));
  expect("axis 2 out of range for rank 2", slice(x, {0}, {1}, {2}, {1}));
  expect("twice", slice(x, {0, 0}, {1, 1}, {0, -2}, {1, 1}));
  expect("1 starts, but 2 ends", slice(x, {0}, {1, 1}, {0}, {1}));
  expect("1 starts, but 2 axes", slice(x, {0}, {1}, {0, 1}, {1}));
  expect("1 starts, but 2 steps", slice(x, {0}, {1}, {0}, {1, 1}));
  expect("3 starts for an input of rank 2", slice(x, {0, 0, 0}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}));
  expect("input 1 is missing", {OpKind::kSlice, SliceParams{}, {x}});
  expect("input 2 is missing", {OpKind::kSlice, SliceParams{}, {x, ints({0})}});
  expect("must be i64 or i32", {OpKind::kSlice, SliceParams{}, {x, iota({1}), ints({1})}});
}

PadParams pad_params(PadParams::Mode mode) {
  PadParams params;
  params.mode = mode;
  return params;
}

/// Pads the row 1, 2, 3.
void expect_pad(PadParams::Mode mode, std::int64_t begin, std::int64_t end,
                const std::vector<float>& want) {
  expect_result(
      {OpKind::kPad, pad_params(mode), {tensor<float>({3}, {1, 2, 3}), ints({begin, end})}},
      tensor<float>({static_cast<std::int64_t>(want.size())}, want));
}

TEST(Pad, FillsWithZeroByDefault) {
  expect_pad(PadParams::Mode::kConstant, 2, 1, {0, 0, 1, 2, 3, 0});
  expect_pad(PadParams::Mode::kConstant, 0, 0, {1, 2, 3});
}

TEST(Pad, FillsWithAValueKnownOnlyWhenRunning) {
  const Tensor x = iota({1, 2});
  expect_result({OpKind::kPad, PadParams{}, {x, ints({1, 0, 0, 1}), tensor<float>({}, {9})}},
                tensor<float>({2, 3}, {9, 9, 9, 0, 1, 9}));
}

TEST(Pad, RepeatsTheEdge) { expect_pad(PadParams::Mode::kEdge, 2, 3, {1, 1, 1, 2, 3, 3, 3, 3}); }

TEST(Pad, ReflectsWithoutRepeatingTheEdge) {
  expect_pad(PadParams::Mode::kReflect, 2, 1, {3, 2, 1, 2, 3, 2});
  expect_pad(PadParams::Mode::kReflect, 5, 0, {2, 1, 2, 3, 2, 1, 2, 3});
  expect_pad(PadParams::Mode::kReflect, 0, 5, {1, 2, 3, 2, 1, 2, 3, 2});
}

TEST(Pad, ReflectsASingleElementAsEdge) {
  expect_result({OpKind::kPad, pad_params(PadParams::Mode::kReflect), {iota({1}), ints({1, 2})}},
                tensor<float>({4}, {0, 0, 0, 0}));
}

TEST(Pad, WrapsAround) {
  expect_pad(PadParams::Mode::kWrap, 1, 2, {3, 1, 2, 3, 1, 2});
  expect_pad(PadParams::Mode::kWrap, 4, 0, {3, 1, 2, 3, 1, 2, 3});
}

TEST(Pad, CropsWithNegativePads) {
  expect_pad(PadParams::Mode::kConstant, -1, 2, {2, 3, 0, 0});
  expect_pad(PadParams::Mode::kConstant, -1, -1, {2});
  expect_pad(PadParams::Mode::kConstant, -3, 1, {0});
  expect_pad(PadParams::Mode::kEdge, 1, -2, {1, 1});
}

TEST(Pad, MirrorsOnlyWhatCroppingLeft) {
  expect_pad(PadParams::Mode::kReflect, -1, 3, {2, 3, 2, 3, 2});
}

TEST(Pad, PadsTheListedAxes) {
  expect_result({OpKind::kPad, PadParams{}, {iota({1, 2}), ints({1, 0}), {}, ints({-1})}},
                tensor<float>({1, 3}, {0, 0, 1}));
  expect_result({OpKind::kPad, PadParams{}, {iota({1, 2}), ints({1, 0, 0, 1}), {}, ints32({1, 0})}},
                tensor<float>({2, 3}, {0, 0, 1, 0, 0, 0}));
}

TEST(Pad, FillsAnAxisWithoutElements) {
  expect_result({OpKind::kPad, PadParams{}, {iota({0}), ints({1, 1}), tensor<float>({1}, {5})}},
                tensor<float>({2}, {5, 5}));
  expect_result({OpKind::kPad, PadParams{}, {iota({}), ints({})}}, iota({}));
}

TEST(Pad, AgreesOnRandomShapesTypesAndPads) {
  Random random(17);
  for (int round = 0; round < 400; ++round) {
    const std::int64_t rank = round % 6;
    const auto mode = static_cast<PadParams::Mode>(random_int(random, 0, 3));
    const DType dtype = random_type(random);
    const Tensor x = random_bits(dtype, random_shape(random, rank, 400), random);
    Ints begins, ends;
    for (const std::int64_t extent : x.shape()) {
      const bool untouched = random() % 2 == 0 || extent == 0;
      begins.push_back(untouched ? 0 : random_int(random, -(extent / 2), 4));
      ends.push_back(untouched ? 0 : random_int(random, -(extent - 1) / 2, 4));
    }
    Ints pads = begins;
    pads.insert(pads.end(), ends.begin(), ends.end());
    OpCase test{OpKind::kPad, pad_params(mode), {x, ints(pads)}};
    if (random() % 2 == 0) test.inputs.push_back(random_bits(dtype, {}, random));
    expect_equal_bits(test);
  }
}

TEST(Pad, ReadsAttributesBelowOpset11) {
  const Params first =
      parse(OpKind::kPad, 1, attributes({{"paddings", Ints{1, 0}}, {"value", 4.0F}}));
  expect_result({OpKind::kPad, first, {iota({2})}}, tensor<float>({3}, {4, 0, 1}));
  const Params second =
      parse(OpKind::kPad, 10, attributes({{"pads", Ints{0, 1}}, {"mode", std::string("edge")}}));
  expect_result({OpKind::kPad, second, {iota({2})}}, tensor<float>({3}, {0, 1, 1}));
  expect_error(ErrorCode::kInvalidModel, "'paddings'", [] { parse(OpKind::kPad, 1, {}); });
  expect_error(ErrorCode::kInvalidModel, "'pads'", [] { parse(OpKind::kPad, 2, {}); });
  EXPECT_FALSE(std::get<PadParams>(parse(OpKind::kPad, 11, {})).legacy_pads);
}

TEST(Pad, ConvertsTheValueAttributeToTheInputsType) {
  PadParams params;
  params.legacy_pads = Ints{0, 1};
  params.legacy_value = 1.5F;
  Tensor half(DType::kFloat16, {1});
  half.as<std::uint16_t>()[0] = 0;
  const OpCase test{OpKind::kPad, params, {half}};
  EXPECT_EQ(run_reference(test).at(0).as<std::uint16_t>()[1], float_to_half(1.5F));
  expect_equal_bits(test);
}

TEST(Pad, KnowsFourModes) {
  const auto mode = [](const char* name) {
    const Params params = parse(OpKind::kPad, 19, attributes({{"mode", std::string(name)}}));
    return std::get<PadParams>(params).mode;
  };
  EXPECT_EQ(mode("constant"), PadParams::Mode::kConstant);
  EXPECT_EQ(mode("reflect"), PadParams::Mode::kReflect);
  EXPECT_EQ(mode("edge"), PadParams::Mode::kEdge);
  EXPECT_EQ(mode("wrap"), PadParams::Mode::kWrap);
  expect_error(ErrorCode::kInvalidModel, "unknown mode 'mirror'", [&] { mode("mirror"); });
}

TEST(Pad, RefusesWrongPads) {
  const Tensor x = iota({2, 3});
  const auto expect = [&](ErrorCode code, const char* part, std::vector<Tensor> others,
                          PadParams::Mode mode = PadParams::Mode::kConstant) {
    others.insert(others.begin(), x);
    expect_infer_error(code, part, {OpKind::kPad, pad_params(mode), others});
  };
  expect(ErrorCode::kInvalidModel, "3 pads for 2 axes; expected 4", {ints({1, 1, 1})});
  expect(ErrorCode::kInvalidModel, "crop more than the extent 2 of axis 0", {ints({-2, 0, -1, 0})});
  expect(ErrorCode::kInvalidModel, "crop more", {ints({kMin, 0, 0, 0})});
  expect(ErrorCode::kInvalidModel, "crop more", {ints({0, 0, kMin, 0})});
  expect(ErrorCode::kInvalidModel, "too large", {ints({kMax, 0, 0, 0})});
  expect(ErrorCode::kInvalidArgument, "2^62", {ints({kHuge, kHuge, 0, 0})});
  expect(ErrorCode::kInvalidModel, "one element of type f32", {ints({0, 0, 0, 0}), ints({1})});
  expect(ErrorCode::kInvalidModel, "one element", {ints({0, 0, 0, 0}), iota({2})});
  expect(ErrorCode::kInvalidModel, "twice", {ints({0, 0, 0, 0}), {}, ints({1, -1})});
  expect(ErrorCode::kInvalidModel, "axis 2 out of range", {ints({0, 0}), {}, ints({2})});
  expect(ErrorCode::kInvalidModel, "no elements to fill", {ints({-2, 0, 1, 0})},
         PadParams::Mode::kEdge);
  expect(ErrorCode::kInvalidModel, "input 1 is missing", {});
}

TEST(MovementKernels, AreNamedByAlgorithm) {
  const auto kernel = [](OpKind kind, const Params& params, const std::vector<Tensor>& inputs) {
    std::vector<InputInfo> infos;
    for (const Tensor& input : inputs) infos.push_back({{input.dtype(), input.shape()}, &input});
    std::vector<TensorType> types(1);
    op_def(kind).infer({kind, params, infos}, types);
    const cpu::Call call{kind, params, infos, types};
    const cpu::Isa& isa = *cpu::supported_isas().front();
    return kind == OpKind::kTranspose ? cpu::plan_transpose(call, isa).kernel
                                      : cpu::plan_slice(call, isa).kernel;
  };
  const Tensor x = iota({2, 3, 4});
  EXPECT_EQ(kernel(OpKind::kTranspose, TransposeParams{{0, 2, 1}}, {x}),
            "transpose_b32_blocked_32x32");
  EXPECT_EQ(kernel(OpKind::kTranspose, TransposeParams{{1, 0, 2}}, {x}), "transpose_b32_rows");
  EXPECT_EQ(kernel(OpKind::kSlice, SliceParams{}, {x, ints({1}), ints({2})}), "slice_b32_rows");
  EXPECT_EQ(
      kernel(OpKind::kSlice, SliceParams{}, {x, ints({9}), ints({-9}), ints({2}), ints({-1})}),
      "slice_b32_strided");
}

}  // namespace
}  // namespace prs::test
