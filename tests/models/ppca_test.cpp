#include "elbo/models/ppca.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "elbo/estimators/sgvb.h"
#include "elbo/inference/aevb.h"
#include "models/ppca.h"

namespace elbo {
namespace {

using testing::covariance_of;
using testing::kColumns;
using testing::kLatent;
using testing::largest_angle;
using testing::linear_rows;
using testing::ppca_optimum;
using testing::principal_axes;

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr PpcaConfig kExact{.data_dim = kColumns, .latent_dim = kLatent};
constexpr PpcaConfig kLinear{
    .data_dim = kColumns, .latent_dim = kLatent, .guide = PpcaConfig::Guide::kLinear};

Batch batch_of(const at::Tensor& x) {
  return {.columns = {{"x", x}}, .rows = at::arange(x.size(0), at::kLong), .total = x.size(0)};
}

TEST(Ppca, ClosedFormIsTheMaximum) {
  const auto x = linear_rows(1000);
  Ppca model(kExact, kDouble);
  model.set_closed_form(x.mean(0), covariance_of(x));
  const double best = model.log_likelihood(x).mean().item<double>();
  EXPECT_NEAR(best, ppca_optimum(x), 1e-11);
  EXPECT_LE(largest_angle(model.linear_gaussian().weight, principal_axes(x)), 1e-10);
  // Columns of W are orthogonal, and no move is better.
  const auto w = model.linear_gaussian().weight;
  const auto square = w.t().matmul(w);
  EXPECT_LE((square - square.diag().diag()).abs().max().item<double>(), 1e-11);
  for (uint64_t seed = 0; seed < 10; ++seed)
    for (auto& [name, parameter] : named_parameters(model)) {
      const auto kept = parameter.clone();
      parameter.add_(0.01 * Noise(seed).normal(parameter.sizes(), kDouble));
      EXPECT_LT(model.log_likelihood(x).mean().item<double>(), best) << name;
      parameter.copy_(kept);
    }
}

// AEVB 4 (Roweis 1998): at noise epsilon -> 0 the linear Gaussian model is PCA.
TEST(Ppca, IsPcaWhereTheNoiseVanishes) {
  const auto x = linear_rows(500);
  Ppca model(kExact, kDouble);
  const auto [values, vectors] = at::linalg_eigh(covariance_of(x));
  const auto scores = (x - x.mean(0)).matmul(principal_axes(x));
  const auto whitened = scores / values.narrow(0, kColumns - kLatent, kLatent).flip(0).sqrt();
  double before = INFINITY;
  for (const double epsilon : {1e-2, 1e-4, 1e-6, 1e-8}) {
    model.set_closed_form(x.mean(0), covariance_of(x), epsilon);
    EXPECT_LE(largest_angle(model.linear_gaussian().weight, principal_axes(x)), 1e-10);
    const double apart = (model.encode(x).mean() - whitened).abs().max().item<double>();
    EXPECT_LT(apart, before);
    EXPECT_LE(apart, 10 * epsilon);
    before = apart;
    // What is decoded is the projection onto the principal plane.
    const auto projected = scores.matmul(principal_axes(x).t()) + x.mean(0);
    EXPECT_LE((model.decode(model.encode(x).mean()).mean() - projected).abs().max().item<double>(),
              20 * epsilon);
  }
}

TEST(Ppca, TheProgramAndItsExactGuideGiveTheLikelihood) {
  const auto x = linear_rows(50);
  Ppca model(kExact, kDouble);
  model.set_closed_form(x.mean(0), covariance_of(x));
  // With the posterior as guide every draw's bound is log p(x).
  const auto bound =
      Sgvb{.form = SgvbForm::kA}(model.model(), model.guide(), batch_of(x), Noise(3));
  EXPECT_TRUE(at::allclose(bound.rows()[0], model.log_likelihood(x), 1e-10, 1e-10));
}

TEST(Ppca, TakesRowsWithMissingEntries) {
  auto x = linear_rows(50);
  Ppca model(kExact, kDouble);
  model.set_closed_form(x.mean(0), covariance_of(x));
  const auto whole = model.log_likelihood(x).clone();
  const auto mask = Noise(5).uniform(x.sizes(), kDouble).gt(0.3);
  x.masked_fill_(mask.logical_not(), NAN);
  const auto part = linear_gaussian_posterior(model.linear_gaussian(), x, mask);
  EXPECT_TRUE(model.log_likelihood(x).equal(part.log_likelihood));
  EXPECT_TRUE(model.encode(x).mean().equal(part.mean));
  EXPECT_FALSE(at::allclose(part.log_likelihood, whole));
}

TEST(Ppca, TheLinearGuidesBoundIsWhatDrawsAverage) {
  const auto x = linear_rows(40);
  const Ppca model(kLinear, kDouble);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, parameter] : named_parameters(model))
      parameter.copy_(0.3 * Noise(7).site(name).normal(parameter.sizes(), kDouble));
  }
  const at::NoGradGuard no_grad;
  const auto exact = model.bound(x);
  const auto drawn =
      Sgvb{.num_particles = 20000}(model.model(), model.guide(), batch_of(x), Noise(1)).rows();
  const auto standard_error = drawn.std(0) / std::sqrt(20000.0);
  EXPECT_LE(((drawn.mean(0) - exact) / standard_error).abs().max().item<double>(), 6.11);
  EXPECT_TRUE((exact <= model.marginal(x) + 1e-12).all().item<bool>());
  EXPECT_FALSE(model.log_likelihood(x).defined());
}

// The closed-form bound's maximum over a linear guide is the likelihood's (Lucas et al. 2019): the
// linear VAE, PPCA and PCA are one.
TEST(Ppca, ALinearVaeReachesTheMaximum) {
  const auto x = linear_rows(1000);
  const double optimum = ppca_optimum(x);
  const Ppca model(kLinear, kDouble);
  initialise_model(model, nn::Init::kXavier, 3);
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer("adam", parameters, 0.02);
  Optimizer& rate = *optimizer;
  const Estimator closed_form = [&](const Program&, const Program&, const Batch& b, const Noise&) {
    const auto rows = model.bound(b["x"]).unsqueeze(0);
    return Bound{.reconstruction = rows, .kl = at::zeros_like(rows), .total = b.total};
  };
  Aevb learner(model.model(), model.guide(), std::move(parameters), std::move(optimizer),
               {.estimator = closed_form});
  const auto batch = batch_of(x);
  constexpr int kSteps = 10000;
  double early = 0;
  for (int i = 0; i < kSteps; ++i) {
    rate.lr = 0.05 * (1 + std::cos(M_PI * i / kSteps));
    const double bound = learner.step(batch, Noise(0, static_cast<uint64_t>(i))).elbo;
    if (i == 300) early = bound;
  }
  const at::NoGradGuard no_grad;
  const double bound = model.bound(x).mean().item<double>();
  const double marginal = model.marginal(x).mean().item<double>();
  EXPECT_NEAR(bound, optimum, 1e-6);
  EXPECT_LE(bound, marginal + 1e-12);
  EXPECT_LE(marginal, optimum + 1e-9);
  EXPECT_GT(optimum - early, 1e-3) << "300 steps are too few: the test can fail";
  const auto w = model.linear_gaussian().weight;
  const double angle = largest_angle(w, principal_axes(x));
  EXPECT_LE(angle, 1e-3);
  std::printf("gap %.1e nats, angle %.1e rad\n", optimum - bound, angle);
  // The diagonal guide picks the axes out of all rotations.
  const auto square = w.t().matmul(w);
  EXPECT_LE((square - square.diag().diag()).abs().max().item<double>(), 1e-3);
}

TEST(Ppca, CountsItsParameters) {
  const auto count = [](PpcaConfig::Noise noise, int64_t latent) {
    return Ppca({.data_dim = 4, .latent_dim = latent, .noise = noise}, kDouble)
        .degrees_of_freedom();
  };
  EXPECT_EQ(count(PpcaConfig::Noise::kIsotropic, 1), 4 + 4 + 1);
  EXPECT_EQ(count(PpcaConfig::Noise::kIsotropic, 2), 7 + 4 + 1);
  // With d = D - 1 it is any mean and covariance.
  EXPECT_EQ(count(PpcaConfig::Noise::kIsotropic, 3), 4 + 4 * 5 / 2);
  EXPECT_EQ(count(PpcaConfig::Noise::kDiagonal, 1), 4 + 4 + 4);
}

TEST(Ppca, IsBuiltAgainFromItsConfiguration) {
  for (const auto noise : {PpcaConfig::Noise::kIsotropic, PpcaConfig::Noise::kDiagonal})
    for (const auto guide : {PpcaConfig::Guide::kExact, PpcaConfig::Guide::kLinear}) {
      const Ppca first({.data_dim = 4, .latent_dim = 2, .noise = noise, .guide = guide}, kDouble);
      const auto second = make_model(first.config(), kDouble);
      EXPECT_EQ(second->config(), first.config());
      EXPECT_EQ(named_parameters(*second).size(), named_parameters(first).size());
    }
}

TEST(Ppca, SaysWhatIsWrong) {
  const auto x = linear_rows(30);
  EXPECT_THROW(Ppca({.data_dim = 0}, kDouble), ConfigError);
  EXPECT_THROW(Ppca({.data_dim = 3, .latent_dim = 0}, kDouble), ConfigError);
  Ppca all({.data_dim = kColumns, .latent_dim = kColumns}, kDouble);
  EXPECT_THROW(all.set_closed_form(x.mean(0), covariance_of(x)), ConfigError);
  Ppca factors({.data_dim = kColumns, .noise = PpcaConfig::Noise::kDiagonal}, kDouble);
  EXPECT_THROW(factors.set_closed_form(x.mean(0), covariance_of(x)), ConfigError);
  Ppca model(kExact, kDouble);
  EXPECT_THROW(model.set_closed_form(x.mean(0), at::zeros({3, 3}, kDouble)), ShapeError);
  EXPECT_THROW(model.set_closed_form(x.mean(0), at::zeros({kColumns, kColumns}, kDouble)),
               NumericError);
  EXPECT_THROW((void)model.bound(x), UnsupportedError);
}

}  // namespace
}  // namespace elbo
