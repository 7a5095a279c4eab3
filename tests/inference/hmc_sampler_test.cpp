#include "elbo/inference/hmc_sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/error.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kRows = 30;

/// Each row of another scale, from 1e-3 to 1e3, and each dimension of another again.
at::Tensor scales() {
  return at::pow(10., at::linspace(-3, 3, kRows, kDouble)).unsqueeze(-1) *
         at::tensor({1., 3., 9.}, kDouble);
}
at::Tensor gaussian(const at::Tensor& u) { return -0.5 * u.square().sum(-1); }
LogDensity scaled() {
  return [s = scales()](const at::Tensor& u) { return gaussian(u / s); };
}
HmcSampler sampler(HmcOptions options = {}) {
  return HmcSampler(scaled(), 0.1 * scales(), Noise(9).draws(kRows), options);
}

TEST(HmcSampler, AdaptsEveryRowToItsOwnScaleAndTheTarget) {
  auto chains = sampler();
  chains.warm_up(600);
  // Over 500 draws a row's mean acceptance is known to about 0.01; the step that was kept is off by
  // what 50 transitions at the end of the warm-up leave.
  const auto run = chains.run(500);
  EXPECT_NEAR(run.acceptance.mean().item<double>(), 0.9, 0.03);
  EXPECT_GE(run.acceptance.min().item<double>(), 0.75);
  EXPECT_EQ(run.divergences.sum().item<int64_t>(), 0);
  const auto ratio = (chains.inverse_mass() / scales().square()).log();
  // The last window has some 350 draws: a variance is known to about 10 %. 1e-3 is what the
  // smallest rows are drawn to, so that they are left out.
  EXPECT_LE(ratio.narrow(0, kRows / 2, kRows / 2).abs().max().item<double>(), 0.7);
  const auto deviations = run.position.std(0) / scales();
  EXPECT_GE(deviations.min().item<double>(), 0.7);
  EXPECT_LE(deviations.max().item<double>(), 1.4);
}

TEST(HmcSampler, WithoutMassTheIdentityStays) {
  auto chains = sampler({.mass = HmcMass::kIdentity});
  chains.warm_up(100);
  EXPECT_TRUE(chains.inverse_mass().equal(at::ones({kRows, 3}, kDouble)));
  auto few = sampler();
  few.warm_up(19);
  EXPECT_TRUE(few.inverse_mass().equal(at::ones({kRows, 3}, kDouble)));
  few.warm_up(20);
  EXPECT_FALSE(few.inverse_mass().equal(at::ones({kRows, 3}, kDouble)));
}

TEST(HmcSampler, ADenseMassLearnsTheCovariance) {
  // Correlation 0.99: along the diagonal of the two the law is 14 times as wide as across.
  const auto covariance = at::tensor({4., 1.98, 1.98, 1.}, kDouble).view({2, 2});
  const auto precision = covariance.inverse();
  const LogDensity f = [&](const at::Tensor& u) {
    return -0.5 * (u.matmul(precision) * u).sum(-1);
  };
  const auto warmed = [&](HmcMass mass) {
    HmcSampler chains(f, at::ones({kRows, 2}, kDouble), Noise(11).draws(kRows), {.mass = mass});
    chains.warm_up(600);
    return chains;
  };
  auto dense = warmed(HmcMass::kDense), diagonal = warmed(HmcMass::kDiagonal);
  EXPECT_EQ(dense.inverse_mass().sizes(), at::IntArrayRef({kRows, 2, 2}));
  EXPECT_TRUE(dense.inverse_mass().mean(0).allclose(covariance, 0.1, 0.05));
  EXPECT_NEAR(dense.run(200).acceptance.mean().item<double>(), 0.9, 0.04);
  // Seen through the mass the law is round: steps are those of N(0, I), not of its narrow side.
  EXPECT_GT(dense.step_size().mean().item<double>(),
            4 * diagonal.step_size().mean().item<double>());
}

TEST(HmcSampler, StepsAreTransitionsAtJitteredSteps) {
  const Noise noise = Noise(9).draws(kRows);
  HmcSampler chains(gaussian, at::ones({kRows, 3}, kDouble), noise,
                    {.leapfrog_steps = 4, .step_size = 0.5, .step_jitter = 0.2});
  auto state = hmc_start(gaussian, at::ones({kRows, 3}, kDouble));
  for (const char* t : {"0", "1", "2"}) {
    const auto u = noise.site(t).site("jitter").uniform({kRows}, kDouble);
    const HmcStep step{0.5 * (0.8 + 0.4 * u), {}, 4};
    const auto expected = hmc_transition(gaussian, state, step, noise.site(t));
    const auto got = chains.step();
    EXPECT_TRUE(at::allclose(got.energy_error, expected.energy_error, 0, 1e-12));
    EXPECT_TRUE(at::allclose(chains.state().position, state.position, 0, 1e-12));
  }
}

TEST(HmcSampler, RunsAreStepsAndRepeat) {
  auto a = sampler(), b = sampler();
  a.warm_up(40);
  b.warm_up(40);
  const auto run = a.run(5);
  at::Tensor acceptance = at::zeros({kRows}, kDouble);
  for (int64_t s = 0; s < 5; ++s) {
    acceptance += b.step().acceptance / 5;
    EXPECT_TRUE(run.position[s].equal(b.state().position));
    EXPECT_TRUE(run.log_density[s].equal(b.state().log_density));
  }
  EXPECT_TRUE(at::allclose(run.acceptance, acceptance, 0, 1e-15));
}

TEST(HmcSampler, CountsDivergences) {
  // At ten times the stable step 2 the energy grows without limit.
  HmcSampler chains(gaussian, at::ones({4, 3}, kDouble), Noise(1).draws(4),
                    {.step_size = 20, .step_jitter = 0});
  const auto run = chains.run(3);
  EXPECT_TRUE(run.divergences.equal(at::full({4}, 3, at::kLong)));
  EXPECT_EQ(run.acceptance.sum().item<double>(), 0);
  EXPECT_TRUE((run.position == 1).all().item<bool>());
}

TEST(HmcSampler, GoesOnFromItsPointUnderAnotherDensity) {
  auto chains = sampler();
  chains.warm_up(20);
  const auto before = chains.state().position;
  chains.retarget(gaussian);
  EXPECT_TRUE(chains.state().position.equal(before));
  EXPECT_TRUE(chains.state().gradient.equal(-before));
  EXPECT_TRUE(at::allclose(chains.state().log_density, gaussian(before)));
}

TEST(HmcSampler, RejectsInvalidOptions) {
  EXPECT_THROW((void)sampler({.leapfrog_steps = 0}), ConfigError);
  EXPECT_THROW((void)sampler({.target_acceptance = 1}), ConfigError);
  EXPECT_THROW((void)sampler({.step_size = -1}), ConfigError);
  EXPECT_THROW((void)sampler({.step_jitter = 1}), ConfigError);
  EXPECT_THROW((void)sampler({.divergence_energy = 0}), ConfigError);
  EXPECT_THROW((void)sampler().run(0), ConfigError);
  EXPECT_THROW(HmcSampler([](const at::Tensor& u) { return u.sum(-1).log(); },
                          -at::ones({2, 1}, kDouble), Noise(1)),
               NumericError);
}

}  // namespace
}  // namespace elbo
