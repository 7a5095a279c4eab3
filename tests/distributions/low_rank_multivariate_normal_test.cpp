#include "elbo/distributions/low_rank_multivariate_normal.h"

#include "distributions/multivariate.h"
#include "elbo/distributions/multivariate_normal.h"

namespace elbo {
namespace {

using namespace testing;

LowRankMultivariateNormal example() {
  return {values({1, -2, 0.5}, {3}), values({2, 0.3, -1.5, 0.5, 1, 1}, {3, 2}),
          values({0.5, 1, 2}, {3})};
}

TEST(LowRankMultivariateNormal, AgreesWithTheTable) {
  expect_multivariate_table("LowRankMultivariateNormal", [](const json& p, at::ScalarType type) {
    return LowRankMultivariateNormal(tensor_of(p["loc"], type), tensor_of(p["cov_factor"], type),
                                     tensor_of(p["cov_diag"], type))
        .clone();
  });
}

TEST(LowRankMultivariateNormal, IsTheNormalLawOfItsCovariance) {
  const auto law = example();
  const auto full = MultivariateNormal::from_covariance(law.loc(), law.covariance_matrix());
  const auto x = law.sample(Noise(1), {20});
  EXPECT_LE(deviation(law.log_prob(x), full.log_prob(x)), 1e-13);
}

TEST(LowRankMultivariateNormal, RejectsInvalidParameters) {
  const auto zero = at::zeros({3}, at::kDouble), one = at::ones({3}, at::kDouble);
  const auto factor = at::ones({3, 2}, at::kDouble);
  expect_domain_error(
      [&] {
        LowRankMultivariateNormal(zero, factor, values({1, 0, 1}, {3}));
      },
      "LowRankMultivariateNormal: cov_diag must be > 0, got 0 at [1]");
  expect_domain_error([&] { LowRankMultivariateNormal(zero, factor * NAN, one); },
                      "LowRankMultivariateNormal: cov_factor must be finite, got nan at [0, 0]");
  expect_domain_error([&] { LowRankMultivariateNormal(zero + INFINITY, factor, one); },
                      "LowRankMultivariateNormal: loc must be finite, got inf at [0]");
  EXPECT_NO_THROW(LowRankMultivariateNormal(zero, factor, -one, Validate::kNo));
  EXPECT_THROW(LowRankMultivariateNormal(zero, at::ones({2, 2}, at::kDouble), one), ShapeError);
  EXPECT_THROW(LowRankMultivariateNormal(zero, factor, scalar(1)), ShapeError);
  EXPECT_THROW(LowRankMultivariateNormal(zero, factor, at::ones({1}, at::kDouble)), ShapeError);
  EXPECT_THROW(LowRankMultivariateNormal(zero, one, one), ShapeError);
}

TEST(LowRankMultivariateNormal, HasShapesSampleBatchEvent) {
  const auto one = example();
  expect_shapes(one, {}, {3});
  expect_shapes(LowRankMultivariateNormal(at::zeros({4, 1, 3}, at::kDouble),
                                          at::ones({2, 3, 2}, at::kDouble), one.cov_diag()),
                {4, 2}, {3});
  const LowRankMultivariateNormal law(one.loc(), one.cov_factor(), at::ones({5, 3}, at::kDouble));
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({5, 3}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({5, 3}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({5}));
  EXPECT_EQ(law.covariance_matrix().sizes(), at::IntArrayRef({5, 3, 3}));
}

TEST(LowRankMultivariateNormal, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {
      values({0.3, -1, 2, 0.5, 1.5, -0.2}, {2, 3}), values({1, -2, 0.5}, {3}),
      values({2, 0.3, -1.5, 0.5, 1, 1}, {3, 2}), values({0.5, 1, 2, 3, 0.2, 1}, {2, 3})};
  const auto law = [](const auto& in) { return LowRankMultivariateNormal(in[1], in[2], in[3]); };
  expect_gradients({[&](const auto& in) { return law(in).log_prob(in[0]); },
                    [&](const auto& in) { return law(in).rsample(Noise(2), {4}); },
                    [&](const auto& in) { return law(in).entropy(); },
                    [&](const auto& in) { return law(in).variance(); }},
                   inputs);
}

TEST(LowRankMultivariateNormal, DrawsHaveItsMomentsAndEntropy) {
  const auto law = example();
  expect_moments(law);
  expect_entropy(law);
  const auto x = law.sample(Noise(9).draws(kMomentDraws), {kMomentDraws}) - law.loc();
  EXPECT_LE(estimate(x.select(1, 0) * x.select(1, 1)).z(-2.85), kZStar);
}

}  // namespace
}  // namespace elbo
