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

namespace {

/// Pixel means of every class for styles [M, latent]: [M, K, D].
at::Tensor with_styles(const SemiSupervised& model, const at::Tensor& styles) {
  const auto y = at::arange(model.classes(), at::kLong);
  const auto z2 = styles.unsqueeze(1).expand({-1, model.classes(), -1}).contiguous();
  return model.generate(y, z2).mean();
}

}  // namespace

at::Tensor class_samples(const SemiSupervised& model, int64_t count, const Noise& noise) {
  const at::NoGradGuard no_grad;
  const auto options = named_parameters(model).front().second.options().requires_grad(false);
  return with_styles(model,
                     noise.site("z2").draws(count).normal({count, model.style_dim()}, options));
}

at::Tensor in_every_class(const SemiSupervised& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  return with_styles(model, model.style(x, model.classify(x).mode()).mean());
}

at::Tensor reconstruct(const Model& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  return model.decode(model.encode(x).mean()).mean();
}

}  // namespace elbo
