#include "elbo/distributions/transformed_distribution.h"

#include "distributions/table.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/gompertz.h"

namespace elbo {
namespace {

using namespace testing;
using Kind = Constraint::Kind;

constexpr double kInf = std::numeric_limits<double>::infinity();

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }

TransformedDistribution log_normal(const at::Tensor& loc, const at::Tensor& scale) {
  return {Normal(loc, scale).clone(), {bijections::exp()}};
}

TEST(TransformedDistribution, ExpOfNormalIsLogNormal) {
  const double loc = 0.7, scale = 1.6;
  const auto law = log_normal(scalar(loc), scalar(scale));
  EXPECT_EQ(law.name(), "TransformedDistribution(Normal, Exp)");
  for (const double x : {1e-250, 1e-3, 0.5, 1.0, 7.0, 1e5, 1e200}) {
    const double t = (std::log(x) - loc) / scale;
    const double log_prob =
        -0.5 * t * t - std::log(x) - std::log(scale) - 0.5 * std::log(2 * std::numbers::pi);
    EXPECT_PRED2(close, law.log_prob(scalar(x)).item<double>(), log_prob);
    EXPECT_PRED2(close, law.cdf(scalar(x)).item<double>(),
                 0.5 * std::erfc(-t / std::numbers::sqrt2));
    EXPECT_PRED2(close, law.log_cdf(scalar(x)).item<double>(), math::log_ndtr(t));
  }
  for (const double u : {1e-20, 0.01, 0.5, 0.99})
    EXPECT_PRED2(close, law.icdf(scalar(u)).item<double>(), std::exp(loc + scale * math::ndtri(u)));
}

TEST(TransformedDistribution, IsNothingOutsideTheImage) {
  const auto law = log_normal(scalar(0), scalar(1));
  for (const double x : {0.0, -1.0, -kInf}) {
    EXPECT_EQ(law.log_prob(scalar(x)).item<double>(), -kInf);
    EXPECT_EQ(law.cdf(scalar(x)).item<double>(), 0);
    EXPECT_EQ(law.log_cdf(scalar(x)).item<double>(), -kInf);
    EXPECT_EQ(law.log_survival(scalar(x)).item<double>(), 0);
  }
  EXPECT_EQ(law.log_prob(scalar(kInf)).item<double>(), -kInf);
  EXPECT_EQ(law.cdf(scalar(kInf)).item<double>(), 1);
  EXPECT_TRUE(std::isnan(law.log_prob(scalar(NAN)).item<double>()));
  EXPECT_TRUE(std::isnan(law.cdf(scalar(NAN)).item<double>()));

  // 1 - e^u lies below 1: of one bijection's image the next takes a part.
  const TransformedDistribution down(
      Normal(scalar(0), scalar(1)).clone(),
      {bijections::exp(), bijections::affine(scalar(1), scalar(-1))});
  EXPECT_EQ(down.log_prob(scalar(1)).item<double>(), -kInf);
  EXPECT_EQ(down.cdf(scalar(1)).item<double>(), 1);
  EXPECT_EQ(down.cdf(scalar(2)).item<double>(), 1);
  EXPECT_EQ(down.log_survival(scalar(2)).item<double>(), -kInf);
  EXPECT_PRED2(close, down.cdf(scalar(0)).item<double>(), 0.5);

  // The closed interval's ends have no u either.
  const TransformedDistribution unit(Normal(scalar(0), scalar(1)).clone(), {bijections::sigmoid()});
  for (const double x : {-0.5, 0.0, 1.0, 1.5})
    EXPECT_EQ(unit.log_prob(scalar(x)).item<double>(), -kInf);

  const TransformedDistribution simplex(
      Normal(at::zeros({2}, at::kDouble), at::ones({2}, at::kDouble)).clone(),
      {bijections::stick_breaking()});
  const auto x = vector({0.2, 0.3, 0.5, 0.2, 0.3, 0.6, 1, 0, 0, 0.2, NAN, 0.5}).view({4, 3});
  const auto got = simplex.log_prob(x);
  EXPECT_PRED2(close, got[0].item<double>(), simplex.log_prob(x[0]).item<double>());
  EXPECT_EQ(got[1].item<double>(), -kInf);
  EXPECT_EQ(got[2].item<double>(), -kInf);
  EXPECT_TRUE(std::isnan(got[3].item<double>()));
}

TEST(TransformedDistribution, GradientsOutsideTheImageAreNotNan) {
  const auto loc = scalar(0.3).requires_grad_(), scale = scalar(2).requires_grad_();
  const auto x = vector({-1, 0, 0.5, 3});
  const auto inside = vector({0.5, 3});
  for (const auto method : {&Distribution::log_prob, &Distribution::cdf}) {
    const auto at = [&](const at::Tensor& v) {
      loc.mutable_grad().reset();
      scale.mutable_grad().reset();
      const DistributionPtr law = log_normal(loc, scale).clone();
      const auto y = ((*law).*method)(v);
      y.masked_fill(y.isfinite().logical_not(), 0).sum().backward();
      return at::stack({loc.grad(), scale.grad()});
    };
    EXPECT_TRUE(at(x).allclose(at(inside), 1e-13, 1e-13));
  }
}

TEST(TransformedDistribution, DecreasingBijectionsSwapTheTails) {
  // 1 / x of a Gamma law: the inverse gamma law.
  const double a = 2.5, b = 1.5;
  const TransformedDistribution law(Gamma(scalar(a), scalar(b)).clone(),
                                    {bijections::power(scalar(-1))});
  for (const double x : {1e-2, 0.3, 1.0, 4.0, 1e6}) {
    EXPECT_PRED2(close, law.log_prob(scalar(x)).item<double>(),
                 a * std::log(b) - std::lgamma(a) - (a + 1) * std::log(x) - b / x);
    EXPECT_PRED2(close, law.cdf(scalar(x)).item<double>(), math::gamma_q(a, b / x));
    EXPECT_PRED2(close, law.log_cdf(scalar(x)).item<double>(), math::log_gamma_q(a, b / x));
    EXPECT_PRED2(close, law.log_survival(scalar(x)).item<double>(), math::log_gamma_p(a, b / x));
  }
  for (const double u : {0.01, 0.3, 0.9})
    EXPECT_PRED2(close, law.cdf(law.icdf(scalar(u))).item<double>(), u);
  EXPECT_EQ(law.cdf(scalar(-1)).item<double>(), 0);

  // One element increases, the other does not.
  const TransformedDistribution mixed(Gamma(scalar(a), scalar(b)).clone(),
                                      {bijections::affine(scalar(0), vector({2, -2}))});
  EXPECT_EQ(mixed.batch_shape(), (std::vector<int64_t>{2}));
  const auto cdf = mixed.cdf(vector({3, -3}));
  EXPECT_PRED2(close, cdf[0].item<double>(), math::gamma_p(a, 1.5 * b));
  EXPECT_PRED2(close, cdf[1].item<double>(), math::gamma_q(a, 1.5 * b));
  EXPECT_TRUE(mixed.cdf(mixed.icdf(vector({0.2, 0.7}))).allclose(vector({0.2, 0.7}), 1e-10, 1e-12));
}

TEST(TransformedDistribution, EventsTakeTheDimensionsThatAnythingNeeds) {
  using namespace bijections;
  const auto normal = [](std::vector<int64_t> shape) {
    return Normal(at::zeros(shape, at::kDouble), at::ones(shape, at::kDouble));
  };
  struct Shapes {
    DistributionPtr base;
    std::vector<BijectionPtr> f;
    std::vector<int64_t> batch, event;
  };
  const auto ones = at::ones({3}, at::kDouble);
  const Shapes all[] = {
      {normal({4, 3}).clone(), {}, {4, 3}, {}},
      {normal({4, 3}).clone(), {exp()}, {4, 3}, {}},
      {normal({4, 3}).to_event(1).clone(), {exp()}, {4}, {3}},
      {normal({4, 3}).clone(), {stick_breaking()}, {4}, {4}},
      {normal({4, 3}).to_event(2).clone(), {stick_breaking()}, {}, {4, 4}},
      {normal({4, 3}).clone(), {exp(), stick_breaking(), inverse_of(sigmoid())}, {4}, {4}},
      {normal({4, 6}).clone(), {corr_cholesky()}, {4}, {4, 4}},
      {normal({4, 6}).to_event(1).clone(), {positive_definite()}, {4}, {3, 3}},
      {normal({}).clone(), {affine(ones, ones)}, {3}, {}},
      {normal({2, 1}).clone(), {affine(ones, ones)}, {2, 3}, {}},
      {normal({1}).clone(), {affine(ones, ones, 1)}, {}, {3}},
  };
  for (const auto& row : all) {
    const TransformedDistribution law(row.base, row.f);
    EXPECT_EQ(law.batch_shape(), row.batch) << law.name();
    EXPECT_EQ(law.event_shape(), row.event) << law.name();
    const auto x = law.sample(Noise(1), {5});
    std::vector<int64_t> full = {5};
    full.insert(full.end(), row.batch.begin(), row.batch.end());
    EXPECT_EQ(law.log_prob(x).sizes(), at::IntArrayRef(full)) << law.name();
    full.insert(full.end(), row.event.begin(), row.event.end());
    EXPECT_EQ(x.sizes(), at::IntArrayRef(full)) << law.name();
    EXPECT_TRUE(law.rsample(Noise(1), {5}).equal(x)) << law.name();
    EXPECT_TRUE(law.has_rsample());

    auto wide = row.batch;
    wide.insert(wide.begin(), 7);
    const auto expanded = law.expand(wide);
    EXPECT_EQ(expanded->batch_shape(), wide) << law.name();
    EXPECT_EQ(expanded->event_shape(), row.event) << law.name();
    EXPECT_TRUE(expanded->log_prob(x[0])[6].allclose(law.log_prob(x[0]), 1e-14, 1e-14));
    EXPECT_EQ(law.clone()->event_shape(), row.event);
  }
}

TEST(TransformedDistribution, DensityIsTheBasesOverTheJacobian) {
  using namespace bijections;
  const auto base = Normal(vector({0.1, -0.5, 0.7}), vector({0.5, 1, 1.5}));
  for (const auto& f : {stick_breaking(), ordered(), lower_cholesky(), corr_cholesky(),
                        positive_definite(Diagonal::kSoftplus)}) {
    const TransformedDistribution law(base.clone(), {affine(scalar(0.2), scalar(-1.5)), f});
    const auto u = base.sample(Noise(3), {4});
    const auto v = 0.2 - 1.5 * u;
    const auto expected =
        (base.log_prob(u) - std::log(1.5)).sum(-1) - f->log_abs_det_jacobian(v, f->forward(v));
    EXPECT_TRUE(law.log_prob(f->forward(v)).allclose(expected, 1e-10, 1e-10)) << f->name();
    EXPECT_EQ(law.support().kind(), f->codomain().kind());
    EXPECT_TRUE(law.support().check(law.sample(Noise(4), {50})).all().item<bool>()) << f->name();
  }
}

TEST(TransformedDistribution, SupportIsTheImageOfTheBases) {
  using namespace bijections;
  const auto gamma = Gamma(scalar(2), scalar(3)).clone();  // on the positive numbers
  const auto support = [&](std::vector<BijectionPtr> f) {
    return TransformedDistribution(gamma, std::move(f)).support();
  };
  EXPECT_EQ(support({}).kind(), Kind::kPositive);
  EXPECT_EQ(support({power(scalar(3))}).kind(), Kind::kPositive);
  EXPECT_EQ(support({power(scalar(-3))}).kind(), Kind::kPositive);
  EXPECT_EQ(support({inverse_of(exp())}).kind(), Kind::kReal);
  EXPECT_EQ(support({inverse_of(exp()), sigmoid()}).kind(), Kind::kUnitInterval);
  const auto shifted = support({affine(scalar(1), scalar(2))});
  EXPECT_EQ(shifted.kind(), Kind::kAtLeast);
  EXPECT_EQ(shifted.lower().item<double>(), 1);
  const auto mirrored = support({affine(scalar(1), scalar(-2))});
  EXPECT_EQ(mirrored.kind(), Kind::kInterval);
  EXPECT_EQ(mirrored.lower().item<double>(), -kInf);
  EXPECT_EQ(mirrored.upper().item<double>(), 1);
  const auto between = support({affine(scalar(2), scalar(3)), power(scalar(-1))});
  EXPECT_EQ(between.kind(), Kind::kInterval);
  EXPECT_EQ(between.lower().item<double>(), 0);
  EXPECT_EQ(between.upper().item<double>(), 0.5);
  EXPECT_EQ(support({affine(scalar(0), scalar(-1)), exp()}).kind(), Kind::kUnitInterval);
}

TEST(TransformedDistribution, GradientsAgreeWithDifferences) {
  using namespace bijections;
  const std::vector<at::Tensor> inputs = {vector({0.2, -0.7, 1.1}), vector({0.5, 1.3, 0.9}),
                                          vector({0.2, 0.9, 0.4}), vector({1.5, 0.6, 2.5})};
  const auto made = [](const auto& in) {
    return TransformedDistribution(Normal(in[0], in[1]).clone(), {affine(in[2], in[3]), exp()});
  };
  const auto x = vector({0.5, 1.7, 4.0});
  const TensorFunction functions[] = {
      [&](const auto& in) { return made(in).log_prob(x); },
      [&](const auto& in) { return made(in).cdf(x); },
      [&](const auto& in) { return made(in).log_cdf(x); },
      [&](const auto& in) {
        return made(in).icdf(vector({0.1, 0.5, 0.8}));
      },
      [&](const auto& in) { return made(in).rsample(Noise(2), {3}); },
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
  EXPECT_LE(gradient_error([&](const auto& in) { return made(inputs).log_prob(in[0]); }, {x}),
            kGradientTolerance);
}

TEST(TransformedDistribution, RejectsWhatHasNoImage) {
  using namespace bijections;
  EXPECT_THROW(TransformedDistribution(Bernoulli(scalar(0.5)).clone(), {exp()}), ConfigError);
  EXPECT_THROW(TransformedDistribution(Normal(scalar(0), scalar(1)).clone(), {stick_breaking()}),
               ShapeError);
  const auto base = Normal(at::zeros({5}, at::kDouble), at::ones({5}, at::kDouble));
  EXPECT_THROW(TransformedDistribution(base.clone(), {lower_cholesky()}), ShapeError);
  const TransformedDistribution law(base.clone(), {stick_breaking()});
  EXPECT_THROW((void)law.log_prob(at::full({5}, 0.2, at::kDouble)), ShapeError);
  EXPECT_THROW((void)law.log_prob(scalar(0.2)), ShapeError);
  EXPECT_THROW((void)law.cdf(at::full({6}, 0.2, at::kDouble)), UnsupportedError);
  EXPECT_THROW((void)law.icdf(scalar(0.2)), UnsupportedError);
  EXPECT_THROW((void)law.mean(), UnsupportedError);
}

}  // namespace
}  // namespace elbo
