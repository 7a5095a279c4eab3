// Scatter of gradients on toy G, where the variances are known: 4 s^2 and s^2 along m, for SGVB-A
// and B, and 38.427 for the score function at m = 0.2, s = 0.3, x = 1.3 (by quadrature). 1000
// pairs give each to a standard error below 20 %.
#include "elbo/evaluation/gradient_variance.h"

#include <gtest/gtest.h>

#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kM = 0.2, kS = 0.3, kX = 1.3;

struct Problem {
  at::Tensor m = at::full({1}, kM, at::kDouble).requires_grad_();
  at::Tensor s = at::full({1}, kS, at::kDouble).requires_grad_();
  at::Tensor unused = at::zeros({3}, at::kDouble).requires_grad_();
  Batch batch = batch_of(at::full({1}, kX, at::kDouble));

  GradientScatters scatter(const Estimator& estimator, int64_t pairs = 1000) const {
    return gradient_scatter(estimator, toy_model, toy_guide(m, s),
                            {{"m", {{"m", m}}}, {"s", {{"s", s}}}, {"none", {{"none", unused}}}},
                            batch, Noise(91), pairs);
  }
};

void expect_near(const GradientScatter& got, double truth) {
  EXPECT_LE(std::abs(got.variance - truth), kZStar * got.standard_error)
      << got.group << ": " << got.variance << " +- " << got.standard_error << ", truth " << truth;
  EXPECT_LE(got.standard_error, 0.2 * truth) << got.group;
}

TEST(GradientScatter, IsTheVarianceOfTheFormulas) {
  const Problem p;
  const double slope = kX - kM;
  const auto b = p.scatter(Sgvb{}).groups;
  expect_near(b[0], kS * kS);
  expect_near(b[1], slope * slope + 2 * kS * kS);
  expect_near(p.scatter(Sgvb{.form = SgvbForm::kA}).groups[0], 4 * kS * kS);
  expect_near(p.scatter(ScoreFunction{}).groups[0], 38.42727587);
  expect_near(p.scatter(Sgvb{.num_particles = 5}).groups[0], kS * kS / 5);
  EXPECT_GT(std::abs(b[0].variance - 2 * kS * kS), kZStar * b[0].standard_error) << "planted";
}

TEST(GradientScatter, KnowsTheMeanToo) {
  const Problem p;
  const auto b = p.scatter(Sgvb{}).groups;
  EXPECT_NEAR(b[0].squared_mean, std::pow(kX - 2 * kM, 2), 0.05);
  EXPECT_NEAR(b[1].squared_mean, std::pow(1 / kS - 2 * kS, 2), 0.3);
}

TEST(GradientScatter, IsZeroAlongWhatTheBoundDoesNotSee) {
  const auto none = Problem().scatter(Sgvb{}, 3);
  EXPECT_EQ(none.groups[2].variance, 0);
  EXPECT_EQ(none.groups[2].squared_mean, 0);
  EXPECT_GT(none.milliseconds, 0);
}

TEST(GradientScatter, OfGroupsAddsUp) {
  const Problem p;
  const auto apart = p.scatter(Sgvb{}, 10).groups;
  const auto together =
      gradient_scatter(Sgvb{}, toy_model, toy_guide(p.m, p.s), {{"phi", {{"m", p.m}, {"s", p.s}}}},
                       p.batch, Noise(91), 10)
          .groups;
  EXPECT_NEAR(together[0].variance, apart[0].variance + apart[1].variance, 1e-12);
}

TEST(Frozen, DoesNotLearn) {
  const auto average = std::make_shared<MovingAverage>();
  const Problem p;
  average->learn(p.batch, at::full({1, 1}, -2.3, at::kDouble));
  const auto still = frozen(average);
  (void)p.scatter(ScoreFunction{1, still}, 3);
  EXPECT_NEAR(still->value(p.batch, at::zeros({1, 1}, at::kDouble)).item<double>(), -2.3, 1e-15);
  (void)p.scatter(ScoreFunction{1, average}, 3);
  EXPECT_GT(std::abs(average->value(p.batch, at::zeros({1, 1}, at::kDouble)).item<double>() + 2.3),
            1e-3);
}

TEST(GradientScatter, RejectsOnePair) {
  EXPECT_THROW((void)Problem().scatter(Sgvb{}, 1), ConfigError);
}

}  // namespace
}  // namespace elbo
