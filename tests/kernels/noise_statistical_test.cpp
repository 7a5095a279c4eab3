// The laws of the noise. Seeds are fixed; each comparison states its false-alarm rate over seeds.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/kernels/noise.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using testing::estimate;
using testing::kKsDraws;
using testing::kKsLimit;
using testing::ks_distance;
using testing::kZStar;

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor normal_cdf(const at::Tensor& x) { return 0.5 * at::erfc(-x / std::sqrt(2.0)); }

/// The same million numbers spread over particles, rows and elements in different ways.
std::vector<at::Tensor> layouts(bool normal) {
  std::vector<at::Tensor> out;
  for (const auto& [particles, rows] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, kKsDraws}, {kKsDraws, 1}, {10, 1000}}) {
    const Noise noise = Noise(11).site("z").draws(rows).particles(particles);
    const std::vector<int64_t> shape = {particles, rows, kKsDraws / particles / rows};
    out.push_back(normal ? noise.normal(shape, kDouble) : noise.uniform(shape, kDouble));
  }
  return out;
}

// n = 1e6, false alarm 1e-9 each (DKWM).
TEST(NoiseStatistical, UniformHasTheUniformLaw) {
  for (const auto& u : layouts(false)) EXPECT_LE(ks_distance(u), kKsLimit);
}

TEST(NoiseStatistical, NormalHasTheNormalLaw) {
  for (const auto& z : layouts(true)) {
    EXPECT_LE(ks_distance(normal_cdf(z)), kKsLimit);
    EXPECT_GT(ks_distance(normal_cdf(1.03 * z)), kKsLimit) << "a planted scale of 1.03";
    EXPECT_GT(ks_distance(normal_cdf(z + 0.02)), kKsLimit) << "a planted shift of 0.02";
  }
}

// n = 1e6 products each, false alarm 1e-9 (z* = 6.11); a correlation of 0.011 is surely caught.
TEST(NoiseStatistical, NeighboursAreUncorrelated) {
  const auto column = [](const Noise& noise) {
    return noise.draws(1000).particles(1000).normal({1000, 1000, 2}, kDouble);
  };
  const Noise base = Noise(12);
  const auto z = column(base);
  const auto expect_uncorrelated = [](const at::Tensor& a, const at::Tensor& b, const char* what) {
    EXPECT_LT(estimate(a * b).z(0), kZStar) << what;
    EXPECT_LT(estimate((a.square() - 1) * (b.square() - 1)).z(0), kZStar) << what << " squares";
    EXPECT_GT(estimate(a * (b + 0.015 * a)).z(0), kZStar) << what << ", planted";
  };
  expect_uncorrelated(z.select(2, 0), z.select(2, 1), "the two of one block");
  expect_uncorrelated(z.narrow(1, 0, 999), z.narrow(1, 1, 999), "rows");
  expect_uncorrelated(z.narrow(0, 0, 999), z.narrow(0, 1, 999), "particles");
  expect_uncorrelated(z, column(base.step(1)), "steps");
  expect_uncorrelated(z, column(base.site("a")), "site and parent");
  expect_uncorrelated(column(base.site("a")), column(base.site("b")), "sites");
  expect_uncorrelated(z, column(Noise(13)), "seeds");
}

// n = 1e6, false alarm 1e-9 (z* = 6.11).
TEST(NoiseStatistical, BernoulliHasItsMean) {
  for (const double p : {0.02, 0.3, 0.5, 0.97}) {
    const auto x = Noise(14).bernoulli(at::full({1'000'000}, p, kDouble));
    EXPECT_LT(estimate(x).z(p), kZStar) << p;
    EXPECT_GT(estimate(x).z(p + 0.007), kZStar) << p << ", planted";
  }
}

}  // namespace
}  // namespace elbo
