// KL(q || p) against the mean of log q - log p over draws of q, by monte_carlo_kl. n = 1e6 each;
// false alarm 1e-9 a comparison (z* = 6.11).
#include "distributions/table.h"
#include "elbo/distributions/beta.h"
#include "elbo/distributions/binomial.h"
#include "elbo/distributions/cauchy.h"
#include "elbo/distributions/chi2.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/dirichlet.h"
#include "elbo/distributions/erlang.h"
#include "elbo/distributions/exponential.h"
#include "elbo/distributions/fisher_snedecor.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/geometric.h"
#include "elbo/distributions/gumbel.h"
#include "elbo/distributions/half_cauchy.h"
#include "elbo/distributions/half_normal.h"
#include "elbo/distributions/inverse_gamma.h"
#include "elbo/distributions/kumaraswamy.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/lkj_cholesky.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/logistic.h"
#include "elbo/distributions/low_rank_multivariate_normal.h"
#include "elbo/distributions/multinomial.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/pareto.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/rayleigh.h"
#include "elbo/distributions/student_t.h"
#include "elbo/distributions/transformed_distribution.h"
#include "elbo/distributions/triangular.h"
#include "elbo/distributions/von_mises.h"
#include "elbo/distributions/weibull.h"
#include "elbo/distributions/wishart.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

/// `draws` is fewer for matrices; an error of 5 % shows in each.
void expect_kl(const Distribution& q, const Distribution& p, int64_t draws = kKsDraws) {
  const auto what = q.name() + " " + p.name();
  const double closed = kl_divergence(q, p).item<double>();
  const auto got = monte_carlo_kl(q, p, Noise(43), draws);
  const Estimate mean{got.mean.item<double>(), got.standard_error.item<double>()};
  EXPECT_LT(mean.z(closed), kZStar) << what << " " << closed << " " << mean.mean;
  EXPECT_GT(mean.z(1.05 * closed), kZStar) << what << ": a planted error of 5 %";
  const auto reverse = try_kl_divergence(p, q);
  // Between Cauchy laws it is the same.
  if (reverse && std::abs(reverse->item<double>() - closed) > 1e-12) {
    EXPECT_GT(mean.z(reverse->item<double>()), kZStar) << what << ": a planted exchange";
  }
}

at::Tensor vector(std::initializer_list<double> v) {
  return at::tensor(at::ArrayRef<double>(v), at::kDouble);
}

TEST(KlPairsStatistical, ContinuousPairsAgreeWithDraws) {
  const auto s = [](double x) { return scalar(x); };
  expect_kl(Gamma(s(2.3), s(1.9)), Gamma(s(1.2), s(0.7)));
  expect_kl(Gamma(s(2.3), s(1.9)), Gumbel(s(0.2), s(0.6)));
  expect_kl(Exponential(s(1.7)), Gamma(s(2.2), s(0.9)));
  expect_kl(Chi2(s(3.1)), Weibull(s(1.3), s(1.2)));
  expect_kl(Erlang(s(3), s(2.2)), LogNormal(s(0.6), s(0.7)));
  expect_kl(Weibull(s(0.9), s(1.6)), Weibull(s(1.5), s(1.1)));
  expect_kl(Rayleigh(s(0.8)), Rayleigh(s(1.3)));
  expect_kl(HalfNormal(s(0.8)), Exponential(s(0.6)));
  expect_kl(InverseGamma(s(3.2), s(2.1)), InverseGamma(s(1.8), s(0.9)));
  expect_kl(LogNormal(s(-0.3), s(0.5)), LogNormal(s(0.2), s(0.9)));
  expect_kl(Cauchy(s(0.1), s(0.8)), Cauchy(s(-1.3), s(2.1)));
  expect_kl(HalfCauchy(s(0.7)), HalfCauchy(s(2.4)));
  expect_kl(Gumbel(s(0.2), s(0.7)), Gumbel(s(-0.4), s(1.3)));
  expect_kl(Laplace(s(-0.4), s(0.6)), Laplace(s(0.8), s(1.2)));
  expect_kl(Laplace(s(-0.4), s(0.6)), Normal(s(0.7), s(1.5)));
  expect_kl(Logistic(s(-0.2), s(0.5)), Laplace(s(0.9), s(0.8)));
  expect_kl(StudentT(s(12), s(0.3), s(0.7)), Normal(s(1.1), s(1.6)));
  expect_kl(FisherSnedecor(s(4.5), s(30)), Normal(s(2.2), s(1.6)));
  expect_kl(Pareto(s(0.8), s(3.2)), Pareto(s(0.5), s(1.4)));
  expect_kl(Beta(s(2.1), s(3.2)), Beta(s(3.4), s(1.8)));
  expect_kl(Kumaraswamy(s(1.7), s(2.6)), Beta(s(3.4), s(1.8)));
  expect_kl(Kumaraswamy(s(1.7), s(2.6)), Kumaraswamy(s(3.2), s(1.5)));
  expect_kl(ContinuousBernoulli(s(0.1)), ContinuousBernoulli(s(0.7)));
  expect_kl(Triangular(s(0.1), s(0.2), s(0.9)), Uniform(s(0), s(1.3)));
  expect_kl(Uniform(s(0.1), s(0.7)), Beta(s(3.4), s(1.8)));
  expect_kl(VonMises(s(0.4), s(1.6)), VonMises(s(-0.9), s(0.7)));
}

TEST(KlPairsStatistical, DiscretePairsAgreeWithDraws) {
  const auto s = [](double x) { return scalar(x); };
  expect_kl(Binomial(s(7), s(0.35)), Binomial(s(7), s(0.6)));
  expect_kl(Binomial(s(5), s(0.35)), Poisson(s(3.3)));
  expect_kl(Bernoulli(s(0.3)), Poisson(s(1.4)));
  expect_kl(Poisson(s(2.3)), Poisson(s(3.9)));
  expect_kl(Geometric(s(0.35)), Geometric(s(0.15)));
  expect_kl(NegativeBinomial(s(2.5), s(0.45)), NegativeBinomial(s(2.5), s(0.7)));
  expect_kl(OneHotCategorical(vector({0.1, 0.2, 0.7})), OneHotCategorical(vector({0.6, 0.2, 0.2})));
  expect_kl(Multinomial(4, vector({0.1, 0.2, 0.7})), Multinomial(4, vector({0.6, 0.2, 0.2})));
}

TEST(KlPairsStatistical, MultivariatePairsAgreeWithDraws) {
  constexpr int64_t kDraws = 200'000;
  const auto tril = vector({0.9, 0.0, 0.4, 0.7}).view({2, 2});
  const auto other = vector({1.4, 0.0, -0.3, 1.1}).view({2, 2});
  const MultivariateNormal q(vector({0.3, -0.5}), tril), p(vector({-0.4, 0.2}), other);
  const LowRankMultivariateNormal low(vector({0.1, 0.9}), vector({0.8, -0.5}).view({2, 1}),
                                      vector({0.7, 1.2}));
  const Normal cells(vector({0.5, -0.2}), vector({0.6, 1.3}));
  expect_kl(q, p, kDraws);
  expect_kl(q, low, kDraws);
  expect_kl(low, p, kDraws);
  expect_kl(cells.to_event(1), p, kDraws);
  expect_kl(q, cells.to_event(1), kDraws);
  expect_kl(Dirichlet(vector({1.2, 2.3, 0.8})), Dirichlet(vector({2.1, 0.9, 1.7})), kDraws);
  expect_kl(Wishart(scalar(4.2), tril), Wishart(scalar(3.1), other), kDraws);
  expect_kl(LKJCholesky(3, scalar(2.5)), LKJCholesky(3, scalar(0.8)), kDraws);
  using bijections::exp;
  const auto one = std::make_shared<Normal>(scalar(0.2), scalar(0.4));
  const auto two = std::make_shared<Normal>(scalar(-0.1), scalar(0.9));
  expect_kl(TransformedDistribution(one, {exp()}), TransformedDistribution(two, {exp()}), kDraws);
  // The same law under another name.
  EXPECT_NEAR(
      kl_divergence(LogNormal(scalar(0.2), scalar(0.4)), LogNormal(scalar(-0.1), scalar(0.9)))
          .item<double>(),
      kl_divergence(*one, *two).item<double>(), 1e-14);
}

}  // namespace
}  // namespace elbo
