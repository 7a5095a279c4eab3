#include "elbo/distributions/kl.h"

#include "distributions/quadrature.h"
#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kQuadratureTolerance = 1e-10;

Normal normal(double loc, double scale) { return {scalar(loc), scalar(scale)}; }
Uniform uniform(double low, double high) { return {scalar(low), scalar(high)}; }

double kl(const Distribution& q, const Distribution& p) {
  return kl_divergence(q, p).item<double>();
}

/// Integral of q (log q - log p) over [low, high].
double quadrature(const Distribution& q, const Distribution& p, double low, double high) {
  return integral(
      [&](const at::Tensor& x) {
        const auto log_q = q.log_prob(x);
        return log_q.exp() * (log_q - p.log_prob(x));
      },
      low, high);
}

/// Sum of q (log q - log p) over {0, ..., count - 1}.
double enumeration(const Distribution& q, const Distribution& p, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const double log_q = q.log_prob(scalar(static_cast<double>(k))).item<double>();
    const double log_p = p.log_prob(scalar(static_cast<double>(k))).item<double>();
    if (std::isfinite(log_q)) sum += std::exp(log_q) * (log_q - log_p);
  }
  return sum;
}

/// Random parameters: positive, real and in (0, 1), 10^4 of each kind for a pair.
constexpr int64_t kPairs = 10'000;
at::Tensor real(const char* site) {
  return 2 * Noise(31).site(site).normal({kPairs}, at::TensorOptions(at::kDouble));
}
at::Tensor positive(const char* site) { return real(site).exp(); }

TEST(Kl, NormalsAgreeWithQuadrature) {
  for (const auto& [m, s, mu, sigma] :
       {std::tuple{0.0, 1.0, 0.0, 1.0}, {1.3, 0.2, -0.4, 2.0}, {-5.0, 3.0, 1.0, 0.7}}) {
    const auto q = normal(m, s), p = normal(mu, sigma);
    const double truth = quadrature(q, p, m - 14 * s, m + 14 * s);
    EXPECT_NEAR(kl(q, p), truth, kQuadratureTolerance * std::max(1.0, truth));
  }
  EXPECT_GT(std::abs(kl(normal(1, 0.5), normal(0, 1)) -
                     quadrature(normal(0, 1), normal(1, 0.5), -14, 14)),
            1e-3)
      << "a planted exchange of q and p";
}

TEST(Kl, NormalAgainstStandardIsAppendixB) {
  const auto mu = real("mu"), log_var = real("log_var");
  const auto q = Normal::from_log_var(mu, log_var);
  const auto p = Normal::standard({kPairs}, at::kDouble);
  const auto truth = -0.5 * (1 + log_var - mu.square() - log_var.exp());
  EXPECT_TRUE(kl_divergence(q, p).allclose(truth, 1e-12, 1e-12));
}

TEST(Kl, UniformsAgreeWithQuadrature) {
  EXPECT_NEAR(kl(uniform(0.5, 2), uniform(-1, 4)),
              quadrature(uniform(0.5, 2), uniform(-1, 4), 0.5, 2), kQuadratureTolerance);
  EXPECT_EQ(kl(uniform(0, 2), uniform(0.5, 3)), INFINITY);
  EXPECT_EQ(kl(uniform(0, 2), uniform(-1, 1.5)), INFINITY);
}

TEST(Kl, UniformAgainstNormalAgreesWithQuadrature) {
  EXPECT_NEAR(kl(uniform(-1, 4), normal(0.5, 1.7)),
              quadrature(uniform(-1, 4), normal(0.5, 1.7), -1, 4), kQuadratureTolerance);
  EXPECT_EQ(kl(normal(0, 1), uniform(-50, 50)), INFINITY);
}

TEST(Kl, DiscreteAgreeWithEnumeration) {
  for (const auto& [a, b] : {std::pair{0.3, 0.8}, {1e-9, 0.5}, {1 - 1e-6, 0.1}}) {
    const Bernoulli q(scalar(a)), p(scalar(b));
    EXPECT_NEAR(kl(q, p), enumeration(q, p, 2), kQuadratureTolerance);
  }
  const Categorical q(at::tensor({0.1, 0.0, 2.0, 1.0}, at::kDouble));
  const Categorical p(at::tensor({0.5, 1.0, 0.3, 1.0}, at::kDouble));
  EXPECT_NEAR(kl(q, p), enumeration(q, p, 4), kQuadratureTolerance);
  EXPECT_EQ(kl(p, q), INFINITY) << "q puts weight where p has none";
}

TEST(Kl, OfALawWithItselfIsZero) {
  const auto expect_zero = [](const Distribution& law) {
    EXPECT_LE(kl_divergence(law, law).abs().max().item<double>(), 1e-12) << law.name();
  };
  expect_zero(Normal(real("a"), positive("b")));
  expect_zero(Bernoulli(real("a").sigmoid()));
  expect_zero(Bernoulli(at::tensor({0.0, 1.0}, at::kDouble)));
  expect_zero(Categorical(positive("a").view({-1, 5})));
  expect_zero(Categorical(at::tensor({0.0, 1.0, 1.0}, at::kDouble)));
  expect_zero(Uniform(real("a"), real("a") + positive("b")));
}

TEST(Kl, IsNeverNegative) {
  const auto expect_positive = [](const Distribution& q, const Distribution& p) {
    const auto divergence = kl_divergence(q, p);
    EXPECT_GE(divergence.min().item<double>(), -1e-12) << q.name() << " " << p.name();
    EXPECT_FALSE(divergence.isnan().any().item<bool>()) << q.name() << " " << p.name();
  };
  const auto low = real("a"), width = positive("b");
  expect_positive(Normal(real("a"), positive("b")), Normal(real("c"), positive("d")));
  expect_positive(Bernoulli(real("a").sigmoid()), Bernoulli(real("b").sigmoid()));
  expect_positive(Categorical(at::stack({positive("a"), positive("b"), positive("c")}, -1)),
                  Categorical(at::stack({positive("d"), positive("e"), positive("f")}, -1)));
  expect_positive(Uniform(low, low + width),
                  Uniform(low - positive("c"), low + width + positive("d")));
  expect_positive(Uniform(low, low + width), Normal(real("c"), positive("d")));
  expect_positive(Normal(real("a"), positive("b")), Uniform(low, low + width));
}

TEST(Kl, SumsTheEventAndNotTheBatch) {
  const Normal q(at::arange(6, at::kDouble).view({2, 3}), at::ones({2, 3}, at::kDouble));
  const Normal p(at::zeros({3}, at::kDouble), at::full({3}, 2.0, at::kDouble));
  const auto cells = kl_divergence(q, p);
  EXPECT_EQ(cells.sizes(), at::IntArrayRef({2, 3}));
  const auto rows = kl_divergence(q.to_event(1), p.to_event(1));
  EXPECT_TRUE(rows.allclose(cells.sum(-1)));
  EXPECT_EQ(rows.sizes(), at::IntArrayRef({2}));
}

TEST(Kl, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {scalar(0.3), scalar(0.8), scalar(-0.5), scalar(1.4)};
  const auto normals = [](const std::vector<at::Tensor>& in) {
    return kl_divergence(Normal(in[0], in[1]), Normal(in[2], in[3]));
  };
  EXPECT_LE(gradient_error(normals, inputs), kGradientTolerance);
  const auto coins = [](const std::vector<at::Tensor>& in) {
    return kl_divergence(Bernoulli(in[0]), Bernoulli(in[1]));
  };
  EXPECT_LE(gradient_error(coins, {scalar(0.3), scalar(0.8)}), kGradientTolerance);
}

TEST(Kl, UnregisteredPairsThrow) {
  const Bernoulli coin(scalar(0.5));
  EXPECT_FALSE(try_kl_divergence(coin, normal(0, 1)).has_value());
  try {
    (void)kl_divergence(coin, normal(0, 1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no closed form for Bernoulli against Normal"),
              std::string::npos)
        << error.what();
  }
  const auto q = Normal(at::zeros({3}), at::ones({3}));
  EXPECT_THROW((void)kl_divergence(q.to_event(1), q), Error);
}

/// A law that only this test knows.
class Point final : public DistributionBase<Point> {
 public:
  Point() : DistributionBase({}, {}) {}
  std::string name() const override { return "Point"; }
  at::Tensor log_prob(const at::Tensor& x) const override { return at::zeros_like(x); }
  DistributionPtr expand(at::IntArrayRef) const override { return clone(); }
};

TEST(Kl, TakesFormsFromUsers) {
  EXPECT_FALSE(try_kl_divergence(Point(), normal(0, 1)).has_value());
  register_kl<Point, Normal>(+[](const Point&, const Normal& p) { return p.loc() + 7; });
  EXPECT_EQ(kl(Point(), normal(1, 1)), 8);
}

TEST(Densities, IntegrateToOne) {
  const auto mass = [](const Distribution& law, double low, double high) {
    return integral([&](const at::Tensor& x) { return law.log_prob(x).exp(); }, low, high);
  };
  EXPECT_NEAR(mass(normal(1.2, 0.4), 1.2 - 14 * 0.4, 1.2 + 14 * 0.4), 1, kQuadratureTolerance);
  EXPECT_NEAR(mass(uniform(-1, 4), -1, 4), 1, kQuadratureTolerance);
}

}  // namespace
}  // namespace elbo
