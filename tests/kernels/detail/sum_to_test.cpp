#include "kernels/detail/sum_to.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "elbo/kernels/noise.h"
#include "kernels/detail/halves.h"

namespace elbo::detail {
namespace {

using Shape = std::vector<int64_t>;

/// To a float32's rounding of what float64 gives.
void expect_sum(const at::Tensor& x, const Shape& shape) {
  const auto sum = detail::sum_to(x, shape);
  EXPECT_EQ(sum.scalar_type(), x.scalar_type());
  EXPECT_EQ(sum.sizes(), at::IntArrayRef(shape));
  const auto wide = at::sum_to(x.to(at::kDouble), shape), found = sum.to(at::kDouble);
  EXPECT_TRUE(at::allclose(found, wide, 6e-8, 1e-30)) << x.sizes() << " to " << sum.sizes();
}

TEST(SumTo, IsTheSumOfFloat64Rounded) {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const auto& [from, to] : std::vector<std::pair<Shape, Shape>>{{{50, 20, 50}, {20, 50}},
                                                                       {{50, 20, 50}, {1, 20, 50}},
                                                                       {{50, 20, 50}, {50}},
                                                                       {{2, 101, 785}, {785}},
                                                                       {{1, 7, 3}, {7, 3}},
                                                                       {{301, 1, 101}, {1, 101}},
                                                                       {{5, 4, 3, 2}, {4, 3, 2}}})
      expect_sum(Noise(1).normal(from, at::kFloat), to);
  }
  at::set_num_threads(before);
}

TEST(SumTo, TakesRowsWithGaps) {
  const auto [left, right] = halves(Noise(2).normal({30, 7, 10}, at::kFloat));
  expect_sum(left, {7, 5});
  expect_sum(right, {1, 7, 5});
}

TEST(SumTo, LeavesTheRestToATen) {
  const auto x = Noise(3).normal({4, 3, 6}, at::kFloat);
  for (const auto& [from, to] :
       std::vector<std::pair<at::Tensor, Shape>>{{x, {4, 1, 6}},  // repeated in between
                                                 {x, {1, 3, 1}},  // and at the end
                                                 {x.transpose(0, 2), {3, 4}},
                                                 {x.to(at::kDouble), {3, 6}},
                                                 {at::ones({0, 3}, at::kFloat), {3}}})
    EXPECT_TRUE(at::equal(detail::sum_to(from, to), at::sum_to(from, to)));
  EXPECT_TRUE(detail::sum_to(x, x.sizes()).is_same(x));
  EXPECT_TRUE(detail::sum_to(x.unsqueeze(0), x.sizes()).is_alias_of(x)) << "nothing to sum";
}

}  // namespace
}  // namespace elbo::detail
