// Independent chains that start in their law are still in it after three transitions, at a coarse
// and generic step: z-tests at z*, Kolmogorov-Smirnov tests at 1e-9, n = 2500 chains. A density
// narrower or wider by 10 %, and a draw from the path that ignores the energy, are seen.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "elbo/inference/nuts.h"
#include "elbo/kernels/math.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kChains = 2500;
const auto kDouble = at::TensorOptions(at::kDouble);

struct Findings {
  double largest_z = 0, distance = 0;  // the latter in units of what is allowed
};

/// A law of (x, y): x ~ N(0, 1), y ~ N(x^2 / 2, 0.6^2), which is curved; the sampler is given one
/// `error` times as wide in y.
Findings after_three(double error, int64_t max_depth) {
  const auto white = Noise(51).draws(kChains).normal({kChains, 2}, kDouble);
  const auto x0 = white.select(1, 0);
  const auto start = at::stack({x0, 0.5 * x0.square() + 0.6 * white.select(1, 1)}, 1);
  const LogDensity f = [=](const at::Tensor& u) {
    const auto x = u.select(1, 0), y = u.select(1, 1);
    return -0.5 * (x.square() + ((y - 0.5 * x.square()) / (0.6 * error)).square());
  };
  auto state = hmc_start(f, start);
  for (const char* t : {"0", "1", "2"})
    (void)nuts_transition(f, state, {at::full({1}, 0.71, kDouble), {}},
                          Noise(52).site(t).draws(kChains), max_depth);
  const auto& ends = state.position;
  const auto x = ends.select(1, 0), e = (ends.select(1, 1) - 0.5 * x.square()) / 0.6;
  const double allowed = std::sqrt(std::log(2 / 1e-9) / (2.0 * kChains));
  Findings out;
  for (const auto& z : {x, e}) {
    out.largest_z = std::max(
        {out.largest_z, estimate(z).z(0), estimate(z.square()).z(1), estimate(x * e).z(0)});
    out.distance = std::max(out.distance, ks_distance(at::special_ndtr(z)) / allowed);
  }
  return out;
}

TEST(NutsStatistical, LeavesItsLawInvariant) {
  for (const int64_t max_depth : {2, 6}) {
    const auto right = after_three(1, max_depth);
    EXPECT_LE(right.largest_z, kZStar) << max_depth;
    EXPECT_LE(right.distance, 1) << max_depth;
  }
  EXPECT_GT(after_three(1.3, 6).largest_z, kZStar);
  EXPECT_GT(after_three(0.7, 6).largest_z, kZStar);
}

// Where all points have one energy the last doubling is always taken, and of its points each alike:
// n = 3000, chi-square over 4 points at 1e-9.
TEST(NutsStatistical, DrawsPointsOfOneEnergyAlike) {
  constexpr int64_t kDraws = 3000;
  std::vector<double> counts(4);
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    std::vector<double> seen;
    const LogDensity flat = [&](const at::Tensor& u) {
      seen.push_back(u.item<double>());
      return 0 * u.sum(-1);
    };
    auto state = hmc_start(flat, at::zeros({1, 1}, kDouble));
    seen.clear();
    (void)nuts_transition(flat, state, {at::full({1}, 0.1, kDouble), {}}, Noise(seed).draws(1), 3);
    ASSERT_EQ(seen.size(), 7U);
    for (size_t i = 0; i < 4; ++i)
      if (seen[3 + i] == state.position.item<double>()) counts[i] += 1;
  }
  const double expected = static_cast<double>(kDraws) / 4;
  double statistic = 0;
  for (const double count : counts) statistic += (count - expected) * (count - expected) / expected;
  EXPECT_GT(math::gamma_q(1.5, 0.5 * statistic), 1e-9) << counts[0] << " " << counts[3];
}

}  // namespace
}  // namespace elbo
