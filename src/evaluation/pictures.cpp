#include "elbo/evaluation/pictures.h"

#include <ATen/ATen.h>

#include "elbo/models/mixture.h"

namespace elbo {
at::Tensor sample_means(const Model& model, int64_t count, const Noise& noise,
                        const at::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  const auto draws = model.sample_prior(count, noise.site("z").draws(count)).to(options);
  return model.decode(draws).mean();
}

at::Tensor sample_data(const Model& model, int64_t count, const Noise& noise,
                       const at::TensorOptions& options) {
  const at::NoGradGuard no_grad;
  const auto draws = model.sample_prior(count, noise.site("z").draws(count)).to(options);
  return model.decode(draws).sample(noise.site("x").draws(count));
}

at::Tensor manifold(const Model& model, int64_t side, const at::TensorOptions& options) {
  if (dynamic_cast<const Mixture*>(&model) != nullptr)
    throw UnsupportedError("manifold: a mixture's latent variable is a component, not a plane");
  if (model.latent_dim() != 2)
    throw ConfigError("manifold: the model has " + std::to_string(model.latent_dim()) +
                      " latent dimensions; expected 2 (train with --latent 2)");
  const at::NoGradGuard no_grad;
  // Midpoints of equal cells, so that both ends stay finite.
  const auto u = (at::arange(side, options) + 0.5) / static_cast<double>(side);
  const auto axis = at::special_ndtri(u);
  const auto first = axis.expand({side, side});
  const auto second = axis.flip(0).unsqueeze(1).expand({side, side});
  return model.decode(at::stack({first, second}, -1).reshape({-1, 2})).mean();
}

at::Tensor reconstruct(const Model& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  return model.decode(model.encode(x).mean()).mean();
}

}  // namespace elbo
