#include "elbo/evaluation/elbo.h"

#include <cmath>

#include "elbo/models/ppca.h"
#include "elbo/models/vae.h"

namespace elbo {
namespace {

data::Part part(int64_t rows) {
  data::Part out;
  out.x = Noise(5).uniform({rows, 6}, at::kDouble);
  return out;
}

TEST(EvaluateElbo, IsTheMeanOverRowsWhateverTheBatchSize) {
  const Vae vae({.data_dim = 6, .latent_dim = 2, .hidden = {8}}, at::kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const data::BatchSource source(part(53), 1.0, data::Binarize::kSample, at::kDouble);
  EvaluateOptions options{.estimator = {.num_particles = 2}, .batch_size = 53, .seed = 4};
  const auto whole = evaluate_elbo(vae, source, options);
  const auto batch = source.range(0, 53, evaluation_noise(4));
  const auto rows =
      options.estimator(vae.model(), vae.guide(), batch, evaluation_noise(4)).rows().mean(0);
  EXPECT_NEAR(whole.mean, rows.mean().item<double>(), 1e-12);
  EXPECT_NEAR(whole.standard_error, rows.std().item<double>() / std::sqrt(53.0), 1e-12);
  EXPECT_NEAR(whole.mean, whole.reconstruction - whole.kl, 1e-12);
  options.batch_size = 10;
  const auto split = evaluate_elbo(vae, source, options);
  EXPECT_NEAR(split.mean, whole.mean, 1e-12);
  EXPECT_NEAR(split.standard_error, whole.standard_error, 1e-12);
}

TEST(EvaluateElbo, DrawVarianceIsThatOfTheMeanWithItsRowsHeldFixed) {
  const Vae vae({.data_dim = 6, .latent_dim = 2, .hidden = {8}}, at::kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const data::BatchSource source(part(40), 1.0, data::Binarize::kNone, at::kDouble);
  const EvaluateOptions options{.estimator = {.num_particles = 3}, .batch_size = 17, .seed = 4};
  const auto noise = evaluation_noise(4);
  const auto draws =
      options.estimator(vae.model(), vae.guide(), source.range(0, 40, noise), noise).rows();
  double expected = 0;  // of a sum of independent means of three draws
  for (int64_t row = 0; row < 40; ++row)
    expected += draws.select(1, row).var().item<double>() / 3 / (40.0 * 40.0);
  EXPECT_NEAR(evaluate_elbo(vae, source, options).draw_variance, expected, 1e-12 * expected);
  EXPECT_EQ(evaluate_elbo(vae, source).draw_variance, 0) << "one particle tells nothing";
}

TEST(EvaluateElbo, OfRowsWithGapsIsThatOfWhatIsThere) {
  const Ppca ppca({.data_dim = 6, .latent_dim = 2}, at::kDouble);
  for (auto& [name, parameter] : named_parameters(ppca))
    parameter.copy_(Noise(2).site(name).normal(parameter.sizes(), at::kDouble));
  auto with_mask = part(20);
  with_mask.mask = Noise(3).uniform({20, 6}, at::kDouble).gt(0.3);
  const data::BatchSource source(with_mask, 1.0, data::Binarize::kNone, at::kDouble);
  const auto gaps = with_mask.x.masked_fill(with_mask.mask.logical_not(), NAN);
  EXPECT_NEAR(evaluate_elbo(ppca, source).mean, ppca.log_likelihood(gaps).mean().item<double>(),
              1e-12);
  EXPECT_GT(std::abs(evaluate_elbo(ppca, source).mean -
                     ppca.log_likelihood(with_mask.x).mean().item<double>()),
            0.1);
}

TEST(EvaluateElbo, RefusesNoRows) {
  const Vae vae({.data_dim = 6}, at::kDouble);
  const data::BatchSource source(part(0), 1.0, data::Binarize::kNone, at::kDouble);
  EXPECT_THROW((void)evaluate_elbo(vae, source), DataError);
}

TEST(SmallestSigma, IsTheFloorWhenTheVarianceIsTiny) {
  const Vae vae({.data_dim = 6,
                 .latent_dim = 2,
                 .hidden = {8},
                 .likelihood = Likelihood::kGaussian,
                 .sigma_min = 0.02},
                at::kDouble);
  const at::NoGradGuard no_grad;
  for (auto [name, w] : named_parameters(vae))
    if (name == "decoder.head.log_var.bias") w.fill_(-100);
  const data::BatchSource source(part(5), 1.0, data::Binarize::kNone, at::kDouble);
  EXPECT_NEAR(smallest_sigma(vae, source), 0.02, 1e-12);
  const Vae bernoulli({.data_dim = 6}, at::kDouble);
  EXPECT_TRUE(std::isinf(smallest_sigma(bernoulli, source)));
}

}  // namespace
}  // namespace elbo
