// The tuned sampler from a start far away, against laws known in closed form or by quadrature: a
// correlated normal law, a funnel by its program, and a VAE's posteriors. Chains are independent,
// so that means over chains have plain standard errors: z-tests at z*, and Kolmogorov-Smirnov tests
// of the chains' last points at 1e-9.
#include <gtest/gtest.h>

#include <iostream>

#include "elbo/inference/diagnostics.h"
#include "elbo/inference/hmc_sampler.h"
#include "elbo/inference/latent_density.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);

/// Largest KS distance allowed for n independent draws at 1e-9.
double ks_allowed(int64_t n) {
  return std::sqrt(std::log(2 / 1e-9) / (2 * static_cast<double>(n)));
}

/// Draws [S, R] to one mean a chain.
Estimate over_chains(const at::Tensor& draws) { return estimate(draws.mean(0)); }

TEST(HmcSamplerStatistical, ReachesACorrelatedNormalLaw) {
  constexpr int64_t kDim = 10, kChains = 200, kDraws = 2000;
  const auto turn =
      std::get<0>(at::linalg_qr(Noise(73).site("turn").normal({kDim, kDim}, kDouble)));
  const auto scales = at::pow(10., at::linspace(-1, 0, kDim, kDouble));  // condition number 100
  const auto inverse = turn / scales;
  const LogDensity f = [&](const at::Tensor& u) {
    return -0.5 * (u - 1).matmul(inverse).square().sum(-1);
  };
  HmcSampler chains(f, at::full({kChains, kDim}, 5, kDouble), Noise(61).draws(kChains));
  chains.warm_up(300);
  const auto run = chains.run(kDraws);
  const auto white = (run.position - 1).matmul(inverse);
  double largest = 0;
  for (int64_t i = 0; i < kDim; ++i) {
    const auto x = white.select(2, i);
    largest = std::max({largest, over_chains(x).z(0), over_chains(x.square()).z(1)});
    if (i > 0) largest = std::max(largest, over_chains(x * white.select(2, i - 1)).z(0));
    EXPECT_LE(ks_distance(at::special_ndtr(x[-1])), ks_allowed(kChains));
  }
  EXPECT_LE(largest, kZStar);
  // A tenth of a standard deviation, or of a variance, would be seen.
  const auto first = white.select(2, 0);
  EXPECT_GT(over_chains(first + 0.1).z(0), kZStar);
  EXPECT_GT(over_chains(1.1 * first.square()).z(1), kZStar);
  EXPECT_NEAR(run.acceptance.mean().item<double>(), 0.9, 0.03);
  EXPECT_EQ(run.divergences.sum().item<int64_t>(), 0);
  // R-hat of these chains, and their own error of the mean beside the one seen over chains.
  const auto draws = white.permute({1, 0, 2});
  EXPECT_LT(r_hat(draws).max().item<double>(), 1.01);
  const auto error = monte_carlo_error(draws);
  for (int64_t i = 0; i < kDim; ++i)
    EXPECT_NEAR(error[i].item<double>() / over_chains(white.select(2, i)).standard_error, 1, 0.2);
}

/// Neal's funnel (2003): v ~ N(0, 9), x_i ~ N(0, e^v), i = 1 ... 9. By its definition, or with
/// x_i = e^(v/2) e_i, e_i ~ N(0, 1).
Program funnel(bool reparameterised) {
  return [=](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto v = trace.sample("v", Normal(at::zeros({}, kDouble), 3 * one()));
    const auto scale = reparameterised ? at::ones_like(v) : (0.5 * v).exp();
    const auto zero = at::zeros({9}, kDouble);
    (void)trace.sample("x", Normal(zero, scale.unsqueeze(-1).expand({-1, -1, 9})).to_event(1));
  };
}

struct FunnelFindings {
  double largest_z, distance, acceptance;
};
FunnelFindings sample_funnel(bool reparameterised) {
  constexpr int64_t kChains = 10'000;
  const auto batch = batch_of(at::zeros({kChains}, kDouble));
  const LatentDensity density(funnel(reparameterised), batch);
  HmcSampler chains(density, at::full({kChains, 10}, 0.5, kDouble), density.keyed(Noise(62)));
  chains.warm_up(60);
  const auto acceptance = chains.run(20).acceptance.mean().item<double>();
  const auto last = density.values(chains.state().position);
  const auto v = last.at("v").view({-1});
  auto log_x2 = last.at("x").view({kChains, 9}).select(1, 0).square().log();
  if (reparameterised) log_x2 = log_x2 + v;
  // log x^2 = v + log chi^2_1, whose mean is psi(1/2) + log 2 and variance pi^2 / 2.
  const double mean = -1.2703628454614782;
  const double variance = 9 + 0.5 * std::numbers::pi * std::numbers::pi;
  return {std::max({estimate(v).z(0), estimate(v.square()).z(9), estimate(log_x2).z(mean),
                    estimate((log_x2 - mean).square()).z(variance)}),
          ks_distance(at::special_ndtr(v / 3)) / ks_allowed(kChains), acceptance};
}

TEST(HmcSamplerStatistical, SamplesTheReparameterisedFunnelAndSeesThatTheOtherIsNot) {
  const auto right = sample_funnel(true);
  EXPECT_LE(right.largest_z, kZStar);
  EXPECT_LE(right.distance, 1);
  EXPECT_NEAR(right.acceptance, 0.9, 0.03);
  const auto centred = sample_funnel(false);
  EXPECT_GT(centred.largest_z, kZStar) << "its neck is out of reach";
  EXPECT_GT(centred.distance, 1);
}

/// A decoder of two latents with tanh units and Bernoulli outputs.
struct Decoder {
  at::Tensor w1 = 1.5 * Noise(63).site("w1").normal({16, 2}, kDouble);
  at::Tensor b1 = Noise(63).site("b1").normal({16}, kDouble);
  at::Tensor w2 = 0.8 * Noise(63).site("w2").normal({20, 16}, kDouble);

  [[nodiscard]] at::Tensor logits(const at::Tensor& z) const {
    return (z.matmul(w1.t()) + b1).tanh().matmul(w2.t());
  }
  [[nodiscard]] Program model() const {
    return [*this](Trace& trace, const Batch& batch) {
      const auto plate = trace.plate("rows", batch.rows, batch.total);
      const auto z = trace.sample("z", Normal::standard({2}, kDouble).to_event(1));
      trace.observe("x", Bernoulli::from_logits(logits(z)).to_event(1), batch["x"]);
    };
  }
};

TEST(HmcSamplerStatistical, SamplesThePosteriorsOfAVae) {
  constexpr int64_t kData = 4, kChains = 2000, kDraws = 30, kGrid = 401;
  const Decoder decoder;
  const auto z = Noise(64).draws(kData).normal({kData, 2}, kDouble);
  const auto x = Noise(65).draws(kData).bernoulli(decoder.logits(z).sigmoid());
  // By quadrature: the prior leaves 1e-8 of its mass outside of [-6, 6], and the density is smooth.
  const auto axis = at::linspace(-6, 6, kGrid, kDouble);
  const auto grid = at::stack(
      {axis.unsqueeze(1).expand({kGrid, kGrid}), axis.unsqueeze(0).expand({kGrid, kGrid})}, -1);
  const auto logits = decoder.logits(grid);
  const LatentDensity density(decoder.model(), batch_of(x), {.chains = kChains});
  HmcSampler chains(density, density.prior_draw(Noise(66)), density.keyed(Noise(67)));
  chains.warm_up(60);
  const auto run = chains.run(kDraws);
  const auto draws = run.position.view({kDraws, kChains, kData, 2});
  EXPECT_NEAR(run.acceptance.mean().item<double>(), 0.9, 0.03);
  for (int64_t i = 0; i < kData; ++i) {
    const auto log_p =
        Bernoulli::from_logits(logits).log_prob(x[i]).sum(-1) - 0.5 * grid.square().sum(-1);
    const auto p = at::softmax(log_p.view({-1}), 0).view({kGrid, kGrid});
    for (int64_t d = 0; d < 2; ++d) {
      const auto marginal = p.sum(1 - d), drawn = draws.select(3, d).select(2, i);
      const double mean = (marginal * axis).sum().item<double>();
      const double square = (marginal * axis.square()).sum().item<double>();
      EXPECT_LE(over_chains(drawn).z(mean), kZStar) << i << ", " << d;
      EXPECT_LE(over_chains(drawn.square()).z(square), kZStar) << i << ", " << d;
      const double deviation = std::sqrt(square - mean * mean);
      EXPECT_GT(over_chains(drawn + 0.1 * deviation).z(mean), kZStar) << "a tenth of it off";
      // The distribution function at the last points, by the trapezoidal rule within a cell.
      const auto cdf = (marginal.cumsum(0) - 0.5 * marginal);
      const auto place = ((drawn[-1] + 6) * ((kGrid - 1) / 12.0)).clamp(0, kGrid - 1.001);
      const auto cell = place.floor().to(at::kLong), next = cell + 1;
      const auto within = place - cell;
      const auto u = cdf.index_select(0, cell) * (1 - within) + cdf.index_select(0, next) * within;
      EXPECT_LE(ks_distance(u), ks_allowed(kChains)) << i << ", " << d;
    }
  }
}

}  // namespace
}  // namespace elbo
