#include "elbo/evaluation/pareto.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "elbo/error.h"
#include "elbo/kernels/noise.h"
#include "support/source_dir.h"

namespace elbo {
namespace {

const nlohmann::json& fixture() {
  static const auto json = [] {
    std::ifstream in(elbo::testing::source_dir() +
                     "/tests/evaluation/fixtures/generalized_pareto.json");
    return nlohmann::json::parse(in);
  }();
  return json;
}

TEST(GeneralizedPareto, IsTheReferencesEstimate) {
  for (const auto& c : fixture().at("cases")) {
    const auto x = c.at("x").get<std::vector<double>>();
    const auto fit = fit_generalized_pareto(x);
    EXPECT_NEAR(fit.k, c.at("k").get<double>(), 1e-10) << c.at("shape") << " " << x.size();
    EXPECT_NEAR(fit.sigma, c.at("sigma").get<double>(), 1e-10) << c.at("shape") << " " << x.size();
  }
}

TEST(GeneralizedPareto, IsNearMaximumLikelihood) {
  int compared = 0;
  for (const auto& c : fixture().at("cases")) {
    if (c.at("maximum_likelihood_k").is_null()) continue;
    const auto fit = fit_generalized_pareto(c.at("x").get<std::vector<double>>());
    EXPECT_NEAR(fit.k, c.at("maximum_likelihood_k").get<double>(), 0.1) << c.at("shape");
    ++compared;
  }
  EXPECT_EQ(compared, 5);
}

TEST(GeneralizedPareto, ScalesWithTheNumbers) {
  auto x = fixture().at("cases")[5].at("x").get<std::vector<double>>();
  const auto fit = fit_generalized_pareto(x);
  for (double& value : x) value *= 1e-8;
  const auto small = fit_generalized_pareto(x);
  EXPECT_NEAR(small.k, fit.k, 1e-10);
  EXPECT_NEAR(small.sigma, 1e-8 * fit.sigma, 1e-16);
}

TEST(GeneralizedPareto, TakesTies) {
  EXPECT_EQ(fit_generalized_pareto(std::vector<double>(9, 2.0)).k, 0);
  EXPECT_EQ(fit_generalized_pareto(std::vector<double>(9, 0.0)).k, 0);
  EXPECT_TRUE(std::isfinite(fit_generalized_pareto({0, 0, 0, 0, 0, 0, 1, 2}).k));
  EXPECT_THROW((void)fit_generalized_pareto({1, 2, 3, 4}), ConfigError);
}

/// 1e5 log weights of which the k-hat of the tail's ~950 has a standard deviation of (1 + k) / 31.
at::Tensor pareto_weights(double k) {
  const auto u = Noise(5).uniform({100'000, 1}, at::kDouble);
  return -k * u.log();  // of u^-k
}

TEST(ParetoKHat, IsTheTailsShape) {
  for (const double k : {0.2, 0.5, 0.9})
    EXPECT_NEAR(pareto_k_hat(pareto_weights(k)).item<double>(), k, 6.11 * (1 + k) / 30.8);
  EXPECT_GT(pareto_k_hat(pareto_weights(0.9)).item<double>(), kInfiniteVariance);
  EXPECT_LT(pareto_k_hat(pareto_weights(0.2)).item<double>(), kInfiniteVariance);
}

TEST(ParetoKHat, DoesNotSeeTheScale) {
  const auto w = pareto_weights(0.7).narrow(0, 0, 1000);
  const auto both = pareto_k_hat(at::cat({w, w - 2000}, 1));
  EXPECT_EQ(both.sizes(), at::IntArrayRef({2}));
  EXPECT_NEAR(both[0].item<double>(), both[1].item<double>(), 1e-9);
}

TEST(ParetoKHat, OfFewOrEqualOrImpossibleWeights) {
  EXPECT_TRUE(std::isnan(pareto_k_hat(at::zeros({20, 1}, at::kDouble)).item<double>()));
  EXPECT_LT(pareto_k_hat(at::zeros({200, 1}, at::kDouble)).item<double>(), kInfiniteVariance);
  const auto none = at::full({200, 1}, -INFINITY, at::kDouble);
  EXPECT_TRUE(std::isnan(pareto_k_hat(none).item<double>()));
}

}  // namespace
}  // namespace elbo
