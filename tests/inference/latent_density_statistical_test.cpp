// Sampler and program together, by ranks (Gandy & Scott 2020): from z ~ p(z), x ~ p(x | z), a chain
// that leaves p(z | x) invariant and is reversible, with z at a uniformly chosen place of it, gives
// z a uniform rank among its points, however short the chain. n = 1e5 chains of 8 points,
// chi-square over the 8 ranks at 1e-9 for each latent.
#include <gtest/gtest.h>

#include <algorithm>

#include "distributions/goodness.h"
#include "elbo/inference/hmc.h"
#include "elbo/inference/latent_density.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kPoints = 8;
constexpr double kAlpha = 1e-9;

/// Latents of three supports, the second's bounds given by the first.
void model(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto rate = trace.sample("rate", Gamma(2.5 * one(), one()));
  const auto cut = trace.sample("cut", Uniform(at::zeros({}, kDouble), rate));
  const auto shift = trace.sample("shift", Normal::standard({}, kDouble));
  trace.observe("x", Normal(cut + shift, 0.5 * rate), batch["x"]);
}

/// Tail probability of the chi-square of each latent's ranks.
std::map<std::string, double> rank_tails(bool forgets_volume) {
  auto batch = batch_of(at::zeros({kGoodnessDraws}, kDouble));
  const Trace prior = Trace::run(model, batch, Noise(81));
  batch.columns["x"] =
      prior.at("x").distribution->sample(Noise(81).site("x").rows(batch.rows)).view({-1});
  const LatentDensity joint(model, batch);
  const LogDensity f = [&](const at::Tensor& u) {
    const auto value = joint(u);
    return forgets_volume ? value - u.select(1, 0) : value;  // log |det| of rate = e^u
  };
  const auto start = joint.unconstrained(prior);
  const auto chain = [&](const char* direction) {
    auto state = hmc_start(f, start);
    std::vector<at::Tensor> points;
    for (int64_t t = 0; t + 1 < kPoints; ++t) {
      const Noise noise = joint.keyed(Noise(82).site(direction).site(std::to_string(t)));
      (void)hmc_transition(f, state, {at::full({1}, 0.45, kDouble), {}, 4}, noise);
      points.push_back(state.position);
    }
    return at::stack(points);  // [kPoints - 1, n, D]
  };
  const auto backward = chain("backward"), forward = chain("forward");
  const auto place = (joint.keyed(Noise(83)).uniform({kGoodnessDraws}, kDouble) * kPoints).floor();
  // The points before and after it, and those equal to it (a rejection repeats a point) at random.
  const auto points = at::cat({backward, forward});
  const auto index = at::arange(kPoints - 1, kDouble).view({-1, 1, 1});
  const auto there = place.view({1, -1, 1});
  const auto is_used = at::cat({index < there, index < kPoints - 1 - there});
  const auto count = [&](const at::Tensor& of) { return of.logical_and(is_used).sum(0); };
  const auto u = joint.keyed(Noise(84)).uniform({kGoodnessDraws, 1}, kDouble);
  const auto rank =
      count(points < start) + (u * (count(points == start) + 1)).floor().to(at::kLong);
  std::map<std::string, double> out;
  const char* names[] = {"rate", "cut", "shift"};
  for (int64_t d = 0; d < 3; ++d) {
    const auto counts = at::bincount(rank.select(1, d), {}, kPoints).to(at::kDouble);
    const double expected = static_cast<double>(kGoodnessDraws) / kPoints;
    const double statistic = ((counts - expected).square() / expected).sum().item<double>();
    out[names[d]] = math::gamma_q(0.5 * (kPoints - 1), 0.5 * statistic);
  }
  return out;
}

TEST(LatentDensityStatistical, RanksAreUniformAndWithoutTheVolumeTheyAreNot) {
  for (const auto& [name, tail] : rank_tails(false)) EXPECT_GT(tail, kAlpha) << name;
  EXPECT_LE(rank_tails(true).at("rate"), kAlpha);
}

}  // namespace
}  // namespace elbo
