#include "elbo/models/bayesian_decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/normal.h"

namespace elbo {
namespace {

constexpr const char* kSite = "decoder.weights";

nn::WeightShapes shapes_of(const BayesianDecoderConfig& c) {
  nn::WeightShapes out;
  int64_t in = c.latent_dim;
  const auto add = [&](const std::string& layer, int64_t width) {
    out.push_back({layer + ".weight", {width, in}});
    out.push_back({layer + ".bias", {width}});
  };
  for (size_t i = 0; i < c.widths.size(); ++i) {
    add("hidden." + std::to_string(i), c.widths[i]);
    in = c.widths[i];
  }
  if (c.bernoulli) {
    add("head.logits", c.data_dim);
  } else {
    add("head.mu", c.data_dim);
    if (!c.gaussian.unit_variance) add("head.log_var", c.data_dim);
  }
  return out;
}

/// Scales that p(W) has of a weight: of each row and column of a matrix, one of a bias vector.
int64_t scales_of(const std::vector<int64_t>& shape) {
  return shape.size() == 2 ? shape[0] + shape[1] : 1;
}

}  // namespace

BayesianDecoder::BayesianDecoder(BayesianDecoderConfig config, const at::TensorOptions& type)
    : config_(std::move(config)), posterior_(shapes_of(config_), config_.posterior, type) {
  nn::check_weight_draws(config_.posterior.family, config_.draws);
  int64_t count = 0;
  for (const auto& [name, shape] : posterior_.shapes()) count += scales_of(shape);
  prior_log_scale_ = at::zeros({count}, type).requires_grad_();
}

NamedParameters BayesianDecoder::prior_parameters() const {
  return {{"prior_log_scale", prior_log_scale_}};
}

at::Tensor BayesianDecoder::sample_prior(Trace& trace) const {
  std::vector<at::Tensor> log_vars;
  int64_t first = 0;
  for (const auto& [name, shape] : posterior_.shapes()) {
    const auto scales = 2 * prior_log_scale_.narrow(0, first, scales_of(shape));
    first += scales_of(shape);
    if (shape.size() == 2) {
      const auto of_rows = scales.narrow(0, 0, shape[0]),
                 of_columns = scales.narrow(0, shape[0], shape[1]);
      const double start = -std::log(static_cast<double>(shape[1]));
      log_vars.push_back((of_rows.unsqueeze(1) + of_columns + start).flatten());
    } else {
      log_vars.push_back(scales.expand(shape));
    }
  }
  const auto log_var = at::cat(log_vars);
  const auto loc = at::zeros_like(log_var, log_var.options().requires_grad(false));
  return trace.sample(kSite, Normal::from_log_var(loc, log_var).to_event(1));
}

void BayesianDecoder::sample_posterior(Trace& trace) const {
  trace.sample(kSite, *posterior_.law());
}

Independent BayesianDecoder::forward(Trace& trace, const at::Tensor& z,
                                     const at::Tensor& weights) const {
  const nn::BayesianLayers layers(posterior_, config_.draws, weights, [&](const std::string& name) {
    return trace.noise("decoder." + name);
  });
  return through(z, [&](const at::Tensor& x, const std::string& name, nn::Activation activation) {
    return layers.linear(x, name, activation);
  });
}

Independent BayesianDecoder::at_mean(const at::Tensor& z) const {
  return through(z, [&](const at::Tensor& x, const std::string& name, nn::Activation activation) {
    return nn::linear(x, posterior_.loc(name + ".weight"), posterior_.loc(name + ".bias"),
                      activation);
  });
}

Independent BayesianDecoder::through(at::Tensor x, const Layer& layer) const {
  for (size_t i = 0; i < config_.widths.size(); ++i)
    x = layer(x, "hidden." + std::to_string(i), config_.activation);
  constexpr auto kLinear = nn::Activation::kIdentity;
  if (config_.bernoulli)
    return Bernoulli::from_logits(layer(x, "head.logits", kLinear)).to_event(1);
  const auto mu = layer(x, "head.mu", kLinear);
  const auto log_var =
      config_.gaussian.unit_variance ? at::Tensor() : layer(x, "head.log_var", kLinear);
  return nn::gaussian_law(mu, log_var, config_.gaussian);
}

}  // namespace elbo
