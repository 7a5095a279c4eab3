// The bound of a Bayesian decoder has one mean, whichever way rows see the weights. n = 200 000
// draws of a minibatch of 4; the differences of means are told from 2 % of what the weights'
// uncertainty costs, which a decoder at the weights' mean would leave out.
#include "elbo/distributions/normal.h"
#include "elbo/models/bayesian_decoder.h"
#include "elbo/program/handlers.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using testing::Estimate;
using testing::estimate;
using testing::kZStar;

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kLatent = 1, kData = 2, kRows = 4, kDraws = 200'000;

at::Tensor codes() { return Noise(3).normal({1, kRows, kLatent}, kDouble); }
at::Tensor data() { return Noise(4).uniform({kRows, kData}, kDouble); }

BayesianDecoder decoder_of(nn::WeightDraws draws) {
  const BayesianDecoder decoder({.latent_dim = kLatent,
                                 .data_dim = kData,
                                 .widths = {3},
                                 .posterior = {.start_scale = 0.8},
                                 .draws = draws},
                                kDouble);
  nn::initialise(decoder.posterior_parameters(), nn::Init::kXavier, Noise(1));
  return decoder;
}

/// The minibatch's mean log p(x | z, W) over draws of W.
Estimate reconstruction(nn::WeightDraws draws) {
  const at::NoGradGuard no_grad;
  const auto decoder = decoder_of(draws);
  const Batch batch{.columns = {{"x", data()}}, .rows = at::arange(kRows), .total = kRows};
  const TraceOptions options{.num_particles = kDraws, .requires_grad = false};
  const Program guide = [&](Trace& t, const Batch&) { decoder.sample_posterior(t); };
  const Program model = [&](Trace& t, const Batch& b) {
    const auto w = decoder.sample_prior(t);
    const auto plate = t.plate("data", b.rows, b.total);
    t.observe("x", decoder.forward(t, codes().expand({kDraws, kRows, kLatent}), w), b["x"]);
  };
  const auto q = Trace::run(guide, batch, Noise(5), options);
  const auto p = Trace::run(replay(model, q), batch, Noise(5), options);
  return estimate(p.at("x").log_prob().mean(1));
}

double z_of_difference(const Estimate& a, double b, double error = 0) {
  return std::abs(a.mean - b) / std::hypot(a.standard_error, error);
}

TEST(BayesianDecoderStatistical, EveryKindOfDrawsHasTheSameMean) {
  const auto shared = reconstruction(nn::WeightDraws::kShared);
  const auto decoder = decoder_of(nn::WeightDraws::kShared);
  const double at_mean = decoder.at_mean(codes()).log_prob(data()).mean().item<double>();
  const double cost = at_mean - shared.mean;
  EXPECT_GT(z_of_difference(shared, at_mean), kZStar) << "planted: the weights' mean";
  for (const auto draws : {nn::WeightDraws::kLocal, nn::WeightDraws::kFlipout}) {
    const auto other = reconstruction(draws);
    EXPECT_LE(z_of_difference(other, shared.mean, shared.standard_error), kZStar)
        << nn::to_string(draws);
    EXPECT_LT(other.standard_error, shared.standard_error) << "rows do not share their noise";
    EXPECT_LT(kZStar * other.standard_error, 0.02 * cost) << "the smallest error that is seen";
  }
}

// Rows' p(x | z) under 200 000 draws of all weights, beside the law whose head is integrated and
// whose hidden layer alone is drawn.
TEST(BayesianDecoderStatistical, ThePredictiveLawIsTheMeanOverTheWeights) {
  const at::NoGradGuard no_grad;
  const auto decoder = decoder_of(nn::WeightDraws::kShared);
  const Batch batch{.columns = {{"x", data()}}, .rows = at::arange(kRows), .total = kRows};
  const TraceOptions options{.num_particles = kDraws, .requires_grad = false};
  const auto z = codes().expand({kDraws, kRows, kLatent});
  const Program guide = [&](Trace& t, const Batch&) { decoder.sample_posterior(t); };
  const Program drawn = [&](Trace& t, const Batch& b) {
    const auto w = decoder.sample_prior(t);
    const auto plate = t.plate("data", b.rows, b.total);
    t.observe("x", decoder.forward(t, z, w), b["x"]);
  };
  const Program integrated = [&](Trace& t, const Batch& b) {
    const auto plate = t.plate("data", b.rows, b.total);
    t.observe("x", decoder.predictive(t, z), b["x"]);
  };
  const auto q = Trace::run(guide, batch, Noise(5), options);
  const auto all = Trace::run(replay(drawn, q), batch, Noise(5), options).at("x").log_prob().exp();
  const auto some = Trace::run(integrated, batch, Noise(7), options).at("x").log_prob().exp();
  for (int64_t i = 0; i < kRows; ++i) {
    const auto a = estimate(all.select(1, i)), b = estimate(some.select(1, i));
    EXPECT_LE(z_of_difference(a, b.mean, b.standard_error), kZStar) << i;
    EXPECT_LT(b.standard_error, a.standard_error) << "the head's noise is gone";
    EXPECT_GT(
        z_of_difference(a, decoder.at_mean(codes()).log_prob(data()).exp()[0][i].item<double>()),
        kZStar)
        << "planted: the weights' mean";
  }
}

}  // namespace
}  // namespace elbo
