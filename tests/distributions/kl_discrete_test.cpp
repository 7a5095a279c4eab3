#include "distributions/kl_pairs.h"
#include "elbo/distributions/binomial.h"
#include "elbo/distributions/discretized_logistic.h"
#include "elbo/distributions/geometric.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/zero_inflated_negative_binomial.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kSumTolerance = 1e-10;

Family coin(double q, double p) {
  return {[](const Tensors& v) { return std::make_shared<Bernoulli>(v[0], Validate::kNo); },
          {q},
          {p},
          {}};
}

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      coin(0.3, 0.45),
      family<Binomial>({7, 0.35}, {7, 0.6}, {}),
      family<Poisson>({2.3}, {3.1}, {}),
      family<Geometric>({0.35}, {0.2}, {}),
      family<NegativeBinomial>({1, 0.45}, {1, 0.6}, {}),
      family<ZeroInflatedNegativeBinomial>({0.2, 2.5, 0.4}, {0.3, 1.5, 0.5}, {}),
      family<DiscretizedLogistic>({3.2, 1.1, 8}, {4.1, 1.7, 8}, {}),
  };
  return all;
}

double log_mass(const Distribution& law, double k) {
  // A coin's log_prob takes grey values.
  if (law.name() == "Bernoulli" && k > 1) return -INFINITY;
  return law.log_prob(scalar(k)).item<double>();
}

double enumeration(const Distribution& q, const Distribution& p) {
  double sum = 0;
  for (double k = 0; k < 300; ++k) {
    const double log_q = log_mass(q, k), log_p = log_mass(p, k);
    if (std::exp(log_q) > 0) sum += std::exp(log_q) * (log_q - log_p);
  }
  return sum;
}

size_t for_registered(const std::function<void(const Family&, const Family&, const Distribution&,
                                               const Distribution&, double)>& visit) {
  size_t count = 0;
  for (const Family& a : families())
    for (const Family& b : families()) {
      const auto q = a.make(scalars(a.q)), p = b.make(scalars(b.p));
      const auto kl = try_kl_divergence(*q, *p);
      if (!kl) continue;
      ++count;
      visit(a, b, *q, *p, kl->item<double>());
    }
  return count;
}

TEST(KlDiscrete, EveryPairAgreesWithEnumeration) {
  double worst = 0;
  const size_t count = for_registered(
      [&](const Family&, const Family&, const Distribution& q, const Distribution& p, double kl) {
        const double truth = enumeration(q, p);
        if (std::isinf(truth)) {
          EXPECT_EQ(kl, truth) << q.name() << " " << p.name();
          return;
        }
        worst = std::max(worst, std::abs(kl - truth));
        EXPECT_NEAR(kl, truth, kSumTolerance) << q.name() << " " << p.name();
        EXPECT_GT(std::abs(1.001 * kl + 1e-6 - truth), kSumTolerance) << "a planted error";
      });
  if (std::getenv("ELBO_PRINT_WORST") != nullptr)
    std::cout << "worst KL " << worst << " of " << count << "\n";
  EXPECT_EQ(count, 38U);
}

TEST(KlDiscrete, GradientsAgreeWithDifferences) {
  for_registered([&](const Family& a, const Family& b, const Distribution& q, const Distribution& p,
                     double kl) {
    if (std::isinf(kl)) return;
    // Counts have no gradient: they are held.
    const auto split = [](const Family& f) { return f.q.size(); };
    const auto is_count = [](const std::string& law, size_t i) {
      return (law == "Binomial" && i == 0) || (law == "DiscretizedLogistic" && i == 2) ||
             (law == "NegativeBinomial" && i == 0);
    };
    Tensors inputs;
    for (size_t i = 0; i < a.q.size(); ++i)
      if (!is_count(q.name(), i)) inputs.push_back(scalar(a.q[i]));
    for (size_t i = 0; i < b.p.size(); ++i)
      if (!is_count(p.name(), i)) inputs.push_back(scalar(b.p[i]));
    const auto error = gradient_error(
        [&](const Tensors& in) {
          size_t next = 0;
          Tensors left, right;
          for (size_t i = 0; i < split(a); ++i)
            left.push_back(is_count(q.name(), i) ? scalar(a.q[i]) : in[next++]);
          for (size_t i = 0; i < split(b); ++i)
            right.push_back(is_count(p.name(), i) ? scalar(b.p[i]) : in[next++]);
          return kl_divergence(*a.make(left), *b.make(right));
        },
        inputs);
    EXPECT_LE(error, kGradientTolerance) << q.name() << " " << p.name();
  });
}

constexpr int64_t kPairs = 10'000;
at::Tensor positive(const char* site) {
  return Noise(31).site(site).normal({kPairs}, at::TensorOptions(at::kDouble)).exp();
}
at::Tensor unit(const char* site) { return Noise(31).site(site).uniform({kPairs}, at::kDouble); }

TEST(KlDiscrete, OfALawWithItselfIsZero) {
  const auto expect_zero = [](const Distribution& law) {
    EXPECT_LE(kl_divergence(law, law).abs().max().item<double>(), 1e-12) << law.name();
  };
  const auto edges = at::tensor({0.0, 0.3, 1.0}, at::kDouble);
  expect_zero(Binomial(positive("n").ceil(), unit("p")));
  expect_zero(Binomial(scalar(4), edges));
  expect_zero(Poisson(positive("r")));
  expect_zero(Poisson(edges));
  expect_zero(Geometric(unit("p")));
  expect_zero(Geometric(scalar(1)));
  expect_zero(NegativeBinomial(positive("n"), unit("p")));
  expect_zero(NegativeBinomial(scalar(2), scalar(0)));
  expect_zero(OneHotCategorical(positive("w").view({-1, 5})));
  expect_zero(DiscretizedLogistic(positive("l"), positive("s"), scalar(16)));
}

TEST(KlDiscrete, IsNeverNegative) {
  const auto expect_positive = [](const Distribution& q, const Distribution& p) {
    const auto kl = kl_divergence(q, p);
    EXPECT_GE(kl.min().item<double>(), -1e-12) << q.name() << " " << p.name();
    EXPECT_FALSE(kl.isnan().any().item<bool>()) << q.name() << " " << p.name();
  };
  const auto n = positive("n").ceil();
  expect_positive(Binomial(n, unit("p")), Binomial(n, unit("q")));
  expect_positive(Binomial(n, unit("p")), Binomial(positive("m").ceil(), unit("q")));
  expect_positive(Binomial(n, unit("p")), Poisson(positive("r")));
  expect_positive(Poisson(positive("r")), Poisson(positive("s")));
  expect_positive(Geometric(unit("p")), Geometric(unit("q")));
  expect_positive(NegativeBinomial(n, unit("p")), NegativeBinomial(n, unit("q")));
  expect_positive(NegativeBinomial(scalar(1), unit("p")), Geometric(unit("q")));
  expect_positive(Bernoulli(unit("p")), Poisson(positive("r")));
  expect_positive(Bernoulli(unit("p")), Binomial(n, unit("q")));
  expect_positive(Binomial(n, unit("p")), Bernoulli(unit("q")));
  expect_positive(OneHotCategorical(positive("a").view({-1, 5})),
                  OneHotCategorical(positive("b").view({-1, 5})));
}

TEST(KlDiscrete, CountsThatDiffer) {
  const auto kl = [](const Distribution& q, const Distribution& p) {
    return kl_divergence(q, p).item<double>();
  };
  const Binomial few(scalar(3), scalar(0.4)), many(scalar(9), scalar(0.2));
  EXPECT_NEAR(kl(few, many), enumeration(few, many), kSumTolerance);
  EXPECT_EQ(kl(many, few), INFINITY);
  // One that never succeeds has its only draw in common.
  const Binomial never(scalar(9), scalar(0));
  EXPECT_NEAR(kl(never, few), -3 * std::log1p(-0.4), kSumTolerance);
  const Poisson silent(scalar(0));
  EXPECT_NEAR(kl(silent, few), -3 * std::log1p(-0.4), kSumTolerance);
  EXPECT_EQ(kl(Poisson(scalar(2)), few), INFINITY);
  EXPECT_EQ(kl(Poisson(scalar(2)), silent), INFINITY);
  EXPECT_EQ(kl(Binomial(scalar(2), scalar(0.5)), Bernoulli(scalar(0.5))), INFINITY);
  EXPECT_EQ(kl(Geometric(scalar(0.5)), Geometric(scalar(1))), INFINITY);
  // Negative binomial laws of unlike counts have no closed form.
  const NegativeBinomial two(scalar(2), scalar(0.4)), three(scalar(3), scalar(0.4));
  EXPECT_FALSE(try_kl_divergence(two, three).has_value());
  EXPECT_THROW((void)kl_divergence(two, three), UnsupportedError);
}

TEST(KlDiscrete, OneHotIsCategorical) {
  const auto a = at::tensor({0.1, 0.0, 2.0, 1.0}, at::kDouble);
  const auto b = at::tensor({0.5, 1.0, 0.3, 1.0}, at::kDouble);
  const auto kl = kl_divergence(OneHotCategorical(a), OneHotCategorical(b));
  EXPECT_NEAR(kl.item<double>(), kl_divergence(Categorical(a), Categorical(b)).item<double>(),
              1e-14);
  EXPECT_EQ(kl_divergence(OneHotCategorical(b), OneHotCategorical(a)).item<double>(), INFINITY);
  EXPECT_EQ(
      kl_divergence(OneHotCategorical(at::ones({2, 1, 3})), OneHotCategorical(at::ones({4, 3})))
          .sizes(),
      at::IntArrayRef({2, 4}));
}

TEST(KlDiscrete, GradientsAreFiniteWhereAProbabilityIsZero) {
  const auto probs = at::tensor({0.0, 0.4, 1.0}, at::kDouble).requires_grad_();
  const auto rates = at::tensor({0.0, 1.5}, at::kDouble).requires_grad_();
  const auto other = scalar(0.3).requires_grad_();
  (kl_divergence(Binomial(scalar(3), probs), Binomial(scalar(3), other)).sum() +
   kl_divergence(OneHotCategorical(probs), OneHotCategorical(probs.detach() + 1)).sum() +
   kl_divergence(Poisson(rates), Poisson(other)).sum())
      .backward();
  EXPECT_TRUE(probs.grad().isfinite().all().item<bool>()) << probs.grad();
  EXPECT_TRUE(rates.grad().isfinite().all().item<bool>()) << rates.grad();
  EXPECT_TRUE(other.grad().isfinite().item<bool>());
}

}  // namespace
}  // namespace elbo
