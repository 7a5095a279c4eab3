#include "elbo/distributions/conjugate.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
using Tensors = std::vector<at::Tensor>;

/// A family with a prior far from its default, and rows [M, E] of its support.
struct Case {
  std::string name, law;
  WeightedMleOptions options;
  ConjugatePrior prior;
  at::Tensor x;
};

std::vector<Case> cases() {
  const auto rows = 0.5 + 1.5 * Noise(1).normal({9, 3}, kDouble);
  const auto loc = at::tensor({1., -2., 0.5}, kDouble);
  const auto root = at::tensor({1., 0., 0., 0.4, 0.8, 0., -0.3, 0.2, 1.1}, kDouble).view({3, 3});
  const ConjugatePrior whole{
      .mean_precision = 0.6, .df = 3.7, .loc = loc, .covariance = root.matmul(root.t())};
  const ConjugatePrior columns{.mean_precision = 0.6,
                               .df = 1.3,
                               .loc = loc,
                               .covariance = at::tensor({0.7, 1.2, 2.}, kDouble)};
  const auto counts = rows.abs().mul(2).floor();
  const ConjugatePrior rates{.concentration = 1.7, .loc = at::tensor({1., 2., 4.}, kDouble)};
  return {
      {"full", "MultivariateNormal", {.event_shape = {3}}, whole, rows},
      {"tied",
       "MultivariateNormal",
       {.event_shape = {3}, .shared_scale = SharedScale::kComponents},
       whole,
       rows},
      {"diagonal", "Normal", {.event_shape = {3}}, columns, rows},
      {"spherical",
       "Normal",
       {.event_shape = {3}, .shared_scale = SharedScale::kEvent},
       columns,
       rows},
      {"tied columns",
       "Normal",
       {.event_shape = {3}, .shared_scale = SharedScale::kComponents},
       columns,
       rows},
      {"bernoulli",
       "Bernoulli",
       {.event_shape = {3}},
       {.concentration = 0.4},
       rows.gt(0.5).to(at::kDouble)},
      {"poisson", "Poisson", {.event_shape = {3}}, rates, counts},
      {"categorical",
       "Categorical",
       {.event_shape = {3}, .num_categories = 4},
       {.concentration = 0.4},
       counts.remainder(4)},
  };
}

/// E_q[log p(x | theta)] of the rows under weights, less KL(q || p): what q maximises.
double bound(const ConjugateFamily& family, const Tensors& q, const at::Tensor& x,
             const at::Tensor& weights) {
  Tensors by_row;
  for (const auto& p : q) by_row.push_back(p.unsqueeze(1));  // [K, 1, ..] against rows
  const auto expected = family.law(by_row)->log_prob(x) + family.log_gap(by_row);
  return (weights * expected).sum().item<double>() - family.kl(q).item<double>();
}

/// Rows to two components in turn.
at::Tensor two_components(int64_t rows) {
  return at::one_hot(at::arange(rows, at::kLong).remainder(2), 2).t().to(at::kDouble);
}

// At the posterior the bound is the evidence, which is also the product of the predictive densities
// of each row after those before it: law, log_gap, kl and predictive in one equation.
TEST(Conjugate, TheBoundAtThePosteriorIsTheEvidence) {
  for (const Case& c : cases()) {
    const auto family = conjugate_family(c.law, c.options, c.prior);
    const auto w = two_components(c.x.size(0));
    double evidence = 0;
    for (int64_t i = 0; i < c.x.size(0); ++i) {
      const auto before = i == 0 ? family->statistics(c.x, at::zeros_like(w))
                                 : family->statistics(c.x.narrow(0, 0, i), w.narrow(1, 0, i));
      evidence += family->predictive(family->fit(before))->log_prob(c.x[i])[i % 2].item<double>();
    }
    const auto q = family->fit(family->statistics(c.x, w));
    EXPECT_NEAR(bound(*family, q, c.x, w), evidence, 1e-10 * std::abs(evidence)) << c.name;
    // And a maximum: any other q is below.
    for (size_t j = 0; j < q.size(); ++j)
      for (const double factor : {0.97, 1.03}) {
        auto other = q;
        other[j] = other[j] * factor;
        EXPECT_LT(bound(*family, other, c.x, w), evidence - 1e-6)
            << c.name << ": " << family->parameter_names()[j];
      }
  }
}

TEST(Conjugate, WithoutRowsItIsThePrior) {
  for (const Case& c : cases()) {
    const auto family = conjugate_family(c.law, c.options, c.prior);
    const auto q = family->fit(family->statistics(c.x, at::zeros({2, c.x.size(0)}, kDouble)));
    EXPECT_NEAR(family->kl(q).item<double>(), 0, 1e-12) << c.name;
    ASSERT_EQ(q.size(), family->parameter_names().size());
    for (const auto& p : q) EXPECT_EQ(p.size(0), 2) << c.name;
  }
}

// One component without rows stays at the prior beside one that has all, with KLs that add up.
TEST(Conjugate, TakesRowsInPieces) {
  for (const Case& c : cases()) {
    const auto family = conjugate_family(c.law, c.options, c.prior);
    const auto w = Noise(7).uniform({2, c.x.size(0)}, kDouble);
    const auto whole = family->fit(family->statistics(c.x, w));
    const auto pieces =
        family->fit(family->merge(family->statistics(c.x.narrow(0, 0, 4), w.narrow(1, 0, 4)),
                                  family->statistics(c.x.narrow(0, 4, 5), w.narrow(1, 4, 5))));
    const auto twice = family->fit(family->scale(family->statistics(c.x, w), 2));
    const auto doubled = family->fit(family->statistics(c.x, 2 * w));
    for (size_t j = 0; j < whole.size(); ++j) {
      EXPECT_TRUE(at::allclose(pieces[j], whole[j], 1e-12, 1e-12)) << c.name;
      EXPECT_TRUE(at::allclose(twice[j], doubled[j], 1e-12, 1e-12)) << c.name;
    }
    EXPECT_GE(family->kl(whole).item<double>(), 0) << c.name;
    EXPECT_LE(family->log_gap(whole).max().item<double>(), 0) << c.name;
  }
}

TEST(Conjugate, AgreesWithTheRegistrysDivergences) {
  const auto all = cases();
  const auto fitted = [&](const Case& c) {
    const auto family = conjugate_family(c.law, c.options, c.prior);
    auto q = family->fit(family->statistics(c.x, at::ones({1, c.x.size(0)}, kDouble)));
    return std::pair(family->kl(q).item<double>(), q);
  };
  const auto [full, g] = fitted(all[0]);
  // Of the precision; the mean's is a Gaussian's given it, at its expectation.
  const auto root = g[1][0] * g[3][0].sqrt();
  const auto scatter = root.matmul(root.t());
  const auto df0 = at::full({}, all[0].prior.df, kDouble);
  const auto wishart = kl_divergence(Wishart::from_precision(g[3][0], scatter),
                                     Wishart::from_precision(df0, all[0].prior.covariance));
  const auto beta = g[2][0];
  const double beta0 = all[0].prior.mean_precision;
  const auto means =
      kl_divergence(MultivariateNormal(g[0][0], g[1][0] / beta.sqrt()),
                    MultivariateNormal(all[0].prior.loc, g[1][0] / std::sqrt(beta0)));
  EXPECT_NEAR(full, (wishart + means).item<double>(), 1e-10 * full);

  const auto [bernoulli, b] = fitted(all[5]);
  const auto a0 = at::full({}, 0.4, kDouble);
  EXPECT_NEAR(bernoulli, kl_divergence(Beta(b[0], b[1]), Beta(a0, a0)).sum().item<double>(),
              1e-10 * bernoulli);
  const auto [poisson, r] = fitted(all[6]);
  const auto shape = at::full({3}, 1.7, kDouble);
  EXPECT_NEAR(
      poisson,
      kl_divergence(Gamma(r[0], r[1]), Gamma(shape, 1.7 / all[6].prior.loc)).sum().item<double>(),
      1e-10 * poisson);
  const auto [categorical, k] = fitted(all[7]);
  EXPECT_NEAR(
      categorical,
      kl_divergence(Dirichlet(k[0]), Dirichlet(at::full({4}, 0.4, kDouble))).sum().item<double>(),
      1e-10 * categorical);
}

// Numbers, as the weights of a mixture are: no event.
TEST(Conjugate, TakesNumbers) {
  const auto normal = conjugate_family("Normal", {}, {});
  const auto x = at::tensor({1., 2., 6.}, kDouble);
  const auto q = normal->fit(normal->statistics(x, at::ones({1, 3}, kDouble)));
  EXPECT_EQ(q[0].sizes(), at::IntArrayRef({1}));
  EXPECT_NEAR(q[0][0].item<double>(), 9.0 / 4, 1e-12);  // the prior's mean 0 counts as a row
  EXPECT_EQ(normal->predictive(q)->batch_shape(), std::vector<int64_t>{1});
  const auto weights = conjugate_family("Categorical", {.num_categories = 3}, {.concentration = 2});
  const auto values = at::arange(3, kDouble);
  const auto a = weights->fit(
      weights->statistics(values, at::tensor({4., 0., 1.}).to(at::kDouble).view({1, 3})));
  EXPECT_TRUE(a[0].equal(at::tensor({6., 2., 3.}, kDouble).view({1, 3})));
}

TEST(Conjugate, SaysWhatIsWrong) {
  EXPECT_THROW((void)conjugate_family("Gamma", {}, {}), ConfigError);
  EXPECT_THROW((void)conjugate_family("Normal", {}, {.concentration = 0}), ConfigError);
  EXPECT_THROW((void)conjugate_family("Normal", {}, {.mean_precision = 0}), ConfigError);
  EXPECT_THROW((void)conjugate_family("Normal", {}, {.df = -1}), ConfigError);
  EXPECT_THROW((void)conjugate_family("MultivariateNormal", {.event_shape = {3}}, {.df = 2}),
               ConfigError);
  const auto normal = conjugate_family("Normal", {}, {});
  EXPECT_THROW(
      (void)normal->fit(normal->statistics(at::full({2}, NAN, kDouble), at::ones({1, 2}, kDouble))),
      NumericError);
}

}  // namespace
}  // namespace elbo
