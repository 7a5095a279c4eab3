// The score function on toy G, in the mean and in the variance, which quadrature knows. Seeds are
// fixed; false alarm 1e-9 a comparison (z* = 6.11), 1e-6 for all comparisons of the suite. Means
// are of as many estimates as an error of 2 % takes (which is 10.9 standard errors), variances of
// 1e6.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/score_function.h"
#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kRows = 1'000'000;
constexpr double kM = 0.2, kS = 0.3, kX = 1.3;

double number(const at::Tensor& t) { return t.item<double>(); }

/// Moments under q = N(m, s^2) by the trapezoidal rule, which is exact to rounding here.
struct Quadrature {
  explicit Quadrature(double x, double m = kM, double s = kS) {
    const auto e = at::linspace(-14, 14, 20'001, at::kDouble);
    weight = (-0.5 * e.square()).exp();
    weight = weight / weight.sum();
    const auto z = m + s * e;
    const auto density = [](const at::Tensor& v, double mean, double sd) {
      return Normal(mean * one(), sd * one()).log_prob(v);
    };
    f = density(z, 0, 1) + density(x - z, 0, 1) - density(z, m, s);
    of_m = e / s;
    of_s = (e.square() - 1) / s;
  }
  double mean(const at::Tensor& g) const { return number((g * weight).sum()); }
  double variance(const at::Tensor& score, double b) const {
    return mean(((f - b) * score).square()) - std::pow(mean(f * score), 2);
  }
  /// Of the mean of L estimates, each with the mean of the other L - 1 signals as its baseline:
  /// those share f_l f_l', whose product with both scores has mean E[f score]^2 / (L - 1)^2.
  double variance_leaving_one_out(const at::Tensor& score, int64_t draws) const {
    const auto n = static_cast<double>(draws);
    const double own = variance(score, mean(f)) + variance_of_f() * mean(score.square()) / (n - 1);
    const double shared = std::pow(mean(f * score) / (n - 1), 2);
    return own / n + (n - 1) / n * shared;
  }
  double variance_of_f() const { return mean(f.square()) - std::pow(mean(f), 2); }
  at::Tensor weight, f, of_m, of_s;
};

struct Gradients {
  at::Tensor m, s;
};
/// Of every row, each of which has parameters of its own.
Gradients gradients(const Estimator& estimator, const at::Tensor& x, uint64_t seed = 81) {
  const auto m = at::full_like(x, kM).requires_grad_(), s = at::full_like(x, kS).requires_grad_();
  estimator(toy_model, toy_guide(m, s), batch_of(x), Noise(seed)).rows().mean(0).sum().backward();
  return {m.grad(), s.grad()};
}
at::Tensor rows_of(double x, int64_t rows = kRows) { return at::full({rows}, x, at::kDouble); }

void expect_near(const Estimate& got, double truth, const std::string& what) {
  EXPECT_LE(got.z(truth), kZStar) << what << ": " << got.mean << " +- " << got.standard_error
                                  << ", truth " << truth;
}
/// Of several times 1e6 estimates.
struct Means {
  Estimate m{0, 0}, s{0, 0};
};
Means means(const Estimator& estimator, const at::Tensor& x, int64_t times) {
  Means out;
  const auto pool = [&](Estimate& sum, const Estimate& one) {
    const auto n = static_cast<double>(times);
    sum = {sum.mean + one.mean / n, std::hypot(sum.standard_error, one.standard_error / n)};
  };
  for (int64_t i = 0; i < times; ++i) {
    const auto g = gradients(estimator, x, 200 + static_cast<uint64_t>(i));
    pool(out.m, estimate(g.m));
    pool(out.s, estimate(g.s));
  }
  return out;
}

constexpr double kSlopeM = kX - 2 * kM, kSlopeS = 1 / kS - 2 * kS;  // of the bound, by hand
void expect_unbiased(const Estimator& estimator, int64_t times, const std::string& what) {
  const auto got = means(estimator, rows_of(kX), times);
  expect_near(got.m, kSlopeM, what + " d/dm");
  expect_near(got.s, kSlopeS, what + " d/ds");
  EXPECT_LE(10.9 * got.m.standard_error, 0.02 * kSlopeM) << what;
  EXPECT_LE(10.9 * got.s.standard_error, 0.02 * kSlopeS) << what;
}

TEST(ScoreFunctionStatistical, WithoutABaselineHasTheMomentsOfQuadrature) {
  const Quadrature truth(kX);
  EXPECT_NEAR(truth.variance(truth.of_m, 0), 38.4273, 1e-4) << "as SciPy has it";
  const auto g = gradients(ScoreFunction{}, rows_of(kX));
  expect_unbiased(ScoreFunction{}, 15, "none");
  expect_near(estimate_variance(g.m), truth.variance(truth.of_m, 0), "Var d/dm");
  expect_near(estimate_variance(g.s), truth.variance(truth.of_s, 0), "Var d/ds");
  const auto path = gradients(Sgvb{}, rows_of(kX));
  expect_near(estimate_variance(path.m), kS * kS, "SGVB-B's, 427 times less");
  EXPECT_GT(estimate_variance(1.02 * g.m).z(truth.variance(truth.of_m, 0)), kZStar)
      << "planted: a score that is 2 % off";
}

TEST(ScoreFunctionStatistical, AMovingAverageMovesTheVarianceAlone) {
  const Quadrature truth(kX);
  const auto average = std::make_shared<MovingAverage>();
  const ScoreFunction score{1, average};
  (void)gradients(score, rows_of(kX, 1000), 82);  // learns from other draws
  const auto sums = average->state().at("sums");
  const double b = number(sums[0] / sums[1]);
  EXPECT_NEAR(b, truth.mean(truth.f), 0.2);
  const auto g = gradients(score, rows_of(kX));
  expect_unbiased(score, 15, "moving average");
  expect_near(estimate_variance(g.m), truth.variance(truth.of_m, b), "Var d/dm");
  expect_near(estimate_variance(g.s), truth.variance(truth.of_s, b), "Var d/ds");
  EXPECT_LT(number(g.m.var()), 0.6 * truth.variance(truth.of_m, 0));
  // It is no law: here the best constant for s lies elsewhere, and the variance along s rises.
  EXPECT_GT(number(g.s.var()), 1.5 * truth.variance(truth.of_s, 0));
}

TEST(ScoreFunctionStatistical, LeavingOneOutMovesTheVarianceAlone) {
  const Quadrature truth(kX);
  for (const int64_t draws : {2, 5}) {
    const auto rows = rows_of(kX, kRows / draws);
    const auto what = "leave one out, L = " + std::to_string(draws);
    const ScoreFunction score{draws, std::make_shared<LeaveOneOut>()};
    expect_unbiased(score, 12, what);
    const auto g = gradients(score, rows);
    expect_near(estimate_variance(g.m), truth.variance_leaving_one_out(truth.of_m, draws), what);
    expect_near(estimate_variance(g.s), truth.variance_leaving_one_out(truth.of_s, draws), what);
    const auto without = truth.variance(truth.of_m, 0) / static_cast<double>(draws);
    EXPECT_LT(number(g.m.var()), draws > 2 ? 0.8 * without : without) << what;
  }
}

TEST(ScoreFunctionStatistical, AnInputDependentBaselineFollowsX) {
  const Quadrature near(kX), far(-2);
  auto x = rows_of(kX);
  x.narrow(0, 0, kRows / 2).fill_(-2);
  const auto few = x.narrow(0, kRows / 2 - 500, 1000);
  const auto line = std::make_shared<LinearBaseline>(1);
  const auto average = std::make_shared<MovingAverage>();
  for (uint64_t t = 0; t < 30; ++t) {
    (void)gradients(ScoreFunction{1, line}, few, 100 + t);
    (void)gradients(ScoreFunction{1, average}, few, 100 + t);
  }
  const auto b =
      line->value(batch_of(at::tensor({kX, -2.0}, at::kDouble)), at::zeros({1, 2}, at::kDouble));
  EXPECT_NEAR(number(b[0]), near.mean(near.f), 0.2);
  EXPECT_NEAR(number(b[1]), far.mean(far.f), 0.2);
  const auto g = gradients(ScoreFunction{1, line}, x).m;
  const auto flat = gradients(ScoreFunction{1, average}, x).m;
  for (const bool second : {false, true}) {
    const auto half = g.narrow(0, second ? kRows / 2 : 0, kRows / 2);
    const Quadrature& truth = second ? near : far;
    expect_near(estimate(half), (second ? kX : -2) - 2 * kM, "d/dm");
    expect_near(estimate_variance(half), truth.variance(truth.of_m, number(b[second ? 0 : 1])),
                "Var d/dm");
  }
  EXPECT_LT(number(g.var()), number(flat.var())) << "x says more than the average";
  expect_unbiased(ScoreFunction{1, line}, 15, "input-dependent");
}

/// The planted bug: it looks at the draw that it is subtracted from.
struct Peeking final : Baseline {
  at::Tensor value(const Batch&, const at::Tensor& signal) const override { return 0.02 * signal; }
};

TEST(ScoreFunctionStatistical, ABaselineThatDependsOnItsDrawIsRejected) {
  const auto got = means(ScoreFunction{1, std::make_shared<Peeking>()}, rows_of(kX), 15);
  EXPECT_GT(got.m.z(kSlopeM), kZStar);
  EXPECT_GT(got.s.z(kSlopeS), kZStar);
}

}  // namespace
}  // namespace elbo
