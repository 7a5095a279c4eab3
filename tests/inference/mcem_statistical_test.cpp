// Monte Carlo EM and probabilistic PCA, whose likelihood is known in closed form.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <iostream>

#include "elbo/inference/mcem.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kWidth = 5, kLatent = 2, kRows = 200;
const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor make_data() {
  const Noise noise(91);
  const auto loadings = noise.site("w").normal({kWidth, kLatent}, kDouble);
  const auto z = noise.site("z").draws(kRows).normal({kRows, kLatent}, kDouble);
  const auto e = noise.site("e").draws(kRows).normal({kRows, kWidth}, kDouble);
  return z.matmul(loadings.t()) + 0.5 * e + 0.3;
}

struct Ppca {
  at::Tensor w, b, log_sigma;  // [D, d], [D], [1]

  [[nodiscard]] FlatParameters parameters() const {
    return FlatParameters({{"theta", {{"w", w}, {"b", b}, {"log_sigma", log_sigma}}}});
  }
  [[nodiscard]] Program model() const {
    return [*this](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({kLatent}, kDouble).to_event(1));
      const Normal x(z.matmul(w.t()) + b, log_sigma.exp(), Validate::kNo);
      trace.observe("x", x.to_event(1), rows["x"]);
    };
  }
  /// log p(x) per datum under N(b, W W' + sigma^2 I), differentiable.
  [[nodiscard]] at::Tensor marginal(const at::Tensor& x) const {
    const auto covariance = w.matmul(w.t()) + (2 * log_sigma).exp() * at::eye(kWidth, kDouble);
    const auto centred = x - b;
    const auto quadratic = (centred.matmul(covariance.inverse()) * centred).sum(-1).mean();
    return -0.5 * (kWidth * std::log(2 * std::numbers::pi) + at::logdet(covariance) + quadratic);
  }
};

/// Maximum likelihood (Tipping & Bishop 1999, eq 7 and 8).
Ppca optimum(const at::Tensor& x) {
  const auto centred = x - x.mean(0);
  const auto covariance = centred.t().matmul(centred) / static_cast<double>(kRows);
  const auto [ascending, vectors] = at::linalg_eigh(covariance);
  const auto eigenvalues = ascending.flip(0);
  const auto variance = eigenvalues.narrow(0, kLatent, kWidth - kLatent).mean();
  const auto w =
      vectors.flip(1).narrow(1, 0, kLatent) * (eigenvalues.narrow(0, 0, kLatent) - variance).sqrt();
  return {w.contiguous().requires_grad_(), x.mean(0).requires_grad_(),
          (0.5 * variance.log()).view({1}).requires_grad_()};
}

/// The largest |z| of the learner's gradient, averaged over steps that move no weight, from 0:
/// batch means of 20 steps, 100 of them.
double gradient_z(const Ppca& ppca, const McemOptions& options) {
  constexpr int64_t kBatches = 100, kSteps = 20;
  const auto batch = batch_of(make_data());
  auto parameters = ppca.parameters();
  Mcem mcem(ppca.model(), parameters, std::make_unique<Sgd>(0), options);
  uint64_t t = 0;
  for (; t < 20; ++t) (void)mcem.step(batch, Noise(92, t));
  std::vector<at::Tensor> means;
  for (int64_t k = 0; k < kBatches; ++k) {
    auto sum = at::zeros_like(parameters.gradients());
    for (int64_t s = 0; s < kSteps; ++s) {
      (void)mcem.step(batch, Noise(92, ++t));
      sum += parameters.gradients();
    }
    means.push_back(sum / kSteps);
  }
  const auto all = at::stack(means);
  const auto z = all.mean(0) / (all.std(0) / std::sqrt(static_cast<double>(kBatches)));
  return z.abs().max().item<double>();
}

McemOptions persistent() {
  return {
      .weight_updates = 1, .start = ChainStart::kPersistent, .rows = kRows, .latent_dim = kLatent};
}

// Fisher's identity: at the maximum of the likelihood the mean gradient is 0. 16 parameters, n =
// 100 batch means; away from it, or from chains too short to be in the posterior, it is not.
TEST(McemStatistical, RestsAtTheMaximumLikelihoodOfPcaAndNowhereElse) {
  const auto x = make_data();
  EXPECT_LE(gradient_z(optimum(x), persistent()), kZStar);
  auto planted = optimum(x);
  {
    const at::NoGradGuard no_grad;
    planted.w *= 1.02;
  }
  EXPECT_GT(gradient_z(planted, persistent()), kZStar) << "2 % off";
  auto from_prior = persistent();
  from_prior.start = ChainStart::kPrior;
  from_prior.burn_in = 0;
  from_prior.leapfrog_steps = 1;
  EXPECT_GT(gradient_z(optimum(x), from_prior), kZStar) << "one short path from the prior";
}

TEST(McemStatistical, LearnsPcaFromARandomStart) {
  const auto x = make_data();
  const Noise start(93);
  const Ppca ppca{(0.1 * start.site("w").normal({kWidth, kLatent}, kDouble)).requires_grad_(),
                  at::zeros({kWidth}, kDouble).requires_grad_(),
                  at::zeros({1}, kDouble).requires_grad_()};
  const double best = optimum(x).marginal(x).item<double>();
  const auto gap = [&] { return best - ppca.marginal(x).item<double>(); };
  EXPECT_GT(gap(), 1) << "the start must lie outside of the tolerance";
  auto parameters = ppca.parameters();
  Mcem mcem(ppca.model(), parameters, std::make_unique<Adagrad>(parameters, 0.1),
            {.start = ChainStart::kPersistent, .rows = kRows, .latent_dim = kLatent});
  const auto full = batch_of(x);
  double acceptance = 0;
  constexpr uint64_t kSteps = 2000;
  for (uint64_t t = 0; t < kSteps; ++t) {
    const double progress = static_cast<double>(t) / kSteps;
    mcem.optimizer().lr = 0.1 * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    const Noise noise(94, t);
    const auto rows = (noise.site("rows").uniform({50}, kDouble) * kRows).to(at::kLong);
    (void)mcem.step(subset(full, rows), noise);
    acceptance += mcem.chains().acceptance / kSteps;
    EXPECT_GE(gap(), -1e-9);
    if (t == kSteps / 100) {
      EXPECT_GT(gap(), 0.01) << "an early stop is seen";
    }
  }
  std::cout << "gap to the optimum: " << gap() << " nats per datum; acceptance " << acceptance
            << '\n';
  EXPECT_LE(gap(), 0.01);
  EXPECT_NEAR(acceptance, 0.9, 0.02);
}

}  // namespace
}  // namespace elbo
