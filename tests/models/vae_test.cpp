#include "elbo/models/vae.h"

#include "elbo/distributions/kl.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/inference/aevb.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

Batch grey_batch(int64_t rows, int64_t dim) {
  return {.columns = {{"x", Noise(9).uniform({rows, dim}, kDouble)}},
          .rows = at::arange(rows, at::kLong),
          .total = 10 * rows};
}

class EveryVae : public ::testing::TestWithParam<std::tuple<Likelihood, Encoder>> {};

TEST_P(EveryVae, BoundIsReconstructionLessKlAndLearns) {
  const auto [likelihood, encoder] = GetParam();
  const Vae vae({.data_dim = 6,
                 .latent_dim = 2,
                 .hidden = {8},
                 .likelihood = likelihood,
                 .encoder = encoder,
                 .sigma_min = 0.05},
                kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const auto batch = grey_batch(20, 6);
  const Noise noise(2);
  const Bound bound = Sgvb{.num_particles = 3}(vae.model(), vae.guide(), batch, noise);
  ASSERT_EQ(bound.rows().sizes(), at::IntArrayRef({3, 20}));

  // The terms again, from encoder and decoder alone.
  const auto q = vae.encode(batch["x"]);
  const auto z = q.rsample(noise.site("z").particles(3).rows(batch.rows), {3});
  const auto reconstruction = vae.decode(z).log_prob(batch["x"]);
  const auto kl = kl_divergence(q, Normal::standard({2}, kDouble).to_event(1));
  EXPECT_TRUE(at::allclose(bound.reconstruction, reconstruction, 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(bound.kl[0], kl, 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(bound.rows(), reconstruction - kl, 1e-13, 1e-13));

  FlatParameters parameters(vae.parameters());
  Aevb learner(vae.model(), vae.guide(), parameters, make_optimizer("adam", parameters, 0.01));
  const double first = learner.step(batch, noise).elbo;
  double last = first;
  for (uint64_t step = 1; step < 200; ++step) last = learner.step(batch, noise.step(step)).elbo;
  EXPECT_GT(last, first + 0.01);
}

INSTANTIATE_TEST_SUITE_P(
    AllHeads, EveryVae,
    ::testing::Combine(::testing::Values(Likelihood::kBernoulli, Likelihood::kGaussian,
                                         Likelihood::kGaussianSigmoid, Likelihood::kGaussianUnit),
                       ::testing::Values(Encoder::kGaussian, Encoder::kGaussianTanh,
                                         Encoder::kGaussianUnit)));

TEST(Vae, DecoderMirrorsTheEncoderAtAnyDepth) {
  const Vae vae({.data_dim = 6, .latent_dim = 2, .hidden = {8, 5, 3}}, kDouble);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, w] : named_parameters(vae)) shapes[name] = w.sizes().vec();
  EXPECT_EQ(shapes["encoder.hidden.2.weight"], (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(shapes["decoder.hidden.0.weight"], (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(shapes["decoder.head.logits.weight"], (std::vector<int64_t>{6, 8}));
}

TEST(Vae, SegmentsAreThetaAndPhi) {
  const Vae vae({.data_dim = 6}, kDouble);
  const auto parameters = vae.parameters();
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].first, "theta");
  EXPECT_TRUE(parameters[0].second.front().first.starts_with("decoder."));
  EXPECT_EQ(parameters[1].first, "phi");
}

TEST(Vae, RefusesImpossibleSizes) {
  EXPECT_THROW(Vae({.data_dim = 0}, kDouble), ConfigError);
  EXPECT_THROW(Vae({.data_dim = 3, .latent_dim = 0}, kDouble), ConfigError);
}

}  // namespace
}  // namespace elbo
