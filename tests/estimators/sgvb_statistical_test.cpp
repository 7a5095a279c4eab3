// SGVB in the mean and in the variance. Seeds are fixed; n = 1e6 draws unless said; false alarm
// 1e-9 a comparison (z* = 6.11), 1e-6 for all comparisons of the suite.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kDraws = 1'000'000;
const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor filled(double value) { return at::full({kDraws}, value, kDouble); }

/// Within z* standard errors; exactly constant estimators have none.
void expect_near(const Estimate& got, double truth, const std::string& what) {
  EXPECT_LE(std::abs(got.mean - truth), kZStar * got.standard_error + 1e-12)
      << what << ": " << got.mean << " +- " << got.standard_error << ", truth " << truth;
}

struct Draws {
  at::Tensor value, d_m, d_s;
};

/// One estimate a row, with a parameter of its own each, so that gradients come a draw.
Draws draw(SgvbForm form, double x, double m, double s) {
  const auto loc = filled(m).requires_grad_(), scale = filled(s).requires_grad_();
  const auto bound =
      Sgvb{.form = form}(toy_model, toy_guide(loc, scale), batch_of(filled(x)), Noise(51));
  bound.rows().sum().backward();
  return {bound.rows().detach(), loc.grad(), scale.grad()};
}

struct Point {
  double x, m, s;
};
const Point kPoints[] = {
    {1.3, 0.2, 0.9}, {1.3, 0.2, 0.3}, {1.3, 0, 1}, {-2, 1, 0.5}, {1.3, 0.65, std::sqrt(0.5)}};

class SgvbStatistical : public ::testing::TestWithParam<Point> {};

TEST_P(SgvbStatistical, FormAHasTheMomentsOfTheFormula) {
  const auto [x, m, s] = GetParam();
  const Draws a = draw(SgvbForm::kA, x, m, s);
  expect_near(estimate(a.value), toy_elbo(x, m, s), "E[A]");
  expect_near(estimate(a.d_m), x - 2 * m, "E[dA/dm]");
  expect_near(estimate(a.d_s), 1 / s - 2 * s, "E[dA/ds]");
  const double slope = x - 2 * m, excess = 0.5 - s * s;
  expect_near(estimate_variance(a.value), s * s * slope * slope + 2 * excess * excess, "Var A");
  expect_near(estimate_variance(a.d_m), 4 * s * s, "Var dA/dm");
  expect_near(estimate_variance(a.d_s), slope * slope + 8 * s * s, "Var dA/ds");
}

TEST_P(SgvbStatistical, FormBHasTheMomentsOfTheFormula) {
  const auto [x, m, s] = GetParam();
  const Draws b = draw(SgvbForm::kB, x, m, s);
  expect_near(estimate(b.value), toy_elbo(x, m, s), "E[B]");
  expect_near(estimate(b.d_m), x - 2 * m, "E[dB/dm]");
  expect_near(estimate(b.d_s), 1 / s - 2 * s, "E[dB/ds]");
  const double slope = x - m;
  expect_near(estimate_variance(b.value), s * s * slope * slope + 0.5 * std::pow(s, 4), "Var B");
  expect_near(estimate_variance(b.d_m), s * s, "Var dB/dm");
  expect_near(estimate_variance(b.d_s), slope * slope + 2 * s * s, "Var dB/ds");
}

INSTANTIATE_TEST_SUITE_P(Toy, SgvbStatistical, ::testing::ValuesIn(kPoints));

TEST(SgvbStatistical, PlantedErrorsAreRejected) {
  const auto [x, m, s] = kPoints[0];
  const Draws a = draw(SgvbForm::kA, x, m, s), b = draw(SgvbForm::kB, x, m, s);
  // Half the KL left out; the entropy's gradient left out; the variances exchanged.
  const double kl = 0.5 * (s * s + m * m - 1 - 2 * std::log(s));
  EXPECT_GT(estimate(b.value + 0.5 * kl).z(toy_elbo(x, m, s)), kZStar);
  EXPECT_GT(estimate(b.d_s - 1 / s).z(1 / s - 2 * s), kZStar);
  EXPECT_GT(estimate_variance(a.d_m).z(s * s), kZStar);
  EXPECT_GT(estimate_variance(b.d_m).z(4 * s * s), kZStar);
  EXPECT_GT(estimate_variance(b.value).z(s * s * (x - 2 * m) * (x - 2 * m)), kZStar);
  EXPECT_GT(estimate(1.02 * b.d_m).z(x - 2 * m), kZStar);
}

TEST(SgvbStatistical, NeitherFormAlwaysVariesLess) {
  // At m = 0, s = 1 both variances are x^2 + 1/2; at the exact posterior A is constant.
  const double x = 1.3;
  const Draws a = draw(SgvbForm::kA, x, x / 2, std::sqrt(0.5));
  const Draws b = draw(SgvbForm::kB, x, x / 2, std::sqrt(0.5));
  EXPECT_LE(estimate_variance(a.value).mean, 1e-24);
  EXPECT_NEAR(a.value[0][0].item<double>(), toy_evidence(x), 1e-12);
  expect_near(estimate_variance(b.value), 0.33625, "Var B at the posterior");
  EXPECT_GT(estimate_variance(b.value).mean, estimate_variance(a.value).mean);
}

TEST(SgvbStatistical, LSamplesDivideTheVariance) {
  // n = 250 000 estimates of four samples each.
  const auto [x, m, s] = kPoints[0];
  const int64_t rows = kDraws / 4;
  const auto bound = Sgvb{.num_particles = 4}(
      toy_model, toy_guide(at::full({rows}, m, kDouble), at::full({rows}, s, kDouble)),
      batch_of(at::full({rows}, x, kDouble)), Noise(52));
  const auto means = bound.rows().mean(0);
  const double variance = s * s * (x - m) * (x - m) + 0.5 * std::pow(s, 4);
  expect_near(estimate(means), toy_elbo(x, m, s), "mean");
  expect_near(estimate_variance(means), variance / 4, "variance");
  EXPECT_GT(estimate_variance(means).z(variance), kZStar) << "planted: one sample four times";
}

TEST(SgvbStatistical, MinibatchesAreUnbiasedForTheFullData) {
  // n = 20 000 random minibatches of 3 of 12 rows, each with its own noise.
  const auto x = at::linspace(-2, 3, 12, kDouble);
  const auto full = batch_of(x);
  double truth = 0;
  for (int64_t i = 0; i < 12; ++i) truth += toy_elbo(x[i].item<double>(), 0.4, 0.8);
  const auto guide = toy_guide(0.4 * one(), 0.8 * one());
  at::NoGradGuard no_grad;
  constexpr int64_t kBatches = 20'000;
  // Three distinct rows each: the ranks of the smallest three of twelve uniforms.
  const auto order =
      Noise(53).site("order").draws(kBatches).uniform({kBatches, 12}, kDouble).argsort(int64_t{1});
  auto values = at::empty({kBatches}, kDouble);
  for (int64_t t = 0; t < kBatches; ++t) {
    const auto batch = subset(full, order[t].narrow(0, 0, 3));
    const auto bound = Sgvb{}(toy_model, guide, batch, Noise(53).step(static_cast<uint64_t>(t)));
    values[t] = bound.full_data();
  }
  expect_near(estimate(values), truth, "full-data bound");
  EXPECT_GT(estimate(values * 3 / 12).z(truth), kZStar) << "planted: the scale N/M left out";
}

// z2 ~ N(0, 1), z1 ~ N(a z2, 1), x ~ N(z1, 1); q(z1 | x) = N(c, s1^2), q(z2 | z1) = N(e z1, s2^2).
constexpr double kA = 0.7, kC = 0.6, kS1 = 0.5, kE = 0.8, kS2 = 0.4, kX = 1.3;

void two_layer_model(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z2 = trace.sample("z2", Normal::standard({}, kDouble));
  const auto z1 = trace.sample("z1", Normal(kA * z2, one()));
  trace.observe("x", Normal(z1, one()), batch["x"]);
}
void bottom_up_guide(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z1 = trace.sample("z1", Normal(kC * one(), kS1 * one()));
  (void)trace.sample("z2", Normal(kE * z1, kS2 * one()));
}

double two_layer_elbo() {
  const double log_two_pi = std::log(2 * std::numbers::pi);
  const auto expected_log = [&](double mean_of_difference, double variance) {
    return -0.5 * (log_two_pi + mean_of_difference * mean_of_difference + variance);
  };
  const double v1 = kS1 * kS1, v2 = kS2 * kS2;
  const double x_given_z1 = expected_log(kX - kC, v1);
  const double z1_given_z2 =
      expected_log(kC - kA * kE * kC, (1 - kA * kE) * (1 - kA * kE) * v1 + kA * kA * v2);
  const double z2 = expected_log(kE * kC, kE * kE * v1 + v2);
  const double entropy = 1 + log_two_pi + std::log(kS1) + std::log(kS2);
  return x_given_z1 + z1_given_z2 + z2 + entropy;
}

TEST(SgvbStatistical, ABottomUpGuideStaysUnbiased) {
  const auto batch = batch_of(filled(kX));
  for (const SgvbForm form : {SgvbForm::kA, SgvbForm::kB}) {
    const auto bound = Sgvb{.form = form}(two_layer_model, bottom_up_guide, batch, Noise(54));
    expect_near(estimate(bound.rows()), two_layer_elbo(), "two layers");
  }
  // Planted: the closed form at both sites, whose mean at z1 ignores that z2 follows z1.
  const Trace q = Trace::run(bottom_up_guide, batch, Noise(54));
  const Trace p = Trace::run(replay(two_layer_model, q), batch, Noise(54));
  EXPECT_FALSE(closed_form_kl_is_unbiased(p, q, "z1"));
  const auto kl = [&](const char* site) {
    return kl_divergence(*q.at(site).distribution, *p.at(site).distribution);
  };
  const auto planted = p.at("x").log_prob() - kl("z1") - kl("z2");
  EXPECT_GT(estimate(planted).z(two_layer_elbo()), kZStar);
}

TEST(SgvbStatistical, ATopDownGuideTakesClosedFormsWithoutBias) {
  const auto top_down = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto z2 = trace.sample("z2", Normal(0.3 * one(), 0.6 * one()));
    (void)trace.sample("z1", Normal(0.5 * z2 + 0.2, 0.7 * one()));
  };
  const auto batch = batch_of(filled(kX));
  const auto a = Sgvb{.form = SgvbForm::kA}(two_layer_model, top_down, batch, Noise(55));
  const auto b = Sgvb{.form = SgvbForm::kB}(two_layer_model, top_down, batch, Noise(56));
  // Independent noise: the variance of the difference is the sum.
  expect_near(estimate(a.rows() - b.rows()), 0, "A - B");
  EXPECT_LT(estimate_variance(b.kl).mean, estimate_variance(a.kl).mean);
}

}  // namespace
}  // namespace elbo
