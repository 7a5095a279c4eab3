#include "elbo/kernels/log_sum_exp.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/kernels/noise.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

/// Value and gradient, weighted so that no element stands for another.
std::pair<at::Tensor, at::Tensor> both(at::Tensor (*f)(const at::Tensor&, int64_t),
                                       const at::Tensor& x, int64_t dim) {
  const auto leaf = x.detach().clone().set_requires_grad(true);
  const auto y = f(leaf, dim);
  const auto weights = 1 + 0.1 * at::arange(y.numel(), kDouble).view(y.sizes());
  (y.masked_fill(y.detach().isinf(), 0) * weights).sum().backward();
  return {y.detach(), leaf.grad()};
}

TEST(LogSumExp, IsItsPlainTwin) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1, 1}, {3, 63}, {5, 64}, {20, 1, 1000}, {2, 7, 65}, {4, 3, 2, 5}}) {
    const auto x = 30 * Noise(1).normal(shape, kDouble) - 400;
    for (int64_t dim = 0; dim < static_cast<int64_t>(shape.size()); ++dim) {
      const auto [value, gradient] = both(log_sum_exp, x, dim);
      const auto [plain_value, plain_gradient] = both(plain::log_sum_exp, x, dim);
      EXPECT_TRUE(at::allclose(value, plain_value, 1e-14, 1e-14));
      EXPECT_TRUE(at::allclose(gradient, plain_gradient, 1e-13, 1e-14));
      EXPECT_TRUE(log_sum_exp(x, dim).equal(value)) << "without a gradient";
    }
  }
}

TEST(LogSumExp, OfNothingIsMinusInfinityWithoutASlope) {
  auto x = at::zeros({3, 4}, kDouble);
  x.select(1, 1).fill_(-INFINITY);
  x[0][2] = -INFINITY;
  const auto [value, gradient] = both(log_sum_exp, x, 0);
  EXPECT_NEAR(value[0][0].item<double>(), std::log(3), 1e-15);
  EXPECT_EQ(value[0][1].item<double>(), -INFINITY);
  EXPECT_NEAR(value[0][2].item<double>(), std::log(2), 1e-15);
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  EXPECT_EQ(gradient.select(1, 1).abs().sum().item<double>(), 0);
  // What is not a number stays so.
  x[1][3] = NAN;
  EXPECT_TRUE(std::isnan(log_sum_exp(x, 0)[0][3].item<double>()));
  x[1][3] = INFINITY;
  EXPECT_FALSE(std::isfinite(log_sum_exp(x, 0)[0][3].item<double>()));
}

TEST(LogSumExp, TakesViewsAndFloat32) {
  const auto x = Noise(2).normal({50, 6}, kDouble).t();
  EXPECT_TRUE(at::allclose(log_sum_exp(x, 0), x.logsumexp(0, true), 1e-14, 1e-14));
  const auto single = log_sum_exp(x.to(at::kFloat), 0);
  EXPECT_EQ(single.scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace elbo
