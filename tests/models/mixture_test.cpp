#include "elbo/models/mixture.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "elbo/distributions.h"
#include "elbo/inference/mixture_fit.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor matrix(const nlohmann::json& rows) {
  const auto values = rows.get<std::vector<std::vector<double>>>();
  std::vector<at::Tensor> out;
  for (const auto& row : values) out.push_back(at::tensor(row, kDouble));
  return at::stack(out);
}

at::Tensor parameter(const Mixture& mixture, const std::string& name) {
  for (const auto& [known, value] : named_parameters(mixture))
    if (known == name) return value;
  throw std::runtime_error("no parameter " + name);
}

TEST(Mixture, FollowsScikitLearnFromTheSameStart) {
  std::ifstream file(ELBO_SOURCE_DIR "/tests/models/fixtures/gmm.json");
  const auto fixture = nlohmann::json::parse(file);
  const auto x = matrix(fixture["x"]), means = matrix(fixture["means"]);
  const std::vector<std::pair<std::string, Covariance>> kinds = {
      {"full", Covariance::kFull},
      {"tied", Covariance::kTied},
      {"diagonal", Covariance::kDiagonal},
      {"spherical", Covariance::kSpherical}};
  for (const auto& [name, covariance] : kinds) {
    const Mixture mixture(
        {.data_dim = 3, .components = 3, .covariance = covariance, .covariance_floor = 1e-12},
        kDouble);
    parameter(mixture, "normal.loc").copy_(means);
    const bool whole = covariance == Covariance::kFull || covariance == Covariance::kTied;
    if (whole)
      parameter(mixture, "normal.scale_tril").copy_(at::eye(3, kDouble).expand({3, 3, 3}));
    else
      parameter(mixture, "normal.scale").fill_(1);
    Em em(mixture.model(), mixture.m_steps(), {.chunk_rows = 50});
    for (const double truth : fixture["log_likelihood"][name])
      EXPECT_NEAR(em.iterate(stream_of(x)), truth, 1e-9 * std::abs(truth)) << name;
  }
}

/// Every family at once: columns whose two components differ.
at::Tensor mixed_rows(int64_t n) {
  const auto k = at::arange(n, at::kLong).remainder(2);
  const auto u = [&](const char* site) { return Noise(3).site(site).uniform({n}, kDouble); };
  const auto second = k.to(at::kDouble);
  const auto rows = [&](const char* site) {
    return Noise(3).site(site).rows(at::arange(n, at::kLong));
  };
  return at::stack({Noise(3).site("normal").normal({n}, kDouble) + 4 * second,
                    u("bernoulli").lt(0.2 + 0.6 * second).to(at::kDouble),
                    Poisson(2 + 6 * second).sample(rows("poisson")),
                    Gamma(at::full({n}, 5, kDouble), 5 - 4 * second).sample(rows("gamma")),
                    (u("categorical") * (2 + second)).floor()},
                   1);
}

TEST(Mixture, TakesColumnsOfSeveralFamilies) {
  const auto x = mixed_rows(400);
  const Mixture mixture({.data_dim = 5,
                         .components = 2,
                         .families = {"normal", "bernoulli", "poisson", "gamma", "categorical"},
                         .categories = 3},
                        kDouble);
  mixture.check_support(x);
  Em em(mixture.model(), mixture.m_steps());
  const auto fit = fit_mixture(em, stream_of(x), 2, Noise(1), {.restarts = 5});
  EXPECT_TRUE(fit.converged);
  for (size_t i = 1; i < fit.curve.size(); ++i) EXPECT_GE(fit.curve[i], fit.curve[i - 1] - 1e-10);
  const auto found = mixture.encode(x).mean().argmax(1);
  const double same =
      found.eq(at::arange(400, at::kLong).remainder(2)).to(at::kDouble).mean().item<double>();
  EXPECT_GT(std::max(same, 1 - same), 0.97);
  EXPECT_NEAR(mixture.log_likelihood(x).mean().item<double>(), fit.log_likelihood, 1e-12);
  // 1 weight; 2 (1 + 1) normal, 2 probabilities, 2 rates, 2 x 2 gamma, 2 x 2 categories.
  EXPECT_EQ(mixture.degrees_of_freedom(), 1 + 4 + 2 + 2 + 4 + 4);
  EXPECT_THROW((void)mixture.decode(at::eye(2, kDouble)), UnsupportedError);
}

TEST(Mixture, CountsItsParameters) {
  const auto count = [](Covariance covariance) {
    return Mixture({.data_dim = 3, .components = 4, .covariance = covariance}, kDouble)
        .degrees_of_freedom();
  };
  EXPECT_EQ(count(Covariance::kFull), 3 + 4 * (3 + 6));
  EXPECT_EQ(count(Covariance::kTied), 3 + 4 * 3 + 6);
  EXPECT_EQ(count(Covariance::kDiagonal), 3 + 4 * 6);
  EXPECT_EQ(count(Covariance::kSpherical), 3 + 4 * 4);
  EXPECT_NEAR(bic(-2, 5, 100), 400 + 5 * std::log(100), 1e-12);
  EXPECT_NEAR(aic(-2, 5, 100), 410, 1e-12);
}

TEST(Mixture, IsBuiltAgainFromItsConfiguration) {
  const Mixture first({.data_dim = 3,
                       .components = 2,
                       .families = {"gamma", "normal", "normal"},
                       .covariance = Covariance::kDiagonal},
                      kDouble);
  const auto second = make_model(first.config(), kDouble);
  EXPECT_EQ(second->config(), first.config());
  const auto a = named_parameters(first), b = named_parameters(*second);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_EQ(a[i].second.sizes(), b[i].second.sizes());
  }
}

TEST(Mixture, DrawsFromItsPriorAndItsComponents) {
  const Mixture mixture({.data_dim = 2, .components = 3}, kDouble);
  parameter(mixture, "weights").copy_(at::tensor({0.5, 0.0, 0.5}, kDouble));
  parameter(mixture, "normal.loc").copy_(at::tensor({0., 1., 10., 11., 20., 21.}).view({3, 2}));
  parameter(mixture, "normal.scale_tril").copy_(at::eye(2, kDouble).expand({3, 2, 2}));
  const auto z = mixture.sample_prior(1000, Noise(1).draws(1000));
  EXPECT_TRUE(z.sum(1).eq(1).all().item<bool>());
  EXPECT_EQ(z.sum(0)[1].item<double>(), 0);
  EXPECT_NEAR(z.sum(0)[0].item<double>(), 500, 100);  // 6.3 standard errors
  EXPECT_TRUE(mixture.decode(z).mean().equal(z.matmul(parameter(mixture, "normal.loc"))));
}

TEST(Mixture, SaysWhatIsWrong) {
  EXPECT_THROW(Mixture({.data_dim = 2, .components = 0}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"cauchy"}}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"normal", "gamma", "gamma"}}, kDouble),
               ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2, .families = {"categorical"}}, kDouble), ConfigError);
  EXPECT_THROW(Mixture({.data_dim = 2}, at::kFloat), ConfigError);
  const Mixture mixture({.data_dim = 2, .families = {"normal", "poisson"}}, kDouble);
  auto x = at::ones({4, 2}, kDouble);
  mixture.check_support(x);
  x[2][1] = 0.5;
  try {
    mixture.check_support(x);
    FAIL();
  } catch (const DataError& e) {
    EXPECT_EQ(
        std::string(e.what()).rfind("column 2 holds 0.5; expected values of a poisson law", 0), 0u)
        << e.what();
  }
}

}  // namespace
}  // namespace elbo
