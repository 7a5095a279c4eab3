#include "elbo/kernels/soft_floor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "elbo/kernels/noise.h"

namespace elbo {
namespace {

constexpr double kRounding = 4e-7;

at::Tensor normal(at::IntArrayRef shape) { return Noise(1).normal(shape, at::kFloat); }

/// Value and slope in float32 beside those in float64.
void expect_like_double(const at::Tensor& x, double floor) {
  const double tolerance = kRounding * (1 + std::abs(floor));
  const auto run = [&](at::ScalarType type) {
    const auto leaf = x.detach().to(type).requires_grad_();
    const auto y = soft_floor(leaf, floor);
    return std::pair(y.detach(), torch::autograd::grad({(y * 0.7).sum()}, {leaf})[0]);
  };
  const auto [y, slope] = run(at::kFloat);
  const auto [truth, along] = run(at::kDouble);
  ASSERT_EQ(y.sizes(), x.sizes());
  EXPECT_TRUE(y.to(at::kDouble).allclose(truth, tolerance, tolerance));
  EXPECT_TRUE(slope.to(at::kDouble).allclose(along, tolerance, tolerance));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(soft_floor(x, floor).allclose(y, tolerance, tolerance));
  if (x.numel() > 0)
    EXPECT_FALSE(y.to(at::kDouble).allclose(truth + 1e-5, tolerance, tolerance)) << "planted";
}

TEST(SoftFloor, AgreesWithFloat64OnEveryShape) {
  for (const int64_t rows : {0, 1, 7, 101})
    for (const int64_t columns : {1, 3, 785}) expect_like_double(5 * normal({rows, columns}), -3);
  expect_like_double(normal({5, 40}).narrow(1, 20, 20), 0.5);
  expect_like_double(normal({20, 7}).t(), 0.5);
  expect_like_double(normal({3, 5, 40}).narrow(2, 0, 20), -13.8);
}

TEST(SoftFloor, IsTheLargerOfTheTwoFarFromTheFloor) {
  const auto x = at::tensor({-1e30F, -200.0F, -20.0F, 30.0F, 200.0F, 1e30F});
  const auto y = soft_floor(x, -20);
  EXPECT_FLOAT_EQ(y[0].item<float>(), -20);
  EXPECT_FLOAT_EQ(y[1].item<float>(), -20);
  EXPECT_FLOAT_EQ(y[2].item<float>(), -20 + std::log(2.0F));
  EXPECT_TRUE(y.narrow(0, 3, 3).equal(x.narrow(0, 3, 3)));
  EXPECT_TRUE(soft_floor(at::tensor({NAN}), 0).isnan().all().item<bool>());
}

TEST(SoftFloor, NeverGoesBelowAndKeepsAGradient) {
  auto x = at::tensor({-50.0, -3.0, 0.0, 40.0}, at::kDouble).requires_grad_();
  const auto y = soft_floor(x, -3.0);
  EXPECT_GE(y.min().item<double>(), -3.0);
  EXPECT_NEAR(y[1].item<double>(), -3.0 + std::log(2.0), 1e-15);
  EXPECT_NEAR(y[3].item<double>(), 40.0, 1e-15);
  y.sum().backward();
  EXPECT_GT(x.grad().min().item<double>(), 0);
}

TEST(SoftFloor, HasSecondDerivatives) {
  const auto x = normal({3, 4}).requires_grad_();
  const auto first =
      torch::autograd::grad({soft_floor(x, 0.2).sum()}, {x}, {}, c10::nullopt, true)[0];
  const auto second = torch::autograd::grad({first.sum()}, {x})[0];
  const auto p = (x.detach() - 0.2).sigmoid();
  EXPECT_TRUE(second.allclose(p * (1 - p), 1e-5, 1e-6));
}

}  // namespace
}  // namespace elbo
