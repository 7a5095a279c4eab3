#include "elbo/nn/weight_posterior.h"

#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "elbo/error.h"
#include "elbo/nn/linear.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
const WeightShapes kShapes = {{"a.weight", {2, 3}}, {"a.bias", {2}}, {"c", {}}};
constexpr int64_t kSize = 9;
constexpr double kStart = 0.3;

WeightPosterior posterior_of(WeightFamily family) {
  return {kShapes, {.family = family, .rank = 2, .start_scale = kStart}, kDouble};
}

/// Any xi.
void scatter(const WeightPosterior& q) {
  const at::NoGradGuard no_grad;
  for (auto [name, parameter] : q.parameters())
    parameter.copy_(Noise(5).site(name).normal(parameter.sizes(), kDouble));
}

class EveryFamily : public ::testing::TestWithParam<WeightFamily> {};

TEST_P(EveryFamily, StartsAtZeroMeansAndTheScaleAsked) {
  const auto q = posterior_of(GetParam());
  EXPECT_EQ(q.size(), kSize);
  EXPECT_EQ(q.law()->event_shape(), std::vector<int64_t>{kSize});
  EXPECT_TRUE(q.law()->mean().eq(0).all().item<bool>());
  const auto ratio = q.law()->variance() / (kStart * kStart);
  const double most = GetParam() == WeightFamily::kLowRank ? 1.2 : 1 + 1e-14;
  EXPECT_GE(ratio.min().item<double>(), 1 - 1e-14);
  EXPECT_LE(ratio.max().item<double>(), most);
}

TEST_P(EveryFamily, MomentsAreThoseOfItsLaw) {
  const auto q = posterior_of(GetParam());
  scatter(q);
  const auto law = q.law();
  const auto x = Noise(6).normal({kSize}, kDouble);
  EXPECT_TRUE(q.loc().equal(law->mean()));
  EXPECT_TRUE(q.variance().allclose(law->variance(), 1e-13, 1e-13));
  EXPECT_TRUE(q.covariance().diagonal().allclose(q.variance(), 1e-13, 1e-13));
  // The density with inverse and determinant written out.
  const auto shift = x - q.loc();
  const auto covariance = q.covariance();
  const auto distance = shift.dot(at::linalg_inv(covariance).mv(shift));
  const auto expected =
      -0.5 * (distance + at::logdet(covariance) + kSize * std::log(2 * std::numbers::pi));
  EXPECT_NEAR(law->log_prob(x).item<double>(), expected.item<double>(), 1e-9);
}

TEST_P(EveryFamily, GradientsReachEveryParameter) {
  const auto q = posterior_of(GetParam());
  for (const double step : {0.0, 1.0}) {  // at the start too
    if (step > 0) scatter(q);
    const auto draw = q.law()->rsample(Noise(7), {50});
    const auto weighed = (draw * at::arange(1, kSize + 1, kDouble)).sum(1).square().sum();
    for (auto [name, parameter] : q.parameters()) parameter.mutable_grad().reset();
    weighed.backward();
    for (const auto& [name, parameter] : q.parameters()) {
      ASSERT_TRUE(parameter.grad().defined()) << name;
      EXPECT_TRUE(parameter.grad().ne(0).all().item<bool>()) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryFamily,
                         ::testing::Values(WeightFamily::kMeanField, WeightFamily::kLowRank,
                                           WeightFamily::kCholesky));

TEST(WeightPosterior, PartsAreTheWeightsInTheirOrderAndShapes) {
  const auto q = posterior_of(WeightFamily::kMeanField);
  scatter(q);
  const auto draws = at::arange(4 * kSize, kDouble).view({2, 2, kSize});
  EXPECT_TRUE(q.part(draws, "a.weight").equal(draws.narrow(-1, 0, 6).reshape({2, 2, 2, 3})));
  EXPECT_TRUE(q.part(draws, "a.bias").equal(draws.narrow(-1, 6, 2)));
  EXPECT_TRUE(q.part(draws, "c").equal(draws.select(-1, 8)));
  for (const auto& [name, shape] : q.shapes()) {
    EXPECT_EQ(q.loc(name).sizes(), shape);
    EXPECT_TRUE(q.part(q.loc(), name).equal(q.loc(name))) << name;
  }
}

TEST(WeightPosterior, MeansStartAsOrdinaryWeightsDo) {
  const auto q = posterior_of(WeightFamily::kMeanField);
  initialise(q.parameters(), Init::kXavier, Noise(1));
  EXPECT_TRUE(q.loc("a.weight").ne(0).all().item<bool>());
  EXPECT_LE(q.loc("a.weight").abs().max().item<double>(), std::sqrt(6.0 / 5));
  EXPECT_TRUE(q.loc("a.bias").eq(0).all().item<bool>());
  EXPECT_TRUE(q.variance().allclose(at::full({kSize}, kStart * kStart, kDouble), 1e-14, 0));
}

TEST(WeightPosterior, ANetworksLowRankNeedsNoSquareMatrix) {
  const int64_t many = 200'000;  // a square matrix of it would have 320 GB
  const WeightPosterior q({{"w", {many}}}, {.family = WeightFamily::kLowRank}, kDouble);
  const auto scale = at::full({many}, 0.5, kDouble);
  const auto kl = kl_divergence(*q.law(), Normal(at::zeros_like(scale), scale).to_event(1));
  // Its terms one by one, the determinant by Sylvester's identity.
  const auto f = q.parameters().back().second.detach();  // in units of the diagonal's deviation
  const auto log_det = many * std::log(0.05 * 0.05) +
                       at::logdet(at::eye(4, kDouble) + f.t().matmul(f)).item<double>();
  const double moments = q.variance().detach().sum().item<double>() / 0.25;
  EXPECT_NEAR(kl.item<double>(), 0.5 * (moments - many + many * std::log(0.25) - log_det), 1e-6);
}

TEST(WeightPosterior, RefusesWhatItCannotHold) {
  EXPECT_THROW(WeightPosterior({}, {}, kDouble), ConfigError);
  EXPECT_THROW(WeightPosterior({{"w", {2}}, {"w", {3}}}, {}, kDouble), ConfigError);
  EXPECT_THROW(WeightPosterior({{"w", {2, 0}}}, {}, kDouble), ConfigError);
  EXPECT_THROW(WeightPosterior(kShapes, {.rank = 0}, kDouble), ConfigError);
  EXPECT_THROW(WeightPosterior(kShapes, {.start_scale = 0}, kDouble), ConfigError);
  const auto q = posterior_of(WeightFamily::kMeanField);
  EXPECT_THROW((void)q.loc("b"), ConfigError);
  EXPECT_THROW((void)q.part(at::zeros({kSize + 1}, kDouble), "c"), ShapeError);
}

}  // namespace
}  // namespace elbo::nn
