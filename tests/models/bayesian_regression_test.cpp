#include "elbo/models/bayesian_regression.h"

#include "elbo/distributions/multivariate_normal.h"
#include "elbo/error.h"
#include "elbo/estimators/sgvb.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kFeatures = 2, kRows = 6;

Batch batch_of(const at::Tensor& rows, Response response) {
  const auto x = Noise(1).site("x").normal({kRows, kFeatures}, kDouble);
  auto y = Noise(1).site("y").normal({kRows}, kDouble);
  if (response == Response::kBernoulli) y = y.gt(0).to(at::kDouble);
  return {.columns = {{"x", x.index_select(0, rows)}, {"y", y.index_select(0, rows)}},
          .rows = rows,
          .total = kRows};
}

BayesianRegression regression_of(BayesianRegressionConfig config) {
  config.features = kFeatures;
  const BayesianRegression out(config, kDouble);
  const at::NoGradGuard no_grad;
  for (auto [name, parameter] : out.posterior().parameters())
    parameter.copy_(0.3 * Noise(2).site(name).normal(parameter.sizes(), kDouble));
  return out;
}

class EveryResponse : public ::testing::TestWithParam<Response> {};

TEST_P(EveryResponse, BoundIsTheFormulaOfTheDraws) {
  const auto config =
      BayesianRegressionConfig{.response = GetParam(), .prior_scale = 1.5, .noise_scale = 0.7};
  const auto regression = regression_of(config);
  const auto some = at::tensor({4, 1, 3}, at::kLong);
  const auto batch = batch_of(some, GetParam());
  const auto guide = regression.guide();
  const auto w =
      Trace::run(guide, batch, Noise(3), {.num_particles = 4}).at("weights").value.view({4, 3});
  const auto eta = w.narrow(1, 0, 2).matmul(batch["x"].t()) + w.narrow(1, 2, 1);  // [4, 3]
  const auto& y = batch["y"];
  const auto log_likelihood =
      GetParam() == Response::kNormal
          ? -0.5 * (((y - eta) / 0.7).square() + std::log(2 * std::numbers::pi * 0.49))
          : at::log_sigmoid((2 * y - 1) * eta);
  const auto log_prior = -0.5 * ((w / 1.5).square() + std::log(2 * std::numbers::pi * 2.25)).sum(1);
  const auto log_q = regression.posterior().law()->log_prob(w);
  const auto expected = 2 * log_likelihood.sum(1) + log_prior - log_q;  // N/M = 2
  const auto found = Sgvb{SgvbForm::kA, 4}(regression.model(), guide, batch, Noise(3));
  EXPECT_NEAR(found.full_data().item<double>(), expected.mean().item<double>(), 1e-12);
}

TEST_P(EveryResponse, BoundsOfMinibatchesAverageToTheFullDatas) {
  for (const auto draws :
       {nn::WeightDraws::kShared, nn::WeightDraws::kLocal, nn::WeightDraws::kFlipout}) {
    const auto regression = regression_of({.response = GetParam(),
                                           .posterior = {.family = nn::WeightFamily::kMeanField},
                                           .draws = draws});
    const auto value = [&](const at::Tensor& rows) {
      return Sgvb{SgvbForm::kB, 2}(regression.model(), regression.guide(),
                                   batch_of(rows, GetParam()), Noise(3))
          .full_data()
          .item<double>();
    };
    double sum = 0;
    for (int64_t i = 0; i < kRows; ++i)
      for (int64_t j = i + 1; j < kRows; ++j) sum += value(at::tensor({i, j}, at::kLong));
    EXPECT_NEAR(sum / 15, value(at::arange(kRows)), 1e-10) << nn::to_string(draws);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryResponse,
                         ::testing::Values(Response::kNormal, Response::kBernoulli));

TEST(BayesianRegression, PredictsByTheNormalLawOfItsWeights) {
  const auto regression = regression_of({.noise_scale = 0.7});
  const auto x = Noise(4).normal({5, kFeatures}, kDouble);
  const auto q = regression.posterior();
  const auto design = at::cat({x, at::ones({5, 1}, kDouble)}, 1);
  const auto variance = (design.matmul(q.covariance()) * design).sum(1) + 0.49;
  const auto found = regression.predict(x, 0.95);
  EXPECT_TRUE(found.mean.allclose(design.mv(q.loc()), 1e-13, 1e-13));
  const double z = 1.959963984540054;  // the normal law's 97.5 % point
  EXPECT_TRUE(found.upper.allclose(found.mean + z * variance.sqrt(), 1e-12, 1e-12));
  EXPECT_TRUE(found.lower.allclose(found.mean - z * variance.sqrt(), 1e-12, 1e-12));
}

TEST(BayesianRegression, PredictsProbabilitiesByTheIntegralOverItsWeights) {
  const auto regression = regression_of(
      {.response = Response::kBernoulli, .posterior = {.family = nn::WeightFamily::kLowRank}});
  const auto x = 3 * Noise(4).normal({5, kFeatures}, kDouble);
  const auto found = regression.predict(x, 0.8);
  const at::NoGradGuard no_grad;
  const int64_t n = 400'000;  // each probability has an error of 5e-4 at most
  const auto w = regression.posterior().law()->sample(Noise(5).draws(n), {n});
  const auto eta = w.narrow(1, 0, 2).matmul(x.t()) + w.narrow(1, 2, 1);
  EXPECT_LE((found.mean - eta.sigmoid().mean(0)).abs().max().item<double>(), 5e-3);
  const auto sorted = std::get<0>(eta.sigmoid().sort(0));
  EXPECT_LE((found.lower - sorted[n / 10]).abs().max().item<double>(), 1e-2);
  EXPECT_LE((found.upper - sorted[9 * n / 10]).abs().max().item<double>(), 1e-2);
  EXPECT_GT((found.mean - regression.predict(x, 0.8).lower).min().item<double>(), 0);
  // At the weights' mean the probability would be further from one half.
  const auto design = at::cat({x, at::ones({5, 1}, kDouble)}, 1);
  const auto plug_in = design.mv(regression.posterior().loc()).sigmoid();
  EXPECT_TRUE(((found.mean - 0.5).abs() < (plug_in - 0.5).abs()).all().item<bool>());
}

TEST(BayesianRegression, RefusesSettingsOutOfRange) {
  const auto made = [](BayesianRegressionConfig config) {
    return BayesianRegression(config, kDouble);
  };
  EXPECT_THROW((void)made({.features = 0}), ConfigError);
  EXPECT_THROW((void)made({.features = 1, .prior_scale = 0}), ConfigError);
  EXPECT_THROW((void)made({.features = 1, .noise_scale = 0}), ConfigError);
  EXPECT_THROW((void)made({.features = 1, .draws = nn::WeightDraws::kLocal}), ConfigError);
  const auto regression = regression_of({});
  EXPECT_THROW((void)regression.predict(at::zeros({1, 3}, kDouble)), ShapeError);
  EXPECT_THROW((void)regression.predict(at::zeros({1, 2}, kDouble), 1), ConfigError);
}

}  // namespace
}  // namespace elbo
