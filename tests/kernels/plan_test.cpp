#include "elbo/kernels/plan.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "elbo/error.h"
#include "elbo/kernels/gaussian_rows.h"
#include "elbo/kernels/likelihood.h"
#include "elbo/kernels/linear.h"
#include "elbo/kernels/log_sum_exp.h"
#include "elbo/kernels/math.h"
#include "elbo/kernels/soft_floor.h"
#include "support/other_device.h"

namespace elbo {
namespace {

const Noise kNoise = Noise(3, 17).site("plan");

at::Tensor normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType type = at::kFloat) {
  return Noise(seed).normal(shape, type);
}

using Computation = std::function<std::vector<at::Tensor>(const at::Tensor& x, const Noise& noise)>;

/// Records `compute` at one x, replays it at another and another step, and compares bits with
/// what it computes there. Between the two, memory is taken and given back.
void expect_replays(const Computation& compute, const at::Tensor& first, const at::Tensor& second) {
  const auto x = first.clone();
  std::vector<at::Tensor> out;
  const auto plan = Plan::record(kNoise, [&] { out = compute(x, kNoise); });
  ASSERT_EQ(plan.refusal(), "");
  for (int i = 0; i < 20; ++i) (void)normal({50 + i, 7}, 9).exp();
  x.copy_(second);
  plan.replay(18);
  const auto expected = compute(second, kNoise.step(18));
  ASSERT_EQ(out.size(), expected.size());
  bool moved = false;
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(at::equal(out[i], expected[i])) << "output " << i;
    moved = moved || !at::equal(expected[i], compute(first, kNoise)[i]);
  }
  EXPECT_TRUE(moved) << "the inputs make no difference";
}

TEST(Plan, ReplaysOperationsOfATen) {
  const auto w = normal({5, 4}, 1);
  const auto compute = [&](const at::Tensor& x, const Noise&) {
    auto y = x.matmul(w).t().contiguous();  // a view, then a copy
    y.add_(1).mul_(y.select(0, 1).neg());   // in place
    auto z = at::zeros({2, 3}, x.options());
    z.narrow(0, 0, 1).copy_(y.sum(0).view({1, 3}));  // through a view
    const auto parts = y.split(2);
    return std::vector<at::Tensor>{y, z, at::cat({parts[1], parts[0]})};
  };
  expect_replays(compute, normal({3, 5}, 2), normal({3, 5}, 4));
}

TEST(Plan, ReplaysArithmeticOfFloat32) {
  const auto w = normal({6, 9}, 1);
  const auto compute = [&](const at::Tensor& x, const Noise&) {
    const auto half = x.narrow(1, 0, 9), other = x.narrow(1, 9, 9);  // rows with gaps
    return std::vector<at::Tensor>{half + w,
                                   w - half,
                                   half * other,
                                   -other,
                                   at::add(half, w, 2),  // by operations of ATen's, as what follows
                                   at::sub(half, w, 0.5),
                                   half - w.select(0, 3),
                                   half.t() - w.t(),
                                   half - 1.5,
                                   -half.to(at::kDouble)};
  };
  expect_replays(compute, normal({6, 18}, 2), normal({6, 18}, 4));
}

TEST(Plan, ReplaysFusedLayersAndTheirGradients) {
  for (const Activation activation : {Activation::kTanh, Activation::kIdentity}) {
    const auto w = normal({4, 5}, 1).requires_grad_(), b = normal({4}, 2).requires_grad_();
    const auto mu_w = normal({2, 4}, 3).requires_grad_(), mu_b = normal({2}, 4).requires_grad_();
    const auto compute = [&](const at::Tensor& x, const Noise& noise) {
      const auto h = fused_linear(x, w, b, activation);
      const auto [mu, log_var] = fused_linear_pair(h, mu_w, mu_b, mu_w, mu_b);
      const auto z = normal_draw(noise.normal({7, 2}, at::kFloat), mu, soft_floor(log_var, -3));
      const auto total = normal_kl_sum(mu, log_var).sum() +
                         normal_log_prob_sum(z, mu, log_var).sum() +
                         bernoulli_log_prob_sum(h, x.narrow(1, 0, 4).sigmoid()).sum();
      auto out = torch::autograd::grad({total}, {w, b, mu_w, mu_b});
      out.push_back(total.detach());
      return out;
    };
    expect_replays(compute, normal({7, 5}, 5), normal({7, 5}, 6));
  }
}

TEST(Plan, ReplaysFormulasAndSums) {
  const auto compute = [](const at::Tensor& given, const Noise& noise) {
    const auto x = given.detach().requires_grad_();
    const auto terms = bernoulli_log_prob(x, x.detach().sigmoid()) + math::log_ndtr(x);
    const auto total = log_sum_exp(terms, 0).sum();
    return std::vector<at::Tensor>{total.detach(), torch::autograd::grad({total}, {x})[0],
                                   noise.uniform({3}, x.options()),
                                   noise.bernoulli(x.detach().sigmoid())};
  };
  expect_replays(compute, normal({6, 3}, 1, at::kDouble), normal({6, 3}, 2, at::kDouble));
}

TEST(Plan, FollowsRows) {
  const auto compute = [](const at::Tensor& rows, const Noise& noise) {
    return std::vector<at::Tensor>{noise.rows(rows).normal({3, 2}, at::kDouble)};
  };
  expect_replays(compute, at::tensor({4, 1, 9}, at::kLong), at::tensor({0, 7, 2}, at::kLong));
}

TEST(Plan, RefusesWhatItCannotReplay) {
  const auto x = normal({4, 2}, 1, at::kDouble);
  const auto refusal = [&](const std::function<void()>& body) {
    const auto plan = Plan::record(kNoise, body);
    EXPECT_THROW(plan.replay(18), ConfigError) << plan.refusal();
    return plan.refusal();
  };
  EXPECT_EQ(refusal([&] { (void)x.sum().item<double>(); }), "aten::item");
  EXPECT_EQ(refusal([&] { (void)at::equal(x, x); }), "aten::equal");
  EXPECT_EQ(refusal([&] { (void)at::rand({2}); }), "aten::rand");
  EXPECT_EQ(refusal([&] { (void)x.gt(0).nonzero(); }), "aten::nonzero");
  EXPECT_EQ(refusal([&] { x.clone().normal_(); }), "aten::normal_");
  EXPECT_EQ(refusal([&] { (void)kNoise.step(4).normal({2}, at::kDouble); }),
            "noise of another step");
  EXPECT_EQ(refusal([&] {
              (void)gaussian_log_densities(x, x, at::eye(2, at::kDouble).expand({4, 2, 2}));
            }),
            "gaussian_log_densities");
  EXPECT_EQ(refusal([&] { (void)Plan::record(kNoise, [] {}); }), "another plan's recording");
}

TEST(Plan, OfAnotherDeviceIsItsGraph) {
  const auto device = testing::other_device();
  const auto x = at::full({3}, 2.0, at::kDouble).to(device);
  at::Tensor y;
  const auto body = [&] { y = x * kNoise.site("e").normal({3}, x.options()); };
  EXPECT_FALSE(Plan::can_record(device));
  EXPECT_FALSE(Plan::record(kNoise, body, device).refusal().empty());

  const testing::GraphsOnOtherDevice graphs;
  EXPECT_TRUE(Plan::can_record(device));
  const auto plan = Plan::record(kNoise, body, device);
  EXPECT_EQ(plan.refusal(), "");
  EXPECT_TRUE(y.to(at::kCPU).isnan().all().item<bool>());
  for (const uint64_t step : {18, 19}) {
    x.fill_(static_cast<double>(step));
    plan.replay(step);
    const auto noise = kNoise.site("e").step(step).normal({3}, at::kDouble);
    EXPECT_TRUE(y.to(at::kCPU).equal(noise * static_cast<double>(step)));
  }
  EXPECT_EQ(graphs.launched(), 2);

  const auto refusal = [&](const std::function<void()>& what) {
    return Plan::record(kNoise, what, device).refusal();
  };
  EXPECT_NE(refusal([&] { (void)x.sum().item<double>(); }), "");
  EXPECT_NE(refusal([&] { (void)x.to(at::kCPU); }), "");
  EXPECT_EQ(refusal([&] { (void)at::rand({2}, x.options()); }), "aten::rand");
}

}  // namespace
}  // namespace elbo
