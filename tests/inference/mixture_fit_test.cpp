#include "elbo/inference/mixture_fit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/models/mixture.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

/// Five clusters around the corners of a square and its middle, far apart.
at::Tensor five_blobs(int64_t n) {
  const auto centres =
      12 * at::tensor({0., 0., 1., 1., 1., -1., -1., 1., -1., -1.}, kDouble).view({5, 2});
  return centres.index_select(0, at::arange(n, at::kLong).remainder(5)) +
         Noise(1).normal({n, 2}, kDouble);
}

struct Fitted {
  Fitted(const at::Tensor& x, MixtureConfig config, const MixtureFitOptions& options = {},
         uint64_t seed = 0)
      : mixture(
            [&] {
              config.data_dim = x.size(1);
              return config;
            }(),
            kDouble),
        em(mixture.model(), mixture.m_steps()),
        fit(fit_mixture(em, stream_of(x), config.components, Noise(seed), options)) {}
  Mixture mixture;
  Em em;
  MixtureFit fit;
};

TEST(MixtureFit, FindsClustersThatAreFarApart) {
  const auto x = five_blobs(500);
  const Fitted f(x, {.components = 5});
  EXPECT_TRUE(f.fit.converged);
  const auto found = f.mixture.encode(x).mean().argmax(1);
  // Each cluster's rows in one component, and no two clusters in the same.
  const auto first = found.narrow(0, 0, 5);
  EXPECT_TRUE(found.view({100, 5}).eq(first).all().item<bool>());
  EXPECT_EQ(std::get<0>(at::_unique(first)).numel(), 5);
  EXPECT_NEAR(f.em.log_likelihood(stream_of(x)), f.fit.log_likelihood, 1e-12);
  EXPECT_EQ(static_cast<int64_t>(f.fit.curve.size()), f.fit.iterations);
}

TEST(MixtureFit, KeepsTheBestOfItsStarts) {
  const auto x = five_blobs(300);
  double best = -INFINITY, worst = INFINITY;
  MixtureFitOptions one{.start = MixtureStart::kRandom};
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const double found = Fitted(x, {.components = 5}, one, seed).fit.log_likelihood;
    best = std::max(best, found);
    worst = std::min(worst, found);
  }
  EXPECT_GT(best - worst, 0.05) << "single starts differ";
  auto several = one;
  several.restarts = 8;
  const Fitted f(x, {.components = 5}, several);
  EXPECT_GE(f.fit.log_likelihood, Fitted(x, {.components = 5}, one).fit.log_likelihood);
  EXPECT_NEAR(f.fit.log_likelihood, best, 1e-3);
  EXPECT_NEAR(f.em.log_likelihood(stream_of(x)), f.fit.log_likelihood, 1e-12);
}

TEST(MixtureFit, RepairsEmptyComponents) {
  // Nearly all rows are one point, so that random rows are the same and nothing is nearest to all
  // but the first.
  auto x = at::zeros({400, 2}, kDouble);
  x.narrow(0, 0, 20).add_(5);
  x.narrow(0, 20, 20).add_(at::tensor({8., -9.}, kDouble));
  x += 0.01 * Noise(2).normal({400, 2}, kDouble).sign();
  MixtureFitOptions options{.start = MixtureStart::kRandom, .repair_empty = false};
  const MixtureConfig config{
      .components = 6, .families = {"normal"}, .covariance = Covariance::kDiagonal};
  const Fitted without(x, config, options, 3);
  options.repair_empty = true;
  const Fitted with(x, config, options, 3);
  EXPECT_EQ(without.fit.repairs, 0);
  EXPECT_GT(with.fit.repairs, 0);
  EXPECT_GT(with.fit.log_likelihood, without.fit.log_likelihood + 0.1);
  for (size_t i = 1; i < with.fit.curve.size(); ++i)
    EXPECT_GE(with.fit.curve[i], with.fit.curve[i - 1] - 1e-10);
}

TEST(MixtureFit, LeavesEmptyWhatIsNotNeeded) {
  // Two patterns only: a third component has no rows, and no repair is an improvement.
  const auto x = at::tensor({0., 0., 1., 1.}, kDouble).view({2, 2}).repeat({20, 1});
  const Fitted f(x, {.components = 3, .families = {"bernoulli"}});
  EXPECT_NEAR(f.fit.log_likelihood, std::log(0.5), 1e-6);
  EXPECT_TRUE(f.fit.converged);
  EXPECT_EQ(f.fit.repairs, 0);
}

TEST(MixtureFit, StopsWhereItIsTold) {
  const auto x = at::tensor({1., 3.}, kDouble) * five_blobs(100).sigmoid() +
                 Noise(4).normal({100, 2}, kDouble);
  const Mixture mixture({.data_dim = 2, .components = 5}, kDouble);
  Em em(mixture.model(), mixture.m_steps());
  int64_t calls = 0;
  const auto fit = fit_mixture(em, stream_of(x), 5, Noise(0), {.restarts = 3},
                               [&](int64_t, int64_t, double) { return ++calls < 2; });
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(fit.converged);
  EXPECT_TRUE(std::isfinite(fit.log_likelihood));
  EXPECT_EQ(Fitted(x, {.components = 5}, {.max_iterations = 3, .tolerance = 0}).fit.iterations, 3);
}

TEST(MixtureFit, SaysWhatIsWrong) {
  EXPECT_THROW(Fitted(five_blobs(4), {.components = 5}), DataError);
  EXPECT_THROW(Fitted(five_blobs(40), {.components = 5}, {.restarts = 0}), ConfigError);
  EXPECT_THROW(Fitted(five_blobs(40), {.components = 5}, {.max_iterations = 0}), ConfigError);
  EXPECT_THROW(Fitted(five_blobs(40), {.components = 5}, {.tolerance = -1}), ConfigError);
}

}  // namespace
}  // namespace elbo
