// A transition leaves its law invariant: independent chains start in the law itself and must still
// be in it after five transitions, whatever the step size, which is therefore coarse and generic
// (at a step of 1 and three steps, half a turn, all three of the bugs planted here would pass).
//
// 90 comparisons: z-tests at z* and Kolmogorov-Smirnov tests at 1e-9. n = 1e6 chains in one
// dimension, 1e5 in ten.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "distributions/goodness.h"
#include "elbo/inference/hmc.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int kTransitions = 5;
constexpr double kAlpha = 1e-9;

enum class Bug { kNone, kAlwaysAccepts, kLeavesOutKineticEnergy, kWholeFirstMomentumStep };
constexpr Bug kBugs[] = {Bug::kAlwaysAccepts, Bug::kLeavesOutKineticEnergy,
                         Bug::kWholeFirstMomentumStep};

/// `hmc_transition`, or one with a bug, from the same pieces.
void transition(const LogDensity& f, HmcState& state, const HmcStep& step, const Noise& noise,
                Bug bug) {
  if (bug == Bug::kNone) {
    (void)hmc_transition(f, state, step, noise);
    return;
  }
  auto p = noise.site("momentum").normal(state.position.sizes(), kDouble);
  auto before = state.log_density - kinetic_energy(p, {});
  if (bug == Bug::kWholeFirstMomentumStep) p = p + 0.5 * step.step_size * state.gradient;
  HmcState end = state;
  leapfrog(f, end, p, step);
  auto after = end.log_density - kinetic_energy(p, {});
  if (bug == Bug::kLeavesOutKineticEnergy) {
    before = state.log_density;
    after = end.log_density;
  }
  auto accepted = noise.site("accept").uniform(before.sizes(), kDouble).log() < after - before;
  if (bug == Bug::kAlwaysAccepts) accepted = at::ones_like(accepted);
  const auto moved = accepted.unsqueeze(-1);
  state.position = at::where(moved, end.position, state.position);
  state.log_density = at::where(accepted, end.log_density, state.log_density);
  state.gradient = at::where(moved, end.gradient, state.gradient);
}

at::Tensor after(const LogDensity& f, const at::Tensor& start, const HmcStep& step, Bug bug) {
  auto state = hmc_start(f, start);
  for (int t = 0; t < kTransitions; ++t)
    transition(f, state, step, Noise(72).site(std::to_string(t)).draws(start.size(0)), bug);
  return state.position;
}

at::Tensor cdf(const at::Tensor& x) { return at::special_ndtr(x); }

struct Findings {
  double largest_z = 0, largest_distance = 0;
};

Findings in_one_dimension(Bug bug) {
  const auto start = Noise(71).draws(kKsDraws).normal({kKsDraws, 1}, kDouble);
  const LogDensity f = [](const at::Tensor& u) { return -0.5 * u.square().sum(-1); };
  const auto x = after(f, start, {at::full({1}, 1.3, kDouble), {}, 4}, bug);
  return {std::max(estimate(x).z(0), estimate(x.square()).z(1)), ks_distance(cdf(x))};
}

TEST(HmcStatistical, LeavesANormalLawInvariantAndBugsDoNot) {
  const auto right = in_one_dimension(Bug::kNone);
  EXPECT_LE(right.largest_z, kZStar);
  EXPECT_LE(right.largest_distance, kKsLimit);
  for (const Bug bug : kBugs) {
    const auto wrong = in_one_dimension(bug);
    EXPECT_GT(wrong.largest_z, kZStar) << static_cast<int>(bug);
    EXPECT_GT(wrong.largest_distance, kKsLimit) << static_cast<int>(bug);
  }
}

/// N(0, A A^T) in ten dimensions, of condition number 100, turned so that all are correlated; seen
/// through the inverse of A it is N(0, I).
Findings in_ten_dimensions(Bug bug) {
  constexpr int64_t kDim = 10;
  const auto turn =
      std::get<0>(at::linalg_qr(Noise(73).site("turn").normal({kDim, kDim}, kDouble)));
  const auto scales = at::pow(10., at::linspace(-1, 0, kDim, kDouble));
  const auto root = turn * scales, inverse = turn / scales;  // A and (A^-1)^T
  const auto white = Noise(74).draws(kGoodnessDraws).normal({kGoodnessDraws, kDim}, kDouble);
  const LogDensity f = [&](const at::Tensor& u) {
    return -0.5 * u.matmul(inverse).square().sum(-1);
  };
  const HmcStep step{at::full({1}, 0.13, kDouble), {}, 4};
  const auto x = after(f, white.matmul(root.t()), step, bug).matmul(inverse);
  Findings out;
  for (int64_t i = 0; i < kDim; ++i) {
    const auto xi = x.select(1, i);
    out.largest_z = std::max(out.largest_z, estimate(xi).z(0));
    for (int64_t j = 0; j <= i; ++j)
      out.largest_z = std::max(out.largest_z, estimate(xi * x.select(1, j)).z(i == j ? 1 : 0));
    const auto direction = Noise(75).site(std::to_string(i)).normal({kDim}, kDouble);
    const auto projected = x.matmul(direction) / direction.norm();
    out.largest_distance = std::max(out.largest_distance, ks_distance(cdf(projected)));
  }
  return out;
}

TEST(HmcStatistical, LeavesACorrelatedNormalLawInvariantAndBugsDoNot) {
  const auto right = in_ten_dimensions(Bug::kNone);
  EXPECT_LE(right.largest_z, kZStar);
  EXPECT_LE(right.largest_distance, ks_limit(kAlpha));
  for (const Bug bug : kBugs) {
    EXPECT_GT(in_ten_dimensions(bug).largest_z, kZStar) << static_cast<int>(bug);
  }
}

/// The same law as in one dimension, in two, each row with a whole mass matrix of its own; or, with
/// a bug, momenta of another mass than that of the kinetic energy.
Findings at_dense_masses(bool other_momenta) {
  constexpr int64_t kRows = kGoodnessDraws;
  const auto root = Noise(77).draws(kRows).normal({kRows, 2, 2}, kDouble);
  const auto inverse_mass = root.matmul(root.transpose(-2, -1)) + 0.3 * at::eye(2, kDouble);
  const LogDensity f = [](const at::Tensor& u) { return -0.5 * u.square().sum(-1); };
  const HmcStep step{at::full({1}, 0.6, kDouble), inverse_mass, 3};
  auto state = hmc_start(f, Noise(78).draws(kRows).normal({kRows, 2}, kDouble));
  for (int t = 0; t < kTransitions; ++t) {
    const auto noise = Noise(79).site(std::to_string(t)).draws(kRows);
    if (!other_momenta) {
      (void)hmc_transition(f, state, step, noise);
      continue;
    }
    auto p = momentum_of(noise.site("momentum").normal({kRows, 2}, kDouble), 0.8 * inverse_mass);
    const auto before = state.log_density - kinetic_energy(p, inverse_mass);
    HmcState end = state;
    leapfrog(f, end, p, step);
    const auto gain = end.log_density - kinetic_energy(p, inverse_mass) - before;
    const auto moved = noise.site("accept").uniform({kRows}, kDouble).log() < gain;
    state = hmc_start(f, at::where(moved.unsqueeze(-1), end.position, state.position));
  }
  const auto x = state.position.select(1, 0), y = state.position.select(1, 1);
  return {std::max({estimate(x).z(0), estimate(x.square()).z(1), estimate(x * y).z(0)}),
          ks_distance(cdf(y))};
}

TEST(HmcStatistical, LeavesItsLawInvariantAtAnyDenseMass) {
  const auto right = at_dense_masses(false);
  EXPECT_LE(right.largest_z, kZStar);
  EXPECT_LE(right.largest_distance, ks_limit(kAlpha));
  EXPECT_GT(at_dense_masses(true).largest_z, kZStar);
}

/// A law without a mean: `1 / (1 + u^2)`, with a step and a mass of its own for each row.
TEST(HmcStatistical, LeavesACauchyLawInvariantAtAnyStepAndMass) {
  const auto rows = Noise(76).draws(kKsDraws);
  const auto uniform = rows.site("start").uniform({kKsDraws, 1}, kDouble);
  const auto start = (std::numbers::pi * (uniform - 0.5)).tan();
  const LogDensity f = [](const at::Tensor& u) { return -u.square().log1p().sum(-1); };
  const HmcStep step{0.2 + 3 * rows.site("step").uniform({kKsDraws}, kDouble),
                     0.1 + rows.site("mass").uniform({kKsDraws, 1}, kDouble), 3};
  const auto x = after(f, start, step, Bug::kNone);
  EXPECT_LE(ks_distance(0.5 + x.atan() / std::numbers::pi), kKsLimit);
}

}  // namespace
}  // namespace elbo
