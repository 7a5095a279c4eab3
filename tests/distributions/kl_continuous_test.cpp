#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "distributions/kl_pairs.h"
#include "distributions/quadrature.h"
#include "elbo/distributions/beta.h"
#include "elbo/distributions/cauchy.h"
#include "elbo/distributions/chi2.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/erlang.h"
#include "elbo/distributions/exponential.h"
#include "elbo/distributions/fisher_snedecor.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/gompertz.h"
#include "elbo/distributions/gumbel.h"
#include "elbo/distributions/half_cauchy.h"
#include "elbo/distributions/half_normal.h"
#include "elbo/distributions/inverse_gamma.h"
#include "elbo/distributions/kumaraswamy.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/logistic.h"
#include "elbo/distributions/pareto.h"
#include "elbo/distributions/rayleigh.h"
#include "elbo/distributions/reciprocal.h"
#include "elbo/distributions/student_t.h"
#include "elbo/distributions/triangular.h"
#include "elbo/distributions/von_mises.h"
#include "elbo/distributions/weibull.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kQuadratureTolerance = 1e-8;
constexpr double kReach = 36;  // e^-36 of a unit from a mark, and as far beyond

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      family<Normal>({0.3, 0.8}, {-0.2, 1.3}, {0.3}),
      family<Laplace>({-0.4, 0.6}, {0.35, 1.2}, {-0.4}, {0.35}),
      family<Gumbel>({0.2, 0.7}, {-0.1, 1.1}, {0.2}),
      family<Cauchy>({0.1, 0.8}, {-0.3, 1.4}, {0.1}),
      family<Logistic>({-0.2, 0.5}, {0.4, 0.9}, {-0.2}),
      family<StudentT>({5, 0.3, 0.7}, {3, -0.1, 1.2}, {0.3}),
      family<Exponential>({1.7}, {0.8}, {0}),
      family<Gamma>({2.3, 1.9}, {1.6, 1.2}, {0}),
      family<Chi2>({3.1}, {2.4}, {0}),
      family<Erlang>({3, 2.2}, {2, 1.3}, {0}),
      family<Weibull>({0.9, 1.6}, {1.3, 0.3}, {0}),
      family<Rayleigh>({0.8}, {1.2}, {0}),
      family<HalfNormal>({1.1}, {1.5}, {0}),
      family<InverseGamma>({4.2, 2.1}, {2.2, 1.1}, {0}),
      family<LogNormal>({-0.3, 0.5}, {0.2, 0.9}, {0}),
      family<HalfCauchy>({0.7}, {1.3}, {0}),
      family<Gompertz>({0.6, 1.1}, {0.4, 1.6}, {0}),
      family<FisherSnedecor>({4.5, 9}, {3, 7}, {0}),
      family<Pareto>({0.8, 5.2}, {0.2, 1.3}, {0.8}),
      family<Beta>({2.1, 3.2}, {1.4, 1.8}, {0, 1}),
      family<ContinuousBernoulli>({0.3}, {0.6}, {0, 1}),
      family<Kumaraswamy>({1.7, 2.6}, {1.2, 1.5}, {0, 1}),
      family<Uniform>({0.25, 0.85}, {-0.5, 1.5}, {0.25, 0.85}),
      family<Triangular>({0.3, 0.4, 0.8}, {0.1, 0.6, 0.9}, {0.3, 0.4, 0.8}, {0.6}),
      family<Reciprocal>({0.3, 0.8}, {0.1, 3}, {0.3, 0.8}),
      family<VonMises>({0.4, 1.6}, {-0.7, 0.9}, {-M_PI, M_PI}),
  };
  return all;
}

/// Whether q's support ends at its outer marks.
bool bounded_below(const std::string& name) {
  static const std::set<std::string> line = {"Normal", "Laplace",  "Gumbel",
                                             "Cauchy", "Logistic", "StudentT"};
  return !line.contains(name);
}
bool bounded_above(const std::string& name) {
  static const std::set<std::string> both = {"Beta",    "ContinuousBernoulli", "Kumaraswamy",
                                             "Uniform", "Triangular",          "Reciprocal",
                                             "VonMises"};
  return both.contains(name);
}

/// The integral of q (log q - log p), between the marks and beyond them in the logarithm of the
/// distance from the nearest, as far as e^reach. Infinite where p is 0.
double quadrature(const Distribution& q, const Distribution& p, std::vector<double> marks,
                  double reach = kReach) {
  const auto f = [&](const at::Tensor& x) {
    const auto log_q = q.log_prob(x), log_p = p.log_prob(x);
    const auto term = log_q.exp() * (log_q - log_p);
    return at::where(log_q.exp() > 0, term, at::zeros({}, at::kDouble));
  };
  std::sort(marks.begin(), marks.end());
  double sum = 0;
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    const double a = marks[i], middle = 0.5 * (a + marks[i + 1]), b = marks[i + 1];
    for (const auto& [from, sign] : {std::pair{a, 1.0}, {b, -1.0}}) {
      sum += integral([&, from = from, sign = sign](
                          const at::Tensor& t) { return f(from + sign * t.exp()) * t.exp(); },
                      -reach, std::log(middle - a));
    }
  }
  for (const double sign : {-1.0, 1.0}) {
    if (sign < 0 ? bounded_below(q.name()) : bounded_above(q.name())) continue;
    const double from = sign < 0 ? marks.front() : marks.back();
    sum += integral([&](const at::Tensor& t) { return f(from + sign * t.exp()) * t.exp(); }, -reach,
                    reach);
  }
  return sum;
}

std::vector<double> marks_of(const Family& q, const Family& p) {
  auto marks = q.marks;
  const bool low = bounded_below(q.make(scalars(q.q))->name());
  const bool high = bounded_above(q.make(scalars(q.q))->name());
  for (const double x : p.p_marks)
    if ((!low || x > q.marks.front()) && (!high || x < q.marks.back())) marks.push_back(x);
  return marks;
}

void for_registered(const std::function<void(const Family&, const Family&, const Distribution&,
                                             const Distribution&, double)>& visit) {
  for (const Family& a : families())
    for (const Family& b : families()) {
      const auto q = a.make(scalars(a.q)), p = b.make(scalars(b.p));
      if (const auto kl = try_kl_divergence(*q, *p)) visit(a, b, *q, *p, kl->item<double>());
    }
}

TEST(KlContinuous, EveryPairAgreesWithQuadrature) {
  double worst = 0;
  size_t finite = 0, infinite = 0;
  for_registered([&](const Family& a, const Family& b, const Distribution& q, const Distribution& p,
                     double kl) {
    const auto what = q.name() + " " + p.name();
    const double truth = quadrature(q, p, marks_of(a, b));
    if (std::isinf(kl)) {
      ++infinite;
      if (std::isinf(truth)) return;
      // The integral over a part of the line grows with the part.
      EXPECT_GT(truth, quadrature(q, p, marks_of(a, b), kReach / 2) + 0.5) << what;
      return;
    }
    ++finite;
    worst = std::max(worst, std::abs(kl - truth) / std::max(1.0, truth));
    EXPECT_NEAR(kl, truth, kQuadratureTolerance * std::max(1.0, truth)) << what;
    EXPECT_GT(std::abs(1.001 * kl + 1e-6 - truth), kQuadratureTolerance * std::max(1.0, truth))
        << what << ": a planted error";
  });
  if (std::getenv("ELBO_PRINT_WORST") != nullptr)
    std::cout << "worst KL " << worst << " of " << finite << ", infinite " << infinite << "\n";
  EXPECT_EQ(finite, 188U);
  EXPECT_EQ(infinite, 227U);
}

TEST(KlContinuous, GradientsAgreeWithDifferences) {
  double worst = 0;
  for_registered([&](const Family& a, const Family& b, const Distribution& q, const Distribution& p,
                     double kl) {
    if (std::isinf(kl)) return;
    const double error = kl_gradient_error(a, b);
    worst = std::max(worst, error);
    EXPECT_LE(error, kGradientTolerance) << q.name() << " " << p.name();
  });
  if (std::getenv("ELBO_PRINT_WORST") != nullptr) std::cout << "worst gradient " << worst << "\n";
}

/// Random parameters near those of the table: positive ones times e^n, others plus n.
Tensors random_like(const std::vector<double>& numbers, const std::string& law, int64_t count,
                    const std::string& site) {
  Tensors out;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto n = Noise(31)
                       .site(site)
                       .site(std::to_string(i))
                       .normal({count}, at::TensorOptions(at::kDouble));
    const bool location = i == 0 && (law == "Normal" || law == "Laplace" || law == "Gumbel" ||
                                     law == "Cauchy" || law == "Logistic" || law == "VonMises");
    out.push_back(location || (law == "StudentT" && i == 1) ? numbers[i] + n
                                                            : numbers[i] * n.exp());
  }
  if (law == "ContinuousBernoulli") out[0] = out[0] / (1 + out[0]);
  if (law == "Erlang") out[0] = out[0].ceil();
  if (law == "Uniform" || law == "Triangular" || law == "Reciprocal")
    for (size_t i = 1; i < out.size(); ++i) out[i] = out[i - 1] + out[i].abs();
  return out;
}

TEST(KlContinuous, OfALawWithItselfIsZero) {
  for (const Family& a : families()) {
    const auto name = a.make(scalars(a.q))->name();
    const auto law = a.make(random_like(a.q, name, 1000, "zero"));
    const auto kl = try_kl_divergence(*law, *law);
    if (!kl) continue;
    EXPECT_LE(kl->abs().max().item<double>(), 1e-12) << name;
  }
}

TEST(KlContinuous, IsNeverNegative) {
  for_registered(
      [&](const Family& a, const Family& b, const Distribution& q, const Distribution& p, double) {
        constexpr int64_t kPairs = 10'000;
        const auto kl = kl_divergence(*a.make(random_like(a.q, q.name(), kPairs, "q")),
                                      *b.make(random_like(b.p, p.name(), kPairs, "p")));
        EXPECT_EQ(kl.sizes(), at::IntArrayRef({kPairs}));
        EXPECT_FALSE(kl.isnan().any().item<bool>()) << q.name() << " " << p.name();
        EXPECT_GE(kl.min().item<double>(), -1e-12) << q.name() << " " << p.name();
      });
}

// torch 1.13's list, with subclasses and common transforms as it resolves them.
TEST(KlContinuous, HasEveryPairOfTorch) {
  const std::map<std::string, std::string> torch = {
      {"Beta", "Beta ContinuousBernoulli Pareto Exponential Gamma Chi2 Normal Uniform"},
      {"Cauchy", "Cauchy"},
      {"Chi2", "Gamma Chi2 Beta ContinuousBernoulli Pareto Uniform Exponential Gumbel Normal"},
      {"ContinuousBernoulli", "ContinuousBernoulli Pareto Exponential Normal Uniform"},
      {"Exponential",
       "Exponential Beta ContinuousBernoulli Pareto Uniform Gamma Chi2 Gumbel Normal"},
      {"Gamma", "Gamma Chi2 Beta ContinuousBernoulli Pareto Uniform Exponential Gumbel Normal"},
      {"Gumbel", "Gumbel Beta ContinuousBernoulli Exponential Gamma Chi2 Pareto Uniform Normal"},
      {"HalfCauchy", "HalfCauchy"},
      {"HalfNormal", "HalfNormal"},
      {"Laplace", "Laplace Beta ContinuousBernoulli Exponential Gamma Chi2 Pareto Uniform Normal"},
      {"LogNormal", "LogNormal"},
      {"Normal",
       "Normal Beta ContinuousBernoulli Exponential Gamma Chi2 Pareto Uniform Gumbel Laplace"},
      {"Pareto", "Pareto Beta ContinuousBernoulli Uniform Exponential Gamma Chi2 Normal"},
      {"Uniform", "Uniform Beta ContinuousBernoulli Exponential Gamma Chi2 Gumbel Normal Pareto"}};
  std::set<std::string> found;
  for_registered([&](const Family&, const Family&, const Distribution& q, const Distribution& p,
                     double) { found.insert(q.name() + " " + p.name()); });
  for (const auto& [q, targets] : torch) {
    std::istringstream in(targets);
    for (std::string p; in >> p;) EXPECT_TRUE(found.contains(q + " " + p)) << q << " " << p;
  }
}

TEST(KlContinuous, GammasOfLargeShapesKeepTheirDigits) {
  // To first order KL = (da)^2 (trigamma(a) - 1 / a) / 2 where the means are equal.
  const double a = 1e9, da = 10;
  const auto kl = kl_divergence(Gamma(scalar(a), scalar(a)), Gamma(scalar(a + da), scalar(a + da)));
  EXPECT_NEAR(kl.item<double>(), 0.25 * da * da / (a * a), 1e-13);
  const Gamma q(scalar(a), scalar(1)), p(scalar(a + da), scalar(1));
  EXPECT_NEAR(kl_divergence(q, p).item<double>(), 0.5 * da * da / a, 1e-13);
}

TEST(KlContinuous, SupportsThatAreNotNestedGiveInfinityElementByElement) {
  const auto low = at::tensor({-0.5, 0.0, 0.2, 0.2}, at::kDouble).requires_grad_();
  const auto high = at::tensor({0.5, 1.0, 0.8, 1.5}, at::kDouble).requires_grad_();
  const Uniform q(low, high);
  const Beta unit(scalar(1.5), scalar(2));
  const Gamma positive(scalar(1.5), scalar(2));
  const auto to_unit = kl_divergence(q, unit), to_positive = kl_divergence(q, positive);
  EXPECT_TRUE(to_unit.isinf().equal(at::tensor({1, 0, 0, 1}).to(at::kBool))) << to_unit;
  EXPECT_TRUE(to_positive.isinf().equal(at::tensor({1, 0, 0, 0}).to(at::kBool))) << to_positive;
  (to_unit.slice(0, 2, 3).sum() + to_positive.slice(0, 1, 3).sum()).backward();
  EXPECT_FALSE(low.grad().isnan().any().item<bool>()) << low.grad();
  EXPECT_FALSE(high.grad().isnan().any().item<bool>()) << high.grad();
}

TEST(KlContinuous, RoundsFloat32Once) {
  const auto a = at::full({3}, 1e4F), b = at::full({3}, 1.01e4F), rate = at::full({}, 2.0F);
  const auto kl = kl_divergence(Gamma(a, rate), Gamma(b, rate));
  EXPECT_EQ(kl.scalar_type(), at::kFloat);
  const auto exact = kl_divergence(Gamma(a.to(at::kDouble), rate.to(at::kDouble)),
                                   Gamma(b.to(at::kDouble), rate.to(at::kDouble)));
  EXPECT_TRUE(kl.equal(exact.to(at::kFloat)));
}

TEST(KlContinuous, UsersFormsStayWhereRegisteredFirst) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process of its own
  const auto run = [] {
    register_kl<Gompertz, Uniform>(
        +[](const Gompertz& q, const Uniform&) { return at::full_like(q.shape(), 3.0); });
    const Uniform unit(scalar(0), scalar(1));
    const auto kl = kl_divergence(Gompertz(scalar(1), scalar(1)), unit);
    std::exit(kl.item<double>() == 3 ? 0 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

TEST(MonteCarloKl, AgreesWithTheClosedFormAndGivesItsError) {
  const Normal q(at::tensor({0.0, 1.0}, at::kDouble), at::ones({2}, at::kDouble));
  const Normal p(at::zeros({3, 1}, at::kDouble), at::full({}, 2.0, at::kDouble));
  const auto truth = kl_divergence(q, p);
  const auto got = monte_carlo_kl(q, p, Noise(5), 10'000);
  EXPECT_EQ(got.mean.sizes(), at::IntArrayRef({3, 2}));
  EXPECT_EQ(got.standard_error.sizes(), got.mean.sizes());
  EXPECT_TRUE((got.mean - truth).abs().le(6.11 * got.standard_error).all().item<bool>());
  const auto more = monte_carlo_kl(q, p, Noise(5), 40'000);
  EXPECT_TRUE((got.standard_error / more.standard_error - 2).abs().lt(0.1).all().item<bool>());
  EXPECT_TRUE(monte_carlo_kl(q, p, Noise(5), 10'000).mean.equal(got.mean));
  EXPECT_THROW((void)monte_carlo_kl(q, p, Noise(5), 1), ConfigError);
}

TEST(MonteCarloKl, IsNamedWhereThereIsNoClosedForm) {
  const Logistic q(scalar(0), scalar(1));
  const Cauchy p(scalar(0), scalar(1));
  EXPECT_FALSE(try_kl_divergence(q, p).has_value());
  try {
    (void)kl_divergence(q, p);
    FAIL();
  } catch (const UnsupportedError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("Logistic against Cauchy"), std::string::npos) << message;
    EXPECT_NE(message.find("monte_carlo_kl"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace elbo
