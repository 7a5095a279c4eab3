#include "elbo/nn/bayesian_linear.h"

#include <ATen/ATen.h>

#include <array>
#include <utility>

#include "elbo/error.h"

namespace elbo::nn {
namespace {

constexpr std::array<std::pair<const char*, WeightDraws>, 3> kDraws = {{
    {"shared", WeightDraws::kShared},
    {"local", WeightDraws::kLocal},
    {"flipout", WeightDraws::kFlipout},
}};

/// x W^T without a bias, each particle with its own W.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight) {
  return x.matmul(weight.squeeze(1).transpose(-2, -1));
}

at::Tensor signs(const Noise& noise, at::IntArrayRef shape, const at::TensorOptions& type) {
  return noise.uniform(shape, type).sub_(0.5).sign_();
}

}  // namespace

WeightDraws parse_weight_draws(const std::string& name) {
  for (const auto& [known, draws] : kDraws)
    if (name == known) return draws;
  throw ConfigError("weight draws = '" + name + "'; expected shared, local or flipout");
}

std::string to_string(WeightDraws draws) {
  for (const auto& [name, known] : kDraws)
    if (known == draws) return name;
  throw ConfigError("unknown weight draws");
}

at::Tensor shared_linear(const at::Tensor& x, const LayerWeights& draw, Activation activation) {
  if (draw.weight.size(0) == 1) return linear(x, draw.weight[0][0], draw.bias[0][0], activation);
  return activate(product(x, draw.weight) + draw.bias, activation);
}

Moments linear_moments(const at::Tensor& x, const LayerWeights& mean,
                       const LayerWeights& variance) {
  return {linear(x, mean.weight, mean.bias), linear(x.square(), variance.weight, variance.bias)};
}

at::Tensor local_linear(const at::Tensor& x, const LayerWeights& mean, const LayerWeights& variance,
                        const Noise& noise, Activation activation) {
  const auto y = linear_moments(x, mean, variance);
  const auto epsilon = noise.normal(y.mean.sizes(), y.mean.options().requires_grad(false));
  return activate(at::addcmul(y.mean, y.variance.sqrt(), epsilon), activation);
}

at::Tensor flipout_linear(const at::Tensor& x, const LayerWeights& mean, const LayerWeights& draw,
                          const Noise& noise, Activation activation) {
  const auto y = linear(x, mean.weight, mean.bias);
  const auto type = y.options().requires_grad(false);
  const auto deviation =
      product(x * signs(noise.site("in"), x.sizes(), type), draw.weight - mean.weight) +
      (draw.bias - mean.bias);
  return activate(at::addcmul(y, deviation, signs(noise.site("out"), y.sizes(), type)), activation);
}

void check_weight_draws(WeightFamily family, WeightDraws draws) {
  if (draws != WeightDraws::kShared && family != WeightFamily::kMeanField)
    throw ConfigError("weight draws = '" + to_string(draws) +
                      "' belong to independent weights; expected a mean-field q(W), or 'shared'");
}

BayesianLayers::BayesianLayers(const WeightPosterior& posterior, WeightDraws draws,
                               at::Tensor weights,
                               std::function<Noise(const std::string& layer)> noise)
    : posterior_(posterior), draws_(draws), weights_(std::move(weights)), noise_(std::move(noise)) {
  check_weight_draws(posterior.options().family, draws);
  if (draws == WeightDraws::kLocal) variance_ = posterior.variance();
}

LayerWeights BayesianLayers::of(const at::Tensor& weights, const std::string& name) const {
  return {posterior_.part(weights, name + ".weight"), posterior_.part(weights, name + ".bias")};
}

LayerWeights BayesianLayers::mean_of(const std::string& name) const {
  return {posterior_.loc(name + ".weight"), posterior_.loc(name + ".bias")};
}

at::Tensor BayesianLayers::linear(const at::Tensor& x, const std::string& name,
                                  Activation activation) const {
  if (draws_ == WeightDraws::kLocal)
    return local_linear(x, mean_of(name), of(variance_, name), noise_(name), activation);
  if (draws_ == WeightDraws::kFlipout)
    return flipout_linear(x, mean_of(name), of(weights_, name), noise_(name), activation);
  return shared_linear(x, of(weights_, name), activation);
}

Moments BayesianLayers::moments(const at::Tensor& x, const std::string& name) const {
  return linear_moments(x, mean_of(name), of(variance_, name));
}

}  // namespace elbo::nn
