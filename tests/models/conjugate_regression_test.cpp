#include "elbo/models/conjugate_regression.h"

#include "elbo/distributions/kl.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/error.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr double kPrior = 1.7, kNoise = 0.6;

struct Data {
  at::Tensor design = Noise(1).site("x").normal({12, 3}, kDouble);
  at::Tensor y = Noise(1).site("y").normal({12}, kDouble);
  ConjugateRegression exact{design, y, kPrior, kNoise};
};

TEST(ConjugateRegression, EvidenceAndPosteriorAreThoseOfTheJointNormal) {
  const Data d;
  // y ~ N(0, noise^2 I + prior^2 X X^T); w | y by conditioning that normal law.
  const auto covariance =
      kPrior * kPrior * d.design.matmul(d.design.t()) + kNoise * kNoise * at::eye(12, kDouble);
  const auto marginal = MultivariateNormal::from_covariance(at::zeros({12}, kDouble), covariance);
  EXPECT_NEAR(d.exact.log_evidence(), marginal.log_prob(d.y).item<double>(), 1e-10);
  const auto gain = kPrior * kPrior * d.design.t().matmul(at::linalg_inv(covariance));
  EXPECT_TRUE(d.exact.mean().allclose(gain.mv(d.y), 1e-11, 1e-11));
  const auto rest = kPrior * kPrior * (at::eye(3, kDouble) - gain.matmul(d.design));
  EXPECT_TRUE(d.exact.covariance().allclose(rest, 1e-10, 1e-11));
}

TEST(ConjugateRegression, BoundIsEvidenceLessTheDivergenceFromThePosterior) {
  const Data d;
  EXPECT_NEAR(d.exact.elbo(d.exact.mean(), d.exact.covariance()), d.exact.log_evidence(), 1e-10);
  const auto root =
      at::tensor({0.3, 0.0, 0.0, 0.1, 0.2, 0.0, -0.2, 0.05, 0.4}, kDouble).view({3, 3});
  const MultivariateNormal q(at::tensor({0.1, -0.4, 0.3}, kDouble), root);
  const auto posterior = MultivariateNormal::from_covariance(d.exact.mean(), d.exact.covariance());
  const double gap = kl_divergence(q, posterior).item<double>();
  EXPECT_GT(gap, 0.1);
  EXPECT_NEAR(d.exact.elbo(q.mean(), q.covariance_matrix()), d.exact.log_evidence() - gap, 1e-10);
}

TEST(ConjugateRegression, MeanFieldOptimumHasTheInversePrecisions) {
  const Data d;
  const auto best = 1 / d.exact.precision().diagonal();
  const double bound = d.exact.elbo(d.exact.mean(), best.diag());
  EXPECT_LT(bound, d.exact.log_evidence());
  for (int64_t i = 0; i < 3; ++i)
    for (const double factor : {0.98, 1.02}) {
      auto variance = best.clone();
      variance[i] *= factor;
      EXPECT_LT(d.exact.elbo(d.exact.mean(), variance.diag()), bound);
    }
  EXPECT_LT(d.exact.elbo(d.exact.mean(), d.exact.covariance().diagonal().diag()), bound)
      << "the posterior's own variances are not the best";
}

TEST(ConjugateRegression, RefusesWhatDoesNotFit) {
  const auto x = at::zeros({4, 2}, kDouble), y = at::zeros({4}, kDouble);
  EXPECT_THROW(ConjugateRegression(x, at::zeros({3}, kDouble), 1, 1), ShapeError);
  EXPECT_THROW(ConjugateRegression(x, x, 1, 1), ShapeError);
  EXPECT_THROW(ConjugateRegression(x, y, 0, 1), ConfigError);
  EXPECT_THROW(ConjugateRegression(x, y, 1, -1), ConfigError);
}

}  // namespace
}  // namespace elbo
