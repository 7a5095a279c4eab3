#include "elbo/models/bayesian_decoder.h"

#include <cmath>
#include <map>
#include <numbers>

#include "distributions/quadrature.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/normal.h"
#include "elbo/error.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kLatent = 2, kWidth = 5, kData = 3, kRows = 4;

BayesianDecoder decoder_of(nn::WeightDraws draws, bool bernoulli = true, double start_scale = 0.1) {
  const BayesianDecoder decoder({.latent_dim = kLatent,
                                 .data_dim = kData,
                                 .widths = {kWidth},
                                 .bernoulli = bernoulli,
                                 .posterior = {.start_scale = start_scale},
                                 .draws = draws},
                                kDouble);
  nn::initialise(decoder.posterior_parameters(), nn::Init::kXavier, Noise(1));
  const auto basis = decoder.prior_parameters()[1].second;
  const at::NoGradGuard no_grad;
  basis.copy_(0.3 * Noise(6).normal(basis.sizes(), kDouble));
  return decoder;
}

Batch rows() { return {.columns = {}, .rows = at::arange(kRows), .total = kRows}; }

/// The mean of p(x | z, W) in a model, [L, M, data], and W, at W ~ q.
std::pair<at::Tensor, at::Tensor> pass(const BayesianDecoder& decoder, const at::Tensor& z) {
  const int64_t particles = z.size(0);
  const Program guide = [&](Trace& t, const Batch&) { decoder.sample_posterior(t); };
  const auto q = Trace::run(guide, rows(), Noise(2), {.num_particles = particles});
  at::Tensor mean, weights;
  const Program model = [&](Trace& t, const Batch& b) {
    weights = decoder.sample_prior(t);
    const auto data = t.plate("data", b.rows, b.total);
    mean = decoder.forward(t, z, weights).mean();
  };
  (void)Trace::run(replay(model, q), rows(), Noise(2), {.num_particles = particles});
  return {mean.detach(), weights.detach()};
}

TEST(BayesianDecoder, IsTheNetworkOfItsWeights) {
  const auto decoder = decoder_of(nn::WeightDraws::kShared);
  const auto z = Noise(3).normal({3, kRows, kLatent}, kDouble);
  const auto [found, weights] = pass(decoder, z);
  const auto b = at::eye(kWidth, kDouble) + decoder.prior_parameters()[1].second.detach();
  const auto network = [&](const at::Tensor& x, const at::Tensor& w) {  // one vector of weights
    const auto part = [&](const char* name) { return decoder.posterior().part(w, name); };
    const auto h = (x.matmul(part("hidden.0.weight").t()) + part("hidden.0.bias")).tanh();
    return (h.matmul(b.t()).matmul(part("head.logits.weight").t()) + part("head.logits.bias"))
        .sigmoid();
  };
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(found[i].allclose(network(z[i], weights[i][0]), 1e-13, 1e-13)) << i;
  EXPECT_FALSE(weights[0].allclose(weights[1])) << "each particle has its own";
  EXPECT_TRUE(
      decoder.at_mean(z).mean().allclose(network(z, decoder.posterior().loc()), 1e-13, 1e-13));
  const auto mean = decoder.mean_weights();
  ASSERT_EQ(mean.size(), 4u);
  EXPECT_EQ(mean[2].first, "head.logits.weight");
  const auto h = nn::linear(z, mean[0].second, mean[1].second, nn::Activation::kTanh);
  EXPECT_TRUE(nn::linear(h, mean[2].second, mean[3].second)
                  .sigmoid()
                  .allclose(decoder.at_mean(z).mean(), 1e-13, 1e-13));
}

TEST(BayesianDecoder, OfCertainWeightsIsTheOrdinaryOne) {
  const auto z = Noise(3).normal({3, kRows, kLatent}, kDouble);
  for (const auto draws :
       {nn::WeightDraws::kShared, nn::WeightDraws::kLocal, nn::WeightDraws::kFlipout}) {
    const auto certain = decoder_of(draws, true, 1e-9);
    EXPECT_TRUE(pass(certain, z).first.allclose(certain.at_mean(z).mean(), 1e-7, 1e-7));
    const auto uncertain = decoder_of(draws);
    EXPECT_FALSE(pass(uncertain, z).first.allclose(uncertain.at_mean(z).mean(), 1e-3, 1e-3));
  }
}

TEST(BayesianDecoder, PriorsAreScaledByTheInputsAndLearnable) {
  const auto decoder = decoder_of(nn::WeightDraws::kLocal);
  const auto prior_of = [&](Trace& t, const Batch&) { (void)decoder.sample_prior(t); };
  const auto variance = [&](const char* name) {
    const auto trace = Trace::run(prior_of, rows(), Noise(2));
    const auto all = trace.at("decoder.weights").distribution->variance()[0][0];
    return decoder.posterior().part(all, name);
  };
  const auto all_are = [](const at::Tensor& x, double value) {
    return x.sub(value).abs().lt(1e-14).all().item<bool>();
  };
  EXPECT_TRUE(all_are(variance("hidden.0.weight"), 1.0 / kLatent));
  EXPECT_TRUE(all_are(variance("head.logits.weight"), 1.0 / kWidth));
  EXPECT_TRUE(all_are(variance("head.logits.bias"), 1));
  EXPECT_EQ(decoder.prior_parameters()[1].second.sizes(), at::IntArrayRef({kWidth, kWidth}));
  const auto scale = decoder.prior_parameters()[0].second;
  // Of 5 rows, 2 columns, a bias; 3 rows, 5 columns, a bias.
  ASSERT_EQ(scale.numel(), kWidth + kLatent + 1 + kData + kWidth + 1);
  const at::NoGradGuard no_grad;
  const int64_t head = kWidth + kLatent + 1;
  scale[head + 1].fill_(std::log(3.0));
  scale[head + kData + 4].fill_(std::log(0.5));
  scale[-1].fill_(std::log(7.0));
  auto expected = at::full({kData, kWidth}, 1.0 / kWidth, kDouble);
  expected[1] *= 9;
  expected.select(1, 4) *= 0.25;
  EXPECT_TRUE(variance("head.logits.weight").allclose(expected, 1e-13, 0));
  EXPECT_NEAR(variance("head.logits.bias")[0].item<double>(), 49, 1e-12);
  EXPECT_TRUE(all_are(variance("hidden.0.weight"), 1.0 / kLatent));
}

TEST(BayesianDecoder, StartsHiddenLayersAtDrawsOfThePrior) {
  const BayesianDecoder decoder({.latent_dim = 3, .data_dim = 4, .widths = {400, 300}}, kDouble);
  nn::initialise(decoder.posterior_parameters(), nn::Init::kXavier, Noise(1));
  const auto head = decoder.posterior().loc("head.logits.weight").clone();
  decoder.start_hidden_layers(Noise(5));
  const auto deviation = [&](const char* name) {
    return decoder.posterior().loc(name).std().item<double>();
  };
  // 1 / sqrt(2 n) of relative error, 5 times.
  EXPECT_NEAR(deviation("hidden.0.weight") * std::sqrt(3), 1, 5 / std::sqrt(2 * 1200.0));
  EXPECT_NEAR(deviation("hidden.1.weight") * std::sqrt(400), 1, 5 / std::sqrt(2 * 120'000.0));
  EXPECT_NEAR(deviation("hidden.0.bias"), 1, 5 / std::sqrt(2 * 400.0));
  EXPECT_TRUE(decoder.posterior().loc("head.logits.weight").equal(head));
}

TEST(BayesianDecoder, HasGaussianHeads) {
  const auto decoder = decoder_of(nn::WeightDraws::kLocal, /*bernoulli=*/false);
  const auto z = Noise(3).normal({kRows, kLatent}, kDouble);
  const auto law = decoder.at_mean(z);
  std::map<std::string, at::Tensor> w;
  for (const auto& [name, mean] : decoder.mean_weights()) w[name] = mean;
  const auto h = nn::linear(z, w["hidden.0.weight"], w["hidden.0.bias"], nn::Activation::kTanh);
  const auto log_var = nn::linear(h, w["head.log_var.weight"], w["head.log_var.bias"]);
  EXPECT_TRUE(
      law.mean().allclose(nn::linear(h, w["head.mu.weight"], w["head.mu.bias"]), 1e-13, 1e-13));
  EXPECT_TRUE(law.variance().allclose(log_var.exp(), 1e-13, 1e-13));
  const BayesianDecoder unit({.latent_dim = kLatent,
                              .data_dim = kData,
                              .bernoulli = false,
                              .gaussian = {.unit_variance = true}},
                             kDouble);
  EXPECT_TRUE(unit.at_mean(z).variance().eq(1).all().item<bool>());
}

/// A decoder without hidden layers, so that its logits, or mean and log-variance, are normal.
BayesianDecoder linear_decoder(bool bernoulli, nn::GaussianHeadOptions gaussian,
                               double start_scale) {
  const BayesianDecoder decoder({.latent_dim = kLatent,
                                 .data_dim = kData,
                                 .widths = {},
                                 .bernoulli = bernoulli,
                                 .gaussian = gaussian,
                                 .posterior = {.start_scale = start_scale}},
                                kDouble);
  nn::initialise(decoder.posterior_parameters(), nn::Init::kXavier, Noise(1));
  return decoder;
}

at::Tensor predictive_log_prob(const BayesianDecoder& decoder, const at::Tensor& z,
                               const at::Tensor& x) {
  at::Tensor out;
  const Program model = [&](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    out = decoder.predictive(t, z).log_prob(x).detach();
  };
  (void)Trace::run(model, rows(), Noise(2));
  return out;
}

/// log E p(x_j | e), e ~ N(mean, sd^2), by quadrature far into the tails.
double log_average(const std::function<at::Tensor(const at::Tensor&)>& p, double mean, double sd) {
  return std::log(testing::integral(
      [&](const at::Tensor& e) {
        const auto u = (e - mean) / sd;
        return p(e) * (-0.5 * u.square()).exp() / (sd * std::sqrt(2 * std::numbers::pi));
      },
      mean - 12 * sd, mean + 12 * sd));
}

TEST(BayesianDecoder, PredictsWithTheHeadsWeightsIntegratedOut) {
  const auto z = Noise(3).normal({1, kRows, kLatent}, kDouble);
  const auto x = Noise(4).uniform({kRows, kData}, kDouble);  // grey
  struct Case {
    double scale, tolerance;
  };
  for (const auto& [scale, tolerance] : {Case{0.3, 1e-9}, Case{1, 1e-4}, Case{3, 1e-2}}) {
    const auto decoder = linear_decoder(true, {}, scale);
    const auto found = predictive_log_prob(decoder, z, x);
    const auto logits = nn::linear(z[0], decoder.posterior().loc("head.logits.weight"),
                                   decoder.posterior().loc("head.logits.bias"));
    for (int64_t i = 0; i < kRows; ++i) {
      const double sd = scale * std::sqrt(z[0][i].square().sum().item<double>() + 1);
      double truth = 0;
      for (int64_t j = 0; j < kData; ++j) {
        const double v = x[i][j].item<double>();
        truth += log_average([&](const at::Tensor& e) { return (v * e - e.exp().log1p()).exp(); },
                             logits[i][j].item<double>(), sd);
      }
      EXPECT_NEAR(found[0][i].item<double>(), truth, tolerance) << "sd " << sd;
    }
  }
}

TEST(BayesianDecoder, PredictsByGaussianHeads) {
  const auto z = Noise(3).normal({1, kRows, kLatent}, kDouble);
  const auto x = Noise(4).uniform({kRows, kData}, kDouble);
  const double scale = 0.2;
  const auto sd_of = [&](int64_t i) {
    return scale * std::sqrt(z[0][i].square().sum().item<double>() + 1);
  };
  // With unit variance in closed form: N(mu, 1 + sd^2).
  const auto unit = linear_decoder(false, {.unit_variance = true}, scale);
  const auto found = predictive_log_prob(unit, z, x);
  const auto mu = unit.at_mean(z).mean();
  for (int64_t i = 0; i < kRows; ++i) {
    const double variance = 1 + sd_of(i) * sd_of(i);
    const auto truth =
        -0.5 * ((x[i] - mu[0][i]).square() / variance + std::log(2 * std::numbers::pi * variance));
    EXPECT_NEAR(found[0][i].item<double>(), truth.sum().item<double>(), 1e-9);
  }
  // Mean and log-variance both unknown: one integral in closed form, the other by quadrature.
  const auto both = linear_decoder(false, {}, scale);
  const auto of_both = predictive_log_prob(both, z, x);
  const auto& q = both.posterior();
  const auto mean = nn::linear(z[0], q.loc("head.mu.weight"), q.loc("head.mu.bias"));
  const auto log_var = nn::linear(z[0], q.loc("head.log_var.weight"), q.loc("head.log_var.bias"));
  for (int64_t i = 0; i < kRows; ++i) {
    double truth = 0;
    for (int64_t j = 0; j < kData; ++j) {
      const double d = (x[i][j] - mean[i][j]).item<double>(), s = sd_of(i);
      truth += log_average(
          [&](const at::Tensor& e) {
            const auto variance = e.exp() + s * s;
            return (-0.5 * d * d / variance).exp() / (2 * std::numbers::pi * variance).sqrt();
          },
          log_var[i][j].item<double>(), s);
    }
    EXPECT_NEAR(of_both[0][i].item<double>(), truth, 1e-8);
  }
}

TEST(BayesianDecoder, OfCertainWeightsPredictsAsAtTheirMean) {
  const auto z = Noise(3).normal({1, kRows, kLatent}, kDouble);
  const auto x = Noise(4).uniform({kRows, kData}, kDouble);
  for (const bool bernoulli : {true, false}) {
    const auto decoder = decoder_of(nn::WeightDraws::kLocal, bernoulli, 1e-9);
    EXPECT_TRUE(
        predictive_log_prob(decoder, z, x).allclose(decoder.at_mean(z).log_prob(x), 1e-6, 1e-6));
  }
}

TEST(BayesianDecoder, RefusesDrawsThatAreNotOfTheLaw) {
  EXPECT_THROW(BayesianDecoder({.latent_dim = kLatent,
                                .data_dim = kData,
                                .widths = {kWidth},
                                .posterior = {.family = nn::WeightFamily::kCholesky}},
                               kDouble),
               ConfigError);
}

}  // namespace
}  // namespace elbo
