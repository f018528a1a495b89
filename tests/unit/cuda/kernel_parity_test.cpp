// Every CUDA kernel, emulated, against the references and the CPU kernels: shapes around each tile,
// the last partial tile, single elements, odd widths, empty tensors, NaN and infinity.
#include <cstring>
#include <limits>
#include <random>

#include "unit/cuda/parity_support.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

std::mt19937_64 generator(std::uint64_t seed) { return std::mt19937_64(seed); }

struct Product {
  std::int64_t m, n, k;
};

void check_gemm(const Product& extents, GemmParams params, DType a_type, const Shape& bias) {
  auto random = generator(static_cast<std::uint64_t>(extents.m * 31 + extents.n * 7 + extents.k));
  const auto [m, n, k] = extents;
  const bool pixels = a_type == DType::kUint8;
  OpCase test{OpKind::kGemm,
              params,
              {random_tensor(a_type, params.trans_a ? Shape{k, m} : Shape{m, k}, random,
                             pixels ? 0 : -1, pixels ? 256 : 1),
               random_tensor(DType::kFloat32, params.trans_b ? Shape{n, k} : Shape{k, n}, random),
               random_tensor(DType::kFloat32, bias, random)}};
  OpCase bare = test;
  auto& plain = std::get<GemmParams>(bare.params);
  plain.activation = {};
  plain.alpha = std::abs(plain.alpha);
  plain.beta = std::abs(plain.beta);
  expect_cuda_parity(test, {.rtol = 8 * kUlp32, .atol = product_bound(bare, k)});
}

TEST(CudaKernels, GemmAroundItsTiles) {
  int variant = 0;
  for (const Product& extents : std::vector<Product>{{1, 1, 1},
                                                     {1, 10, 128},
                                                     {17, 10, 33},
                                                     {63, 65, 16},
                                                     {64, 64, 15},
                                                     {65, 63, 17},
                                                     {129, 5, 1},
                                                     {3, 131, 2},
                                                     {5, 7, 0},
                                                     {0, 4, 3}}) {
    ++variant;
    GemmParams params;
    params.trans_a = (variant & 1) != 0;
    params.trans_b = (variant & 2) != 0;
    check_gemm(extents, params, DType::kFloat32, Shape{extents.n});
  }
  check_gemm({17, 10, 784}, {}, DType::kUint8, Shape{10});
  check_gemm({9, 70, 20}, {.alpha = -0.5F, .beta = 2.0F}, DType::kFloat32, Shape{9, 1});
  for (const Activation& activation : activations()) {
    GemmParams params;
    params.activation = activation;
    check_gemm({9, 20, 30}, params, DType::kFloat32, Shape{});
  }
}

TEST(CudaKernels, MatMulOverBatches) {
  auto random = generator(2);
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{3, 5}, {5, 7}},          {{5}, {5, 7}},      {{3, 5}, {5}}, {{2, 3, 17, 4}, {4, 9}},
      {{2, 1, 3, 4}, {5, 4, 2}}, {{0, 3, 4}, {4, 2}}};
  for (const auto& [a, b] : cases) {
    const OpCase test{
        OpKind::kMatMul,
        std::monostate{},
        {random_tensor(DType::kFloat32, a, random), random_tensor(DType::kFloat32, b, random)}};
    expect_cuda_parity(test, {.rtol = 8 * kUlp32, .atol = product_bound(test, 5)});
  }
}

struct Convolution {
  Shape x;
  Shape w;
  ConvParams params;
  DType dtype = DType::kFloat32;
};

TEST(CudaKernels, ConvOfEveryAlgorithmAndShape) {
  const auto [same, strided, grouped, depthwise, cube] = conv_variants();
  ConvParams fused = same;
  fused.activation = {Activation::Kind::kLeakyRelu, 0.125F, 0};
  const std::vector<Convolution> cases = {
      {{1, 1, 5, 5}, {1, 1, 3, 3}, same},       // direct
      {{2, 5, 6, 7}, {5, 1, 3, 3}, depthwise},  // direct, a filter a group
      {{17, 3, 3, 3}, {8, 3, 1, 1}, {}},        // 16 filters, half a tile
      {{1, 1, 28, 28}, {16, 1, 5, 5}, same},    // 16 filters
      {{3, 2, 9, 11}, {17, 2, 3, 3}, same},     // 64 filters
      {{1, 3, 8, 8}, {65, 3, 3, 3}, fused},     // two tiles of filters
      {{2, 4, 9, 10}, {40, 2, 2, 3}, grouped},  // groups along z
      {{2, 3, 11, 13}, {9, 3, 3, 2}, strided},
      {{2, 2, 13}, {9, 2, 4}, {}},               // one spatial axis
      {{1, 2, 4, 5, 6}, {9, 2, 2, 3, 2}, cube},  // three
      {{0, 2, 4, 4}, {9, 2, 3, 3}, same},
      {{2, 1, 9, 9}, {3, 1, 3, 3}, same, DType::kUint8},
      {{2, 1, 9, 9}, {12, 1, 3, 3}, same, DType::kUint8},
      {{1, 3, 9, 9}, {33, 3, 3, 3}, same, DType::kUint8}};
  auto random = generator(3);
  for (const Convolution& convolution : cases) {
    const bool pixels = convolution.dtype == DType::kUint8;
    OpCase test{
        OpKind::kConv,
        convolution.params,
        {random_tensor(convolution.dtype, convolution.x, random, pixels ? 0 : -1, pixels ? 256 : 1),
         random_tensor(DType::kFloat32, convolution.w, random),
         random_tensor(DType::kFloat32, Shape{convolution.w[0]}, random)}};
    OpCase bare = test;
    std::get<ConvParams>(bare.params).activation = {};
    const std::int64_t k = convolution.w.elements(1, convolution.w.rank());
    const Tolerance tolerance{.rtol = 8 * kUlp32, .atol = product_bound(bare, k)};
    expect_cuda_parity(test, tolerance);
    test.inputs.pop_back();
    test.constant_inputs = {1};
    expect_cuda_parity(test, tolerance);
    // Smaller tiles, where wide ones would leave multiprocessors idle.
    cuda::DeviceLimits idle;
    idle.multiprocessors = 1000;
    expect_device_parity(test, Precision::kFp32, idle, tolerance);
  }
}

TEST(CudaKernels, Pools) {
  auto random = generator(4);
  PoolParams padded;
  padded.kernel_shape = {3, 2};
  padded.strides = {2, 1};
  padded.pads = {1, 1, 1, 0};
  PoolParams dilated;
  dilated.kernel_shape = {2, 2};
  dilated.dilations = {2, 3};
  dilated.ceil_mode = true;
  dilated.strides = {3, 2};
  PoolParams counting = padded;
  counting.count_include_pad = true;
  PoolParams columns = padded;
  columns.storage_order = 1;
  for (const PoolParams& params : {padded, dilated, counting, columns}) {
    Tensor x = random_tensor(DType::kFloat32, {2, 3, 9, 11}, random);
    expect_cuda_parity({OpKind::kAveragePool, params, {x}}, {.rtol = 1e-6, .atol = 1e-6});
    x.as<float>()[40] = kNaN;
    x.as<float>()[130] = -kInf;
    OpCase largest{OpKind::kMaxPool, params, {x}};
    expect_cuda_parity(largest, {});
    largest.output_count = 2;
    expect_cuda_parity(largest, {});
  }
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{17, 3, 7, 5}, Shape{2, 0, 3, 3}}) {
    const Tensor x = random_tensor(DType::kFloat32, shape, random);
    expect_cuda_parity({OpKind::kGlobalMaxPool, std::monostate{}, {x}}, {});
    expect_cuda_parity({OpKind::kGlobalAveragePool, std::monostate{}, {x}},
                       {.rtol = 1e-6, .atol = 1e-7});
  }
}

TEST(CudaKernels, Reductions) {
  auto random = generator(5);
  for (const OpKind kind :
       {OpKind::kReduceSum, OpKind::kReduceMean, OpKind::kReduceMax, OpKind::kReduceMin}) {
    for (const std::vector<std::int64_t>& axes :
         std::vector<std::vector<std::int64_t>>{{0}, {1}, {2}, {0, 2}, {0, 1, 2}, {1, 2}}) {
      for (const Shape& shape : {Shape{3, 5, 7}, Shape{2, 1, 300}, Shape{33, 2, 40}}) {
        ReduceParams params;
        params.legacy_axes = axes;
        expect_cuda_parity({kind, params, {random_tensor(DType::kFloat32, shape, random)}},
                           {.rtol = 1e-6, .atol = 1e-6});
      }
    }
  }
  Tensor with_nan = random_tensor(DType::kFloat32, {2, 300}, random);
  with_nan.as<float>()[299] = kNaN;
  ReduceParams params;
  params.legacy_axes = std::vector<std::int64_t>{1};
  expect_cuda_parity({OpKind::kReduceMax, params, {with_nan}}, {});
}

TEST(CudaKernels, SoftmaxArgMaxAndStatistics) {
  auto random = generator(6);
  for (const Shape& shape :
       {Shape{1, 1}, Shape{17, 10}, Shape{3, 31}, Shape{2, 33, 3}, Shape{2, 1025}, Shape{5, 0}}) {
    const Tensor x = random_tensor(DType::kFloat32, shape, random, -4, 4);
    const SoftmaxParams params{.axis = 1};
    expect_cuda_parity({OpKind::kSoftmax, params, {x}}, {.rtol = 4e-6, .atol = 1e-7});
    expect_cuda_parity({OpKind::kLogSoftmax, params, {x}}, {.rtol = 4e-6, .atol = 2e-6});
    if (x.elements() > 0) {
      for (const bool last : {false, true}) {
        Tensor ties = random_tensor(DType::kFloat32, shape, random, 0, 2);
        for (std::int64_t i = 0; i < ties.elements(); ++i) {
          ties.as<float>()[i] = std::floor(ties.as<float>()[i]);
        }
        ArgMaxParams arg_max;
        arg_max.axis = 1;
        arg_max.select_last_index = last;
        expect_cuda_parity({OpKind::kArgMax, arg_max, {ties}}, {});
        ties.as<float>()[ties.elements() / 2] = kNaN;
        expect_cuda_parity({OpKind::kArgMax, arg_max, {ties}}, {});
        std::fill_n(ties.as<float>(), ties.elements(), -kInf);
        expect_cuda_parity({OpKind::kArgMax, arg_max, {ties}}, {});
      }
    }
  }
  const auto expect_centred = [&](const std::vector<std::int64_t>& axes, const Shape& shape) {
    expect_cuda_parity({OpKind::kMeanVarianceNormalization,
                        MeanVarianceParams{axes},
                        {random_tensor(DType::kFloat32, shape, random, -3, 5)}},
                       {1e-5, 1e-5});
  };
  expect_centred({0, 2, 3}, {2, 3, 5, 7});
  expect_centred({0, 2, 3}, {1, 2, 20, 19});
  expect_centred({1}, {1, 3, 2, 5});
  expect_centred({}, {2, 3});
}

TEST(CudaKernels, ElementwiseWithBroadcasting) {
  auto random = generator(7);
  const std::vector<std::pair<Shape, Shape>> shapes = {{{17}, {17}},
                                                       {{2, 3, 257}, {3, 1}},
                                                       {{3, 5, 4}, {2, 3, 1, 4}},
                                                       {{}, {300}},
                                                       {{2, 0, 3}, {3}}};
  for (const OpKind kind : {OpKind::kAdd, OpKind::kSub, OpKind::kMul, OpKind::kDiv}) {
    for (const auto& [a, b] : shapes) {
      BinaryParams params;
      params.activation = {Activation::Kind::kClip, -0.5F, 0.75F};
      expect_cuda_parity({kind,
                          params,
                          {random_tensor(DType::kFloat32, a, random),
                           random_tensor(DType::kFloat32, b, random, 0.5, 2)}},
                         {.rtol = 2 * kUlp32});
    }
  }
  for (const OpKind kind : {OpKind::kMax, OpKind::kMin, OpKind::kSum}) {
    OpCase test{kind, std::monostate{}, {}};
    for (const Shape& shape : {Shape{2, 1, 5}, Shape{3, 1}, Shape{5}}) {
      test.inputs.push_back(random_tensor(DType::kFloat32, shape, random));
      expect_cuda_parity(test, {.rtol = 4 * kUlp32, .atol = 4 * kUlp32});
    }
    test.inputs[1].as<float>()[1] = kNaN;
    expect_cuda_parity(test, {.rtol = 4 * kUlp32, .atol = 4 * kUlp32});
  }
  Tensor x = random_tensor(DType::kFloat32, {3, 101}, random, -4, 4);
  x.as<float>()[0] = kNaN;
  x.as<float>()[1] = -kInf;
  x.as<float>()[2] = kInf;
  x.as<float>()[3] = -0.0F;
  for (const OpKind kind :
       {OpKind::kNeg, OpKind::kRelu, OpKind::kLeakyRelu, OpKind::kSigmoid, OpKind::kTanh}) {
    expect_cuda_parity({kind, UnaryParams{}, {x}}, {.rtol = 1e-6, .atol = 1e-7});
  }
  expect_cuda_parity({OpKind::kClip, ClipParams{-1.0F, 2.0F}, {x}}, {});
  expect_cuda_parity({OpKind::kClip, ClipParams{}, {x, tensor<float>({}, {-2}), Tensor{}}}, {});
}

TEST(CudaKernels, ScalesAndNormalises) {
  auto random = generator(8);
  const Shape shape{2, 3, 5, 7};
  NormalizeParams normalize{{0.5F, 2.0F, -1.0F}, {0.0F, 1.0F, -3.0F}, 1};
  expect_cuda_parity(
      {OpKind::kNormalize, normalize, {random_tensor(DType::kUint8, shape, random, 0, 256)}},
      {.rtol = 1e-6, .atol = 1e-6});
  normalize = {{0.25F}, {-1.0F}, 1};
  expect_cuda_parity(
      {OpKind::kNormalize, normalize, {random_tensor(DType::kFloat32, shape, random)}},
      {.rtol = 1e-6, .atol = 1e-6});
  OpCase norm{OpKind::kBatchNormalization,
              BatchNormParams{},
              {random_tensor(DType::kFloat32, shape, random)}};
  for (int i = 0; i < 4; ++i) {
    norm.inputs.push_back(random_tensor(DType::kFloat32, Shape{3}, random, 0.1, 2));
  }
  expect_cuda_parity(norm, {.rtol = 1e-6, .atol = 1e-6});
}

TEST(CudaKernels, MoveElementsOfEverySize) {
  auto random = generator(9);
  for (const DType dtype : {DType::kUint8, DType::kInt16, DType::kFloat32, DType::kInt64}) {
    const Tensor x = random_tensor(dtype, {3, 5, 7}, random, 0, 100);
    for (const std::vector<std::int64_t>& perm :
         std::vector<std::vector<std::int64_t>>{{2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {0, 1, 2}}) {
      expect_cuda_parity({OpKind::kTranspose, TransposeParams{perm}, {x}}, {});
    }
    SliceParams slice;
    slice.legacy_starts = std::vector<std::int64_t>{1, -2};
    slice.legacy_ends = std::vector<std::int64_t>{3, 100};
    slice.legacy_axes = std::vector<std::int64_t>{0, 2};
    expect_cuda_parity({OpKind::kSlice, slice, {x}}, {});
    for (std::int64_t axis = 0; axis < 3; ++axis) {
      Shape other{3, 5, 7};
      other.set(axis, 2);
      Shape empty = other;
      empty.set(axis, 0);
      expect_cuda_parity({OpKind::kConcat,
                          ConcatParams{axis},
                          {x, random_tensor(dtype, empty, random, 0, 100),
                           random_tensor(dtype, other, random, 0, 100)}},
                         {});
      expect_cuda_parity(
          {OpKind::kGather, GatherParams{axis}, {x, tensor<std::int64_t>({2, 2}, {0, -1, 2, -3})}},
          {});
    }
    expect_cuda_parity({OpKind::kGather, GatherParams{1}, {x, tensor<std::int32_t>({}, {4})}}, {});
    for (const auto mode : {PadParams::Mode::kConstant, PadParams::Mode::kReflect,
                            PadParams::Mode::kEdge, PadParams::Mode::kWrap}) {
      PadParams pad;
      pad.mode = mode;
      pad.legacy_pads = std::vector<std::int64_t>{1, 0, 9, -1, 2, 3};
      pad.legacy_value = 7;
      expect_cuda_parity({OpKind::kPad, pad, {x}}, {});
    }
    OpCase given{OpKind::kPad,
                 PadParams{},
                 {x, tensor<std::int64_t>({6}, {0, 1, 0, 0, 0, 2}),
                  random_tensor(dtype, Shape{}, random, 1, 9)}};
    expect_cuda_parity(given, {});
  }
}

TEST(CudaKernels, CastBetweenAllElementTypes) {
  auto random = generator(10);
  const DType dtypes[] = {DType::kFloat32, DType::kUint8,   DType::kInt8,   DType::kUint16,
                          DType::kInt16,   DType::kInt32,   DType::kInt64,  DType::kBool,
                          DType::kFloat16, DType::kFloat64, DType::kUint32, DType::kUint64,
                          DType::kBFloat16};
  Tensor special = random_tensor(DType::kFloat64, {64}, random, -300, 300);
  const double values[] = {
      0.0,          -0.0,          65504,   65519.99, 65520,        1 + 0x1p-11 + 0x1p-40,
      0x1p-25,      1e300,         -1e300,  127.99,   -128.5,       255.5,
      2147483648.0, 1.5 + 0x1p-30, -9.3e18, 1.9e19,   double{kNaN}, double{kInf},
      -double{kInf}};
  std::copy(std::begin(values), std::end(values), special.as<double>());
  Tensor bits = random_tensor(DType::kUint64, {64}, random, 0, 1.8e19);
  bits.as<std::uint64_t>()[0] = ~std::uint64_t{0};
  bits.as<std::uint64_t>()[1] = (std::uint64_t{1} << 60) + (std::uint64_t{1} << 51) + 1;
  for (const DType from : dtypes) {
    const bool floating = from == DType::kFloat32 || from == DType::kFloat16 ||
                          from == DType::kFloat64 || from == DType::kBFloat16;
    const Tensor x = run_one({OpKind::kCast, CastParams{from}, {floating ? special : bits}});
    for (const DType to : dtypes) {
      expect_cuda_parity({OpKind::kCast, CastParams{to}, {x}}, {});
    }
  }
}

TEST(CudaKernels, ReportAGatherIndexOutOfRange) {
  for (const auto& schedule : kSchedules) {
    const OpCase test{OpKind::kGather,
                      GatherParams{0},
                      {tensor<float>({3}, {1, 2, 3}), tensor<std::int64_t>({2}, {0, 3})}};
    expect_error(ErrorCode::kInvalidArgument, "index 3 out of range for axis 0 of extent 3",
                 [&] { run_cuda(test, schedule); });
  }
}

TEST(CudaKernels, RefuseWhatTheyCannotDo) {
  const OpCase test{
      OpKind::kAdd, BinaryParams{}, {tensor<double>({1}, {1}), tensor<double>({1}, {1})}};
  expect_error(ErrorCode::kUnsupported, "element type f64 on the GPU",
               [&] { run_cuda(test, kSchedules[0]); });
}

}  // namespace
}  // namespace prs::test
