#include "elbo/kernels/likelihood.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "elbo/kernels/linear.h"
#include "elbo/kernels/noise.h"

namespace elbo {
namespace {

at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  return Noise(seed).normal(shape, at::kFloat);
}
at::Tensor unit(at::IntArrayRef shape, uint64_t seed) {
  return Noise(seed).uniform(shape, at::kFloat);
}

using Law = std::function<at::Tensor(const std::vector<at::Tensor>&)>;
const Law kBernoulli = [](const auto& a) { return bernoulli_log_prob_sum(a[0], a[1]); };
const Law kNormal = [](const auto& a) { return normal_log_prob_sum(a[0], a[1], a[2]); };

const Law kStandard = [](const auto& a) { return standard_normal_log_prob_sum(a[0]); };
const Law kKl = [](const auto& a) { return normal_kl_sum(a[0], a[1]); };

/// Value and gradients of the first `moving` arguments beside those in float64, by the twin.
void expect_like_double(const Law& law, const std::vector<at::Tensor>& arguments, size_t moving,
                        double tolerance, const std::string& what) {
  const auto run = [&](at::ScalarType type) {
    std::vector<at::Tensor> a, leaves;
    for (const auto& x : arguments) a.push_back(x.detach().to(type));
    for (size_t k = 0; k < moving; ++k) leaves.push_back(a[k].requires_grad_());
    const auto y = law(a);
    auto out = torch::autograd::grad({(y * 0.7).sum()}, leaves);
    out.push_back(y.detach());
    return out;
  };
  const auto ours = run(at::kFloat), twin = run(at::kDouble);
  for (size_t k = 0; k < ours.size(); ++k) {
    ASSERT_EQ(ours[k].sizes(), twin[k].sizes()) << what;
    EXPECT_EQ(ours[k].scalar_type(), at::kFloat);
    EXPECT_TRUE(ours[k].to(at::kDouble).allclose(twin[k], tolerance, tolerance)) << what << k;
    if (ours[k].numel() == 0) continue;
    EXPECT_FALSE(ours[k].to(at::kDouble).allclose(1.001 * twin[k] + 0.01, tolerance, tolerance))
        << what;
  }
}

TEST(Likelihood, AgreesWithFloat64OnEveryShape) {
  for (const int64_t rows : {0, 1, 7, 101})
    for (const int64_t columns : {1, 3, 785, 1030}) {
      const auto what = std::to_string(rows) + " x " + std::to_string(columns) + ": ";
      const auto logits = 4 * normal({rows, columns}, 1);
      expect_like_double(kBernoulli, {logits, unit({rows, columns}, 2)}, 1, 2e-6, what);
      expect_like_double(
          kNormal,
          {normal({rows, columns}, 3), normal({rows, columns}, 4), 2 * normal({rows, columns}, 5)},
          3, 4e-6, what);
      expect_like_double(kStandard, {normal({rows, columns}, 8)}, 1, 2e-6, what);
      expect_like_double(kKl, {normal({rows, columns}, 6), normal({rows, columns}, 7)}, 2, 2e-6,
                         what);
    }
}

TEST(Likelihood, BroadcastsOverParticlesAndTakesStrides) {
  const auto x = unit({7, 20}, 1);
  expect_like_double(kBernoulli, {normal({5, 7, 20}, 2), x}, 1, 2e-6, "particles ");
  expect_like_double(kBernoulli, {normal({5, 1, 20}, 2), x}, 1, 2e-6, "both ways ");
  expect_like_double(kBernoulli, {normal({5, 7, 20}, 2), x.expand({5, 7, 20})}, 1, 2e-6,
                     "repeated ");
  expect_like_double(kBernoulli, {normal({20, 7}, 2).t(), x}, 1, 2e-6, "transposed ");
  const auto heads = normal({7, 40}, 3);
  expect_like_double(kNormal,
                     {normal({3, 7, 20}, 4), heads.narrow(1, 0, 20), heads.narrow(1, 20, 20)}, 3,
                     4e-6, "heads ");
  expect_like_double(kNormal, {x, normal({20}, 5), normal({1}, 6)}, 3, 1e-5, "vectors ");
}

// The slopes of a law of two arguments come as halves of one tensor, scaled row by row.
TEST(Likelihood, GivesSlopesToTheLayersThatMadeItsArguments) {
  for (const int64_t particles : {1, 3}) {
    const auto features = normal({particles, 7, 11}, 1), x = normal({7, 30}, 2);
    const auto both = 0.3 * normal({2, 30, 11}, 3);  // side by side
    const auto bias = 0.1 * normal({2, 30}, 4);
    const auto run = [&](at::ScalarType type, bool joined) {
      const auto f = features.to(type).requires_grad_();
      const auto w = both.to(type), b = bias.to(type);
      const at::Tensor leaves[] = {w[0].detach().requires_grad_(), w[1].detach().requires_grad_(),
                                   b[0].detach().requires_grad_(), b[1].detach().requires_grad_()};
      auto [mu, log_var] = fused_linear_pair(f, leaves[0], leaves[2], leaves[1], leaves[3]);
      if (!joined) mu = mu.clone(), log_var = log_var.clone();
      const auto y = normal_log_prob_sum(x.to(type), mu, log_var);
      return torch::autograd::grad({(y * y).sum()},
                                   {f, leaves[0], leaves[1], leaves[2], leaves[3]});
    };
    const auto ours = run(at::kFloat, true), apart = run(at::kFloat, false);
    const auto truth = run(at::kDouble, true);
    for (size_t k = 0; k < truth.size(); ++k) {
      const double scale = truth[k].abs().max().item<double>();
      EXPECT_TRUE(ours[k].to(at::kDouble).allclose(truth[k], 1e-5, 1e-5 * scale)) << k;
      EXPECT_TRUE(ours[k].equal(apart[k])) << k;
    }
  }
}

TEST(NormalDraw, AgreesWithFloat64) {
  const auto epsilon = normal({5, 7, 20}, 1);
  const Law draw = [&](const auto& a) {
    return normal_draw(epsilon.to(a[0].scalar_type()), a[0], a[1]);
  };
  expect_like_double(draw, {normal({5, 7, 20}, 2), normal({5, 7, 20}, 3)}, 2, 2e-6, "alike ");
  expect_like_double(draw, {normal({7, 20}, 2), normal({1, 7, 20}, 3)}, 2, 1e-5, "particles ");
  const auto heads = normal({7, 40}, 4);
  expect_like_double(draw, {heads.narrow(1, 0, 20), heads.narrow(1, 20, 20)}, 2, 1e-5, "heads ");
  const at::NoGradGuard no_grad;
  const auto mu = normal({7, 20}, 5), log_var = normal({7, 20}, 6);
  EXPECT_TRUE(
      normal_draw(epsilon, mu, log_var).allclose(mu + (0.5 * log_var).exp() * epsilon, 1e-6, 1e-6));
}

TEST(Likelihood, IsExactWhereLogitsAreLarge) {
  const auto logits = at::tensor({-INFINITY, INFINITY, -100.0F, 100.0F, 30.0F, -30.0F, 0.0F});
  const auto sure = at::tensor({0.0F, 1.0F, 0.0F, 1.0F, 1.0F, 0.0F, 1.0F});
  EXPECT_NEAR(bernoulli_log_prob_sum(logits, sure).item<double>(), -std::log(2.0), 1e-7);
  const auto wrong = at::tensor({-100.0F, 100.0F});
  EXPECT_FLOAT_EQ(bernoulli_log_prob_sum(wrong, at::tensor({1.0F, 0.0F})).item<float>(), -200);
  const auto nan = at::tensor({0.5F, NAN, 1.0F});
  EXPECT_TRUE(std::isnan(bernoulli_log_prob_sum(nan, at::zeros({3})).item<float>()));
  EXPECT_TRUE(std::isnan(normal_log_prob_sum(nan, at::zeros({3}), at::zeros({3})).item<float>()));
  EXPECT_TRUE(std::isnan(normal_log_prob_sum(at::zeros({3}), at::zeros({3}), nan).item<float>()));
}

TEST(Likelihood, OfTheImpossibleIsMinusInfinity) {
  const auto expect = [](float logit, float x) {
    // in the middle of a row, beside what is possible
    const auto logits = at::tensor({0.3F, logit, -2.0F}), data = at::tensor({1.0F, x, 0.5F});
    EXPECT_EQ(bernoulli_log_prob(logits, data)[1].item<float>(), -INFINITY) << logit << " " << x;
    EXPECT_EQ(bernoulli_log_prob_sum(logits, data).item<float>(), -INFINITY) << logit << " " << x;
  };
  expect(INFINITY, 0);
  expect(-INFINITY, 1);
  expect(-INFINITY, 0.5F);
  expect(0.5F, -0.001F);
  expect(0.5F, 1.001F);
  expect(-1, INFINITY);
}

TEST(Likelihood, HasSecondDerivativesByItsTwin) {
  const auto logits = normal({3, 4}, 1).requires_grad_();
  const auto first = torch::autograd::grad({bernoulli_log_prob_sum(logits, unit({3, 4}, 2)).sum()},
                                           {logits}, {}, c10::nullopt, true)[0];
  const auto second = torch::autograd::grad({first.sum()}, {logits})[0];
  const auto p = logits.detach().sigmoid();
  EXPECT_TRUE(second.allclose(-p * (1 - p), 1e-5, 1e-6));
}

TEST(Likelihood, MayBeDifferentiatedTwiceOver) {
  const auto logits = normal({5, 9}, 1).requires_grad_();
  const auto y = bernoulli_log_prob_sum(logits, unit({5, 9}, 2));
  const auto seed = 2 * at::ones({5});
  const auto once = torch::autograd::grad({y}, {logits}, {seed}, /*retain_graph=*/true)[0];
  const auto again = torch::autograd::grad({y}, {logits}, {seed})[0];
  EXPECT_TRUE(once.equal(again));
}

TEST(Likelihood, DoesNotDependOnThreads) {
  const auto logits = normal({333, 100}, 1), x = unit({333, 100}, 2);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = bernoulli_log_prob_sum(logits, x);
  at::set_num_threads(2);
  EXPECT_TRUE(one.equal(bernoulli_log_prob_sum(logits, x)));
  at::set_num_threads(before);
}

}  // namespace
}  // namespace elbo
