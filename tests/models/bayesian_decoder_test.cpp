#include "elbo/models/bayesian_decoder.h"

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
  const auto network = [&](const at::Tensor& x, const at::Tensor& w) {  // one vector of weights
    const auto part = [&](const char* name) { return decoder.posterior().part(w, name); };
    const auto h = (x.matmul(part("hidden.0.weight").t()) + part("hidden.0.bias")).tanh();
    return (h.matmul(part("head.logits.weight").t()) + part("head.logits.bias")).sigmoid();
  };
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(found[i].allclose(network(z[i], weights[i][0]), 1e-13, 1e-13)) << i;
  EXPECT_FALSE(weights[0].allclose(weights[1])) << "each particle has its own";
  EXPECT_TRUE(
      decoder.at_mean(z).mean().allclose(network(z, decoder.posterior().loc()), 1e-13, 1e-13));
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

TEST(BayesianDecoder, HasGaussianHeads) {
  const auto decoder = decoder_of(nn::WeightDraws::kLocal, /*bernoulli=*/false);
  const auto z = Noise(3).normal({kRows, kLatent}, kDouble);
  const auto law = decoder.at_mean(z);
  const auto& q = decoder.posterior();
  const auto h =
      nn::linear(z, q.loc("hidden.0.weight"), q.loc("hidden.0.bias"), nn::Activation::kTanh);
  const auto log_var = nn::linear(h, q.loc("head.log_var.weight"), q.loc("head.log_var.bias"));
  EXPECT_TRUE(law.mean().equal(nn::linear(h, q.loc("head.mu.weight"), q.loc("head.mu.bias"))));
  EXPECT_TRUE(law.variance().allclose(log_var.exp(), 1e-13, 1e-13));
  const BayesianDecoder unit({.latent_dim = kLatent,
                              .data_dim = kData,
                              .bernoulli = false,
                              .gaussian = {.unit_variance = true}},
                             kDouble);
  EXPECT_TRUE(unit.at_mean(z).variance().eq(1).all().item<bool>());
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
