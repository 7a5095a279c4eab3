#include "distributions/multivariate.h"
#include "elbo/distributions/beta.h"
#include "elbo/distributions/dirichlet.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/lkj_cholesky.h"
#include "elbo/distributions/logistic.h"
#include "elbo/distributions/low_rank_multivariate_normal.h"
#include "elbo/distributions/multinomial.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/transformed_distribution.h"
#include "elbo/distributions/wishart.h"

namespace elbo {
namespace {

using namespace testing;
using Tensors = std::vector<at::Tensor>;

constexpr double kTolerance = 1e-10;

at::Tensor noise(const char* site, at::IntArrayRef shape) {
  return Noise(17).site(site).normal(shape, at::TensorOptions(at::kDouble));
}
at::Tensor tril(const char* site, at::IntArrayRef shape) {
  return tril_of(0.5 * noise(site, shape));
}
at::Tensor positive(const char* site, at::IntArrayRef shape) { return noise(site, shape).exp(); }

double kl(const Distribution& q, const Distribution& p) {
  return kl_divergence(q, p).item<double>();
}

/// The definition, with inverses and determinants.
double kl_of_normals(const at::Tensor& m, const at::Tensor& s, const at::Tensor& n,
                     const at::Tensor& t) {
  const auto inverse = at::linalg_inv(t);
  const auto shift = m - n;
  const auto d = static_cast<double>(m.size(-1));
  return 0.5 *
         (inverse.matmul(s).trace().item<double>() + shift.dot(inverse.mv(shift)).item<double>() -
          d + (at::linalg_det(t).log() - at::linalg_det(s).log()).item<double>());
}

constexpr int64_t kDim = 4;

struct Normals {
  MultivariateNormal full;
  LowRankMultivariateNormal low;
  Normal cells;
  Independent vector = cells.to_event(1);
};
Normals normals(const std::string& site) {
  const auto s = [&](const char* part) { return site + part; };
  return {MultivariateNormal(noise(s("m").c_str(), {kDim}), tril(s("L").c_str(), {kDim, kDim})),
          LowRankMultivariateNormal(noise(s("n").c_str(), {kDim}), noise(s("W").c_str(), {kDim, 2}),
                                    positive(s("D").c_str(), {kDim})),
          Normal(noise(s("i").c_str(), {kDim}), positive(s("s").c_str(), {kDim}))};
}

TEST(KlMultivariate, NormalsAgreeWithTheDefinition) {
  const auto a = normals("a"), b = normals("b");
  const auto covariance = [](const Distribution& law) -> at::Tensor {
    if (const auto* full = dynamic_cast<const MultivariateNormal*>(&law))
      return full->covariance_matrix();
    if (const auto* low = dynamic_cast<const LowRankMultivariateNormal*>(&law))
      return low->covariance_matrix();
    return law.variance().diag();
  };
  double worst = 0;
  for (const Distribution* q : std::vector<const Distribution*>{&a.full, &a.low, &a.vector})
    for (const Distribution* p : std::vector<const Distribution*>{&b.full, &b.low, &b.vector}) {
      const double truth = kl_of_normals(q->mean(), covariance(*q), p->mean(), covariance(*p));
      const double got = kl(*q, *p);
      worst = std::max(worst, std::abs(got - truth) / std::max(1.0, truth));
      EXPECT_NEAR(got, truth, kTolerance * std::max(1.0, truth)) << q->name() << " " << p->name();
      EXPECT_GT(std::abs(kl(*p, *q) - truth), 1e-3) << "a planted exchange of q and p";
    }
  if (std::getenv("ELBO_PRINT_WORST") != nullptr) std::cout << "worst KL " << worst << "\n";
}

TEST(KlMultivariate, TakesNormalsWhoseLocationBroadcasts) {
  const auto b = normals("b");
  const auto scale = positive("s", {kDim});
  for (const auto& loc : {noise("l", {1}), noise("l", {1})[0]}) {
    const auto narrow = Normal(loc, scale).to_event(1);
    const auto wide = Normal(loc.expand({kDim}).clone(), scale).to_event(1);
    for (const Distribution* p : std::vector<const Distribution*>{&b.full, &b.low}) {
      EXPECT_NEAR(kl(narrow, *p), kl(wide, *p), kTolerance) << p->name();
      EXPECT_NEAR(kl(*p, narrow), kl(*p, wide), kTolerance) << p->name();
    }
  }
}

TEST(KlMultivariate, OneFactorIsTheLawOnTheLine) {
  const auto one = [](double x) { return at::full({1}, x, at::kDouble); };
  const MultivariateNormal q(one(0.3), one(0.7).view({1, 1})), p(one(-1), one(1.9).view({1, 1}));
  EXPECT_NEAR(kl(q, p), kl(Normal(scalar(0.3), scalar(0.7)), Normal(scalar(-1), scalar(1.9))),
              1e-14);
  const auto pair = [](double a, double b) { return at::tensor({a, b}, at::kDouble); };
  EXPECT_NEAR(kl(Dirichlet(pair(2.1, 0.4)), Dirichlet(pair(0.7, 3.3))),
              kl(Beta(scalar(2.1), scalar(0.4)), Beta(scalar(0.7), scalar(3.3))), 1e-13);
  // Wishart over 1 x 1 matrices: Gamma(df / 2, 1 / (2 scale^2)).
  EXPECT_NEAR(
      kl(Wishart(scalar(3.2), one(0.8).view({1, 1})), Wishart(scalar(1.7), one(1.4).view({1, 1}))),
      kl(Gamma(scalar(1.6), scalar(0.5 / 0.64)), Gamma(scalar(0.85), scalar(0.5 / 1.96))), 1e-13);
  // Of 2 x 2 correlations r = 2 b - 1 has b ~ Beta(concentration, concentration).
  EXPECT_NEAR(kl(LKJCholesky(2, scalar(1.3)), LKJCholesky(2, scalar(0.6))),
              kl(Beta(scalar(1.3), scalar(1.3)), Beta(scalar(0.6), scalar(0.6))), 1e-13);
}

TEST(KlMultivariate, DirichletsAndWishartsAreBregmanDivergences) {
  // KL of an exponential family: A(p) - A(q) - (p - q) . grad A(q), by autograd, as torch has it.
  const auto bregman = [](const TensorFunction& log_normaliser, const Tensors& q,
                          const Tensors& p) {
    Tensors leaves;
    for (const auto& x : q) leaves.push_back(x.detach().clone().requires_grad_());
    const auto at_q = log_normaliser(leaves);
    at_q.sum().backward();
    auto out = log_normaliser(p) - at_q.detach();
    for (size_t i = 0; i < q.size(); ++i) out = out - ((p[i] - q[i]) * leaves[i].grad()).sum();
    return out.item<double>();
  };
  const auto a = positive("a", {5}), b = positive("b", {5});
  const auto of_dirichlet = [](const Tensors& c) {
    return c[0].lgamma().sum() - c[0].sum().lgamma();
  };
  EXPECT_NEAR(kl(Dirichlet(a), Dirichlet(b)), bregman(of_dirichlet, {a}, {b}), kTolerance);

  const auto q_tril = tril("q", {3, 3}), p_tril = tril("p", {3, 3});
  const Wishart q(scalar(5.5), q_tril), p(scalar(3.7), p_tril);
  const auto of_wishart = [](const Tensors& c) {  // natural: df, -inverse scale / 2
    return -0.5 * c[0] * std::get<1>(at::linalg_slogdet(-2 * c[1])) +
           0.5 * c[0] * 3 * std::log(2.0) + at::mvlgamma(0.5 * c[0], 3);
  };
  const auto natural = [](const Wishart& law) {
    return Tensors{law.df(), -0.5 * law.precision_matrix()};
  };
  const double truth = bregman(of_wishart, natural(q), natural(p));
  EXPECT_NEAR(kl(q, p), truth, kTolerance * std::max(1.0, truth));
}

TEST(KlMultivariate, MultinomialsAgreeWithEnumeration) {
  const auto a = at::tensor({0.2, 0.5, 0.3}, at::kDouble);
  const auto b = at::tensor({0.6, 0.1, 0.3}, at::kDouble);
  const Multinomial q(4, a), p(4, b);
  double truth = 0;
  for (int i = 0; i <= 4; ++i)
    for (int j = 0; i + j <= 4; ++j) {
      const auto x = at::tensor({1.0 * i, 1.0 * j, 4.0 - i - j}, at::kDouble);
      const double log_q = q.log_prob(x).item<double>();
      truth += std::exp(log_q) * (log_q - p.log_prob(x).item<double>());
    }
  EXPECT_NEAR(kl(q, p), truth, kTolerance);
  EXPECT_EQ(kl(q, Multinomial(5, b)), INFINITY);
}

TEST(KlMultivariate, OfALawWithItselfIsZero) {
  constexpr int64_t kBatch = 100;
  const auto expect_zero = [](const Distribution& law) {
    EXPECT_LE(kl_divergence(law, law).abs().max().item<double>(), 1e-12) << law.name();
  };
  const auto loc = noise("m", {kBatch, kDim});
  expect_zero(MultivariateNormal(loc, tril("L", {kBatch, kDim, kDim})));
  expect_zero(
      LowRankMultivariateNormal(loc, noise("W", {kBatch, kDim, 2}), positive("D", {kBatch, kDim})));
  expect_zero(Dirichlet(positive("c", {kBatch, kDim})));
  expect_zero(Wishart(3 + positive("df", {kBatch}), tril("L", {kBatch, kDim, kDim})));
  expect_zero(LKJCholesky(kDim, positive("e", {kBatch})));
  expect_zero(Multinomial(3, positive("p", {kBatch, kDim})));
}

TEST(KlMultivariate, IsNeverNegativeAndBroadcasts) {
  constexpr int64_t kA = 100, kB = 100;
  const auto expect_positive = [](const Distribution& q, const Distribution& p) {
    const auto divergence = kl_divergence(q, p);
    EXPECT_EQ(divergence.sizes(), at::IntArrayRef({kA, kB})) << q.name() << " " << p.name();
    EXPECT_GE(divergence.min().item<double>(), -1e-12) << q.name() << " " << p.name();
    EXPECT_TRUE(divergence.isfinite().all().item<bool>()) << q.name() << " " << p.name();
    const auto corner = divergence[kA - 1][kB - 2].item<double>();
    EXPECT_NEAR(
        kl_divergence(*q.expand({kA, kB}), *p.expand({kA, kB}))[kA - 1][kB - 2].item<double>(),
        corner, 1e-10 * std::max(1.0, corner));
  };
  const MultivariateNormal q(noise("m", {kA, 1, 3}), tril("L", {kA, 1, 3, 3}));
  const MultivariateNormal p(noise("n", {kB, 3}), tril("M", {kB, 3, 3}));
  const LowRankMultivariateNormal low_q(noise("m", {kA, 1, 3}), noise("W", {kA, 1, 3, 1}),
                                        positive("D", {kA, 1, 3}));
  const LowRankMultivariateNormal low_p(noise("n", {kB, 3}), noise("V", {kB, 3, 2}),
                                        positive("E", {kB, 3}));
  expect_positive(q, p);
  expect_positive(q, low_p);
  expect_positive(low_q, p);
  expect_positive(low_q, low_p);
  expect_positive(Normal(noise("i", {kA, 1, 3}), positive("s", {kA, 1, 3})).to_event(1), p);
  expect_positive(low_q, Normal(noise("j", {kB, 3}), positive("t", {kB, 3})).to_event(1));
  expect_positive(Dirichlet(positive("c", {kA, 1, 3})), Dirichlet(positive("d", {kB, 3})));
  expect_positive(Wishart(2 + positive("x", {kA, 1}), tril("L", {kA, 1, 3, 3})),
                  Wishart(2 + positive("y", {kB}), tril("M", {kB, 3, 3})));
  expect_positive(LKJCholesky(4, positive("e", {kA, 1})), LKJCholesky(4, positive("f", {kB})));
  expect_positive(Multinomial(3, positive("o", {kA, 1, 3})),
                  Multinomial(3, positive("p", {kB, 3})));
}

TEST(KlMultivariate, GradientsAgreeWithDifferences) {
  const auto loc = noise("m", {3}), raw = noise("L", {3, 3}), factor = noise("W", {3, 2});
  const auto diag = positive("D", {3}), scale = positive("s", {3});
  const MultivariateNormal full(noise("n", {3}), tril("M", {3, 3}));
  const LowRankMultivariateNormal low(noise("k", {3}), noise("V", {3, 1}), positive("E", {3}));
  for (const Distribution* other : std::vector<const Distribution*>{&full, &low}) {
    expect_gradients({[&](const Tensors& in) {
                        return kl_divergence(MultivariateNormal(in[0], tril_of(in[1])), *other);
                      },
                      [&](const Tensors& in) {
                        return kl_divergence(*other, MultivariateNormal(in[0], tril_of(in[1])));
                      }},
                     {loc, raw});
    expect_gradients(
        {[&](const Tensors& in) {
           return kl_divergence(LowRankMultivariateNormal(in[0], in[1], in[2]), *other);
         },
         [&](const Tensors& in) {
           return kl_divergence(*other, LowRankMultivariateNormal(in[0], in[1], in[2]));
         }},
        {loc, factor, diag});
    expect_gradients(
        {[&](const Tensors& in) { return kl_divergence(Normal(in[0], in[1]).to_event(1), *other); },
         [&](const Tensors& in) {
           return kl_divergence(*other, Normal(in[0], in[1]).to_event(1));
         }},
        {loc, scale});
  }
  expect_gradients(
      {[](const Tensors& in) { return kl_divergence(Dirichlet(in[0]), Dirichlet(in[1])); }},
      {positive("a", {4}), positive("b", {4})});
  expect_gradients({[](const Tensors& in) {
                     return kl_divergence(Wishart(in[0], tril_of(in[1])),
                                          Wishart(in[2], tril_of(in[3])));
                   }},
                   {scalar(4.2), raw, scalar(2.9), noise("N", {3, 3})});
  expect_gradients({[](const Tensors& in) {
                     return kl_divergence(LKJCholesky(4, in[0]), LKJCholesky(4, in[1]));
                   }},
                   {scalar(1.3), scalar(0.4)});
}

TEST(KlMultivariate, TransformedLawsHaveTheirBasesDivergence) {
  using namespace bijections;
  const auto normal = [](const char* site, at::IntArrayRef shape) {
    return std::make_shared<Normal>(noise(site, shape), positive(site, shape));
  };
  const auto q = normal("q", {2, 3}), p = normal("p", {3});
  const auto cells = kl_divergence(*q, *p);
  for (const auto& make : {exp, softplus, sigmoid, tanh}) {
    const TransformedDistribution a(q, {make()}), b(p, {make()});
    EXPECT_TRUE(kl_divergence(a, b).equal(cells)) << make()->name();
  }
  EXPECT_FALSE(try_kl_divergence(TransformedDistribution(q, {exp()}),
                                 TransformedDistribution(p, {softplus()})));
  EXPECT_FALSE(try_kl_divergence(TransformedDistribution(q, {exp()}),
                                 TransformedDistribution(p, {exp(), softplus()})));
  // Those with parameters are the same where they are one object.
  const auto shared = affine(scalar(1), scalar(2));
  EXPECT_TRUE(
      kl_divergence(TransformedDistribution(q, {shared}), TransformedDistribution(p, {shared}))
          .equal(cells));
  EXPECT_FALSE(try_kl_divergence(TransformedDistribution(q, {affine(scalar(1), scalar(2))}),
                                 TransformedDistribution(p, {affine(scalar(1), scalar(3))})));
  // A map of vectors takes a dimension of the batch.
  const auto rows = kl_divergence(TransformedDistribution(q, {stick_breaking()}),
                                  TransformedDistribution(p, {stick_breaking()}));
  EXPECT_EQ(rows.sizes(), at::IntArrayRef({2}));
  EXPECT_TRUE(rows.allclose(cells.sum(-1)));
  // No closed form of the bases, none of these.
  const auto logistic = std::make_shared<Logistic>(scalar(0), scalar(1));
  EXPECT_FALSE(try_kl_divergence(TransformedDistribution(logistic, {exp()}),
                                 TransformedDistribution(logistic, {exp()})));
}

TEST(KlMultivariate, WhatDoesNotFitIsRefused) {
  const MultivariateNormal three(at::zeros({3}), at::eye(3)), four(at::zeros({4}), at::eye(4));
  EXPECT_THROW((void)kl_divergence(three, four), ShapeError);
  EXPECT_THROW((void)kl_divergence(Dirichlet(at::ones({3})), Dirichlet(at::ones({4}))), ShapeError);
  const Normal cells(at::zeros({2, 3}), at::ones({2, 3}));
  EXPECT_FALSE(try_kl_divergence(cells.to_event(2), three).has_value());
  const Logistic others(at::zeros({3}), at::ones({3}));
  EXPECT_FALSE(try_kl_divergence(others.to_event(1), three).has_value());
  EXPECT_THROW((void)kl_divergence(three, others.to_event(1)), UnsupportedError);
  EXPECT_EQ(kl_divergence(three, three).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace elbo
