// Draws of every law over vectors and matrices: its marginals and projections whose laws are known,
// against those. The rates of false alarm are in goodness.h.
#include "distributions/goodness.h"
#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kDraws = kGoodnessDraws;
/// More than there are in this file, so that each has its share of the rate.
constexpr double kComparisons = 50;
constexpr double kAlpha = kGoodnessAlpha / kComparisons;

at::Tensor draws_of(const Distribution& law) {
  return law.sample(Noise(71).draws(kDraws), {kDraws});
}

/// Also that the draws moved by an eighth of their spread do not follow it.
void expect_follows(const at::Tensor& x, const Distribution& law, const std::string& what) {
  EXPECT_LE(distance(x, law), ks_limit(kAlpha)) << what;
  EXPECT_GT(distance(x + 0.125 * x.std(), law), ks_limit(kAlpha)) << what << " planted";
}
void expect_counts(const at::Tensor& x, const Distribution& law, const std::string& what) {
  EXPECT_GE(chi_square_tail(x, law), kAlpha) << what;
  auto wrong = x.clone();  // planted: a quarter of the draws is the commonest
  wrong.slice(0, 0, kDraws / 4).fill_(std::get<0>(x.mode()));
  EXPECT_LT(chi_square_tail(wrong, law), kAlpha) << what << " planted";
}

const at::Tensor kLoc = values({1, -2, 0.5}, {3});
const at::Tensor kLower = values({2, 0, 0, -1.5, 0.5, 0, 0.3, 0.8, 1.2}, {3, 3});
/// Directions along which vectors are projected.
const at::Tensor kDirections = values({1, 0, 0, 0, 0, 1, 0.5, -1, 2}, {3, 3});

/// Along every direction c: the law of c . loc + |L^T c| y, where `standard` makes that of y; and
/// of the squared length |L^-1 (x - loc)|^2.
void expect_elliptical(
    const Distribution& law, const at::Tensor& loc, const at::Tensor& lower,
    const std::function<DistributionPtr(const at::Tensor& loc, const at::Tensor& scale)>& along,
    const Distribution& squared) {
  const auto x = draws_of(law);
  for (int64_t i = 0; i < kDirections.size(0); ++i) {
    const auto c = kDirections[i];
    const auto scale = lower.transpose(0, 1).matmul(c).norm();
    expect_follows(x.matmul(c), *along(loc.dot(c), scale), law.name() + " along a direction");
  }
  const auto y = at::linalg_solve_triangular(lower, (x - loc).transpose(0, 1), /*upper=*/false);
  expect_follows(y.square().sum(0), squared, law.name() + " squared length");
}

const auto kNormal = [](const at::Tensor& loc, const at::Tensor& scale) {
  return Normal(loc, scale).clone();
};

TEST(VectorsStatistical, MultivariateNormalProjectionsAreNormal) {
  expect_elliptical(MultivariateNormal(kLoc, kLower), kLoc, kLower, kNormal, Chi2(scalar(3)));
}

TEST(VectorsStatistical, LowRankMultivariateNormalProjectionsAreNormal) {
  const LowRankMultivariateNormal law(kLoc, values({1, -0.5, 2}, {3, 1}), values({0.5, 1, 2}, {3}));
  const auto lower = at::linalg_cholesky(law.covariance_matrix());
  expect_elliptical(law, kLoc, lower, kNormal, Chi2(scalar(3)));
}

TEST(VectorsStatistical, MultivariateStudentTProjectionsAreStudentT) {
  const auto df = scalar(4.5);
  // |y|^2 / d has the F law.
  struct Squared final : public DistributionBase<Squared> {
    Squared() : DistributionBase({}, {}) {}
    FisherSnedecor f{scalar(3), scalar(4.5)};
    std::string name() const override { return "3 F"; }
    at::Tensor log_prob(const at::Tensor& x) const override { return f.log_prob(x / 3); }
    at::Tensor cdf(const at::Tensor& x) const override { return f.cdf(x / 3); }
    DistributionPtr expand(at::IntArrayRef) const override { return clone(); }
  };
  expect_elliptical(
      MultivariateStudentT(df, kLoc, kLower), kLoc, kLower,
      [&](const at::Tensor& loc, const at::Tensor& scale) {
        return StudentT(df, loc, scale).clone();
      },
      Squared());
}

TEST(VectorsStatistical, EllipticalHasItsRadiusAndUniformDirections) {
  /// Exponential with rate 1.
  struct Radius final : public Radial {
    at::Tensor rsample(const Noise& noise, at::IntArrayRef shape, int64_t,
                       const at::TensorOptions& options) const override {
      return -noise.uniform(shape, options).log();
    }
    at::Tensor log_density(const at::Tensor& squared, int64_t) const override { return -squared; }
    at::Tensor second_moment(int64_t dim) const override {
      return scalar(2.0 / static_cast<double>(dim));
    }
    RadialPtr expand(at::IntArrayRef) const override { return std::make_shared<Radius>(); }
  };
  const auto x = draws_of(Elliptical(kLoc, kLower, std::make_shared<Radius>()));
  const auto y = at::linalg_solve_triangular(kLower, (x - kLoc).transpose(0, 1), false);
  const auto radius = y.norm(2, 0);
  expect_follows(radius, Exponential(scalar(1)), "radius");
  for (int64_t i = 0; i < 3; ++i)  // of a uniform direction in three dimensions (Archimedes)
    expect_follows(y[i] / radius, Uniform(scalar(-1), scalar(1)), "direction");
}

TEST(VectorsStatistical, DirichletMarginalsAreBeta) {
  const auto concentration = values({0.4, 1, 2.5, 30}, {4});
  const auto x = draws_of(Dirichlet(concentration));
  const auto total = concentration.sum();
  for (int64_t i = 0; i < 4; ++i)
    expect_follows(x.select(1, i), Beta(concentration[i], total - concentration[i]), "Dirichlet");
}

TEST(VectorsStatistical, WishartFormsAreChiSquare) {
  const auto df = scalar(4.5);
  const auto x = draws_of(Wishart(df, kLower));
  const auto covariance = kLower.matmul(kLower.transpose(0, 1));
  for (int64_t i = 0; i < kDirections.size(0); ++i) {
    const auto c = kDirections[i];
    expect_follows(x.matmul(c).matmul(c) / covariance.matmul(c).dot(c), Chi2(df), "Wishart");
  }
  // 1 / (c' X^-1 c) has df - d + 1 degrees of freedom.
  const auto c = kDirections[2];
  const auto inner = at::linalg_inv(x).matmul(c).matmul(c);
  expect_follows(at::linalg_inv(covariance).matmul(c).dot(c) / inner, Chi2(df - 2), "Wishart");
}

TEST(VectorsStatistical, LKJCorrelationsAreBeta) {
  const auto lower = draws_of(LKJCholesky(4, scalar(0.7)));
  const auto correlation = lower.matmul(lower.transpose(-2, -1));
  const auto b = scalar(0.7 + 1);  // concentration + (dim - 2) / 2
  for (int64_t i = 1; i < 4; ++i)
    for (int64_t j = 0; j < i; ++j)
      expect_follows(0.5 * (correlation.select(1, i).select(1, j) + 1), Beta(b, b), "LKJCholesky");
}

// The difference of two Gumbel draws is logistic.
TEST(VectorsStatistical, RelaxedOneHotCategoricalLogRatiosAreLogistic) {
  const auto temperature = scalar(0.7);
  const RelaxedOneHotCategorical law(temperature, values({0.2, 0.5, 0.3}, {3}));
  const auto l = draws_of(law).log(), logits = law.logits();
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t j = (i + 1) % 3;
    expect_follows(l.select(1, i) - l.select(1, j),
                   Logistic((logits[i] - logits[j]) / temperature, 1 / temperature), "log ratio");
  }
}

TEST(VectorsStatistical, RelaxedBernoulliFollowsItsCdf) {
  const RelaxedBernoulli law(scalar(0.7), scalar(0.3));
  expect_follows(draws_of(law), law, "RelaxedBernoulli");
}

TEST(VectorsStatistical, MultinomialMarginalsAreBinomial) {
  const auto probs = values({0.2, 0.5, 0.05, 0.25}, {4});
  const auto x = draws_of(Multinomial(40, probs));
  for (int64_t i = 0; i < 4; ++i)
    expect_counts(x.select(1, i).contiguous(), Binomial(scalar(40), probs[i]), "Multinomial");
}

TEST(VectorsStatistical, OneHotCategoricalComponentsAreBernoulli) {
  const auto probs = values({0.2, 0.5, 0.05, 0.25}, {4});
  const auto x = draws_of(OneHotCategorical(probs));
  for (int64_t i = 0; i < 4; ++i)
    expect_counts(x.select(1, i).contiguous(), Bernoulli(probs[i]), "OneHotCategorical");
}

TEST(VectorsStatistical, TransformedDrawsFollowTheCdf) {
  const TransformedDistribution law(Gumbel(scalar(0.5), scalar(2)).clone(), {bijections::exp()});
  expect_follows(draws_of(law).log(), Gumbel(scalar(0.5), scalar(2)), "e^Gumbel");
}

}  // namespace
}  // namespace elbo
