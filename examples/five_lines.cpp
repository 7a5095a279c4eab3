// Expected: better than -170 nats: yes
// Learns a variational auto-encoder on the built-in digits: five lines, and what they need.
#include <elbo/elbo.h>

#include <cstdint>
#include <cstdio>

int main() {
  const auto set = elbo::data::load("digits");
  const elbo::data::BatchSource digits(set.train, set.scale, elbo::data::Binarize::kNone,
                                       at::kFloat);
  const elbo::Noise noise(/*seed=*/1);

  const elbo::Vae vae({.data_dim = 28 * 28, .latent_dim = 2}, at::kFloat);
  elbo::initialise_model(vae, elbo::nn::Init::kXavier, /*seed=*/1);
  elbo::FlatParameters weights(vae.parameters());
  elbo::Aevb aevb(vae.model(), vae.guide(), weights, elbo::make_optimizer("adam", weights, 1e-3));
  for (int64_t i = 0; i < 300; ++i) aevb.step(digits.range(100 * i, 100, noise), noise.step(i));

  const elbo::data::BatchSource test(set.test, set.scale, elbo::data::Binarize::kNone, at::kFloat);
  const auto bound = elbo::evaluate_elbo(vae, test);
  std::printf("test bound %.1f nats per digit\n", bound.mean);
  std::printf("better than -170 nats: %s\n", bound.mean > -170 ? "yes" : "no");
}
