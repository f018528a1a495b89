#include <gtest/gtest.h>

#include <random>

#include "support/expect_error.hpp"
#include "support/op_test.hpp"

namespace prs {
namespace {

TEST(MeanVarianceNormalization, GivesMeanZeroAndVarianceOne) {
  const test::OpCase test{OpKind::kMeanVarianceNormalization,
                          MeanVarianceParams{{1}},
                          {test::tensor<float>({2, 2}, {1, 3, 10, 20})}};
  test::expect_close(test::run_reference(test)[0], test::tensor<float>({2, 2}, {-1, 1, -1, 1}),
                     {1e-6, 0}, "rows");
}

TEST(MeanVarianceNormalization, KernelsAgreeWithTheReference) {
  std::mt19937_64 random(8);
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 8, 28, 28},
                               Shape{3, 0, 2, 2}, Shape{2, 17, 1, 3}}) {
      for (const std::vector<std::int64_t>& axes : std::vector<std::vector<std::int64_t>>{
               {0, 2, 3}, {2, 3}, {-1}, {0}, {1, 3}, {0, 1, 2, 3}, {}}) {
        test::expect_parity({OpKind::kMeanVarianceNormalization,
                             MeanVarianceParams{axes},
                             {test::random_tensor(dtype, shape, random, -3, 5)}},
                            {1e-5, 1e-5});
      }
    }
  }
}

TEST(MeanVarianceNormalization, RefusesAnAxisOutOfRange) {
  test::expect_error(ErrorCode::kInvalidModel, "axis 3 out of range for rank 2", [] {
    test::infer_types({OpKind::kMeanVarianceNormalization,
                       MeanVarianceParams{{3}},
                       {test::tensor<float>({2, 2}, {1, 2, 3, 4})}});
  });
}

}  // namespace
}  // namespace prs
