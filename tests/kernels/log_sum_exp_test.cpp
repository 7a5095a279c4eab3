#include "elbo/kernels/log_sum_exp.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

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
  const auto weights = 1 + 0.1 * at::arange(y.numel(), y.options()).view(y.sizes());
  (y.masked_fill(y.detach().isinf(), 0) * weights).sum().backward();
  return {y.detach(), leaf.grad()};
}

TEST(LogSumExp, IsItsPlainTwin) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1, 1}, {3, 63}, {5, 64}, {20, 1, 1000}, {2, 7, 65}, {4, 3, 2, 5}}) {
    const auto x = 30 * Noise(1).normal(shape, kDouble) - 400;
    const auto dims = static_cast<int64_t>(shape.size());
    for (int64_t dim = -dims; dim < dims; ++dim) {
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
  const auto of_nan = both(log_sum_exp, x, 0).second.isnan();
  EXPECT_TRUE(of_nan.select(1, 3).all().item<bool>());
  EXPECT_EQ(of_nan.sum().item<int64_t>(), 3) << "of its own column alone";
  x[1][3] = INFINITY;
  EXPECT_FALSE(std::isfinite(log_sum_exp(x, 0)[0][3].item<double>()));
}

TEST(LogSumExp, TakesViewsAndFloat32) {
  const auto x = Noise(2).normal({50, 6}, kDouble).t();
  EXPECT_TRUE(at::allclose(log_sum_exp(x, 0), x.logsumexp(0, true), 1e-14, 1e-14));
  // To float32's rounding of what float64 gives, far from 0 as well.
  for (const double level : {0.0, -1e4}) {
    const auto single = (9 * Noise(3).normal({7, 50, 20}, kDouble) + level).to(at::kFloat);
    const auto [value, gradient] = both(log_sum_exp, single, 1);
    const auto [wide_value, wide_gradient] = both(log_sum_exp, single.to(at::kDouble), 1);
    EXPECT_EQ(value.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::allclose(value.to(at::kDouble), wide_value, 1e-7, 1e-7));
    EXPECT_TRUE(at::allclose(gradient.to(at::kDouble), wide_gradient, 4e-7, 1e-12));
  }
}

TEST(LogSumExp, HasAMean) {
  const auto x = Noise(4).normal({5, 3, 4}, kDouble);
  const auto [value, gradient] = both(log_mean_exp, x, 1);
  EXPECT_TRUE(at::allclose(value, x.exp().mean(1, true).log(), 1e-14, 1e-14));
  EXPECT_TRUE(at::equal(gradient, both(log_sum_exp, x, 1).second));
  EXPECT_TRUE(at::allclose(log_mean_exp(x.to(at::kFloat), 1).to(at::kDouble), value, 0, 1e-6));
  const auto likely = at::full({50}, 700.0F);
  EXPECT_EQ(log_mean_exp(likely, 0).item<float>(), 700.0F);
}

TEST(LogSumExp, HasSecondDerivatives) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    const auto x = Noise(5).normal({4, 2}, kDouble).to(type).requires_grad_();
    const auto first =
        torch::autograd::grad({log_sum_exp(x, 0).sum()}, {x}, {}, true, /*create_graph=*/true)[0];
    const auto second = torch::autograd::grad({first.select(0, 1).sum()}, {x})[0];
    // d p_1 / d x_k = p_1 (1[k = 1] - p_k)
    const auto p = x.detach().softmax(0);
    auto expected = -p.select(0, 1) * p;
    expected.select(0, 1).add_(p.select(0, 1));
    EXPECT_TRUE(at::allclose(second, expected, 1e-6, type == at::kDouble ? 1e-14 : 1e-6));
  }
}

}  // namespace
}  // namespace elbo
