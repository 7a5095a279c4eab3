#include "elbo/models/bayesian_decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/mixture_same_family.h"
#include "elbo/distributions/normal.h"
#include "elbo/nn/linear.h"

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

/// The standard deviation that p(W) has of each number of a weight at the start.
double prior_start(const std::vector<int64_t>& shape) {
  return shape.size() == 2 ? 1 / std::sqrt(static_cast<double>(shape[1])) : 1;
}

/// Units that the head sees.
int64_t features_of(const BayesianDecoderConfig& c) {
  return c.widths.empty() ? c.latent_dim : c.widths.back();
}

/// E f(e), e ~ N(0, 1), as sum_k weights_k f(nodes_k); exact for polynomials of degree 2 n - 1.
struct NormalQuadrature {
  at::Tensor nodes, log_weights;  // [n]

  /// By the eigenvectors of Hermite polynomials' recurrence (Golub and Welsch 1969).
  NormalQuadrature(int64_t n, const at::TensorOptions& type) {
    const auto off = at::arange(1, n, at::kDouble).sqrt();
    const auto [values, vectors] = at::linalg_eigh(off.diag(1) + off.diag(-1));
    nodes = values.to(type);
    log_weights = vectors[0].square().log().to(type);
  }
};
constexpr int64_t kNodes = 24;

/// One pass through the network in a model's trace.
nn::BayesianLayers layers_of(Trace& trace, const nn::WeightPosterior& q, nn::WeightDraws draws,
                             const at::Tensor& weights) {
  return {q, draws, weights,
          [&trace](const std::string& name) { return trace.noise("decoder." + name); }};
}

auto drawn_by(const nn::BayesianLayers& layers) {
  return [&layers](const at::Tensor& x, const std::string& name, nn::Activation activation) {
    return layers.linear(x, name, activation);
  };
}

/// An activation's law at each node: mean [..] to [.., n].
at::Tensor at_nodes(const nn::Moments& y, const at::Tensor& nodes) {
  return y.mean.unsqueeze(-1) + y.variance.sqrt().unsqueeze(-1) * nodes;
}

/// sum_k w_k p_k(x), `component` of batch [.., D, n], as a law of events [D].
Independent averaged(const at::Tensor& log_weights, const DistributionPtr& component) {
  return MixtureSameFamily(Categorical::from_logits(log_weights), component).to_event(1);
}

}  // namespace

BayesianDecoder::BayesianDecoder(BayesianDecoderConfig config, const at::TensorOptions& type)
    : config_(std::move(config)), posterior_(shapes_of(config_), config_.posterior, type) {
  nn::check_weight_draws(config_.posterior.family, config_.draws);
  int64_t count = 0;
  for (const auto& [name, shape] : posterior_.shapes()) count += scales_of(shape);
  prior_log_scale_ = at::zeros({count}, type).requires_grad_();
  basis_ = at::zeros({features_of(config_), features_of(config_)}, type).requires_grad_();
}

NamedParameters BayesianDecoder::prior_parameters() const {
  return {{"prior_log_scale", prior_log_scale_}, {"basis", basis_}};
}

void BayesianDecoder::start_hidden_layers(const Noise& noise) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, shape] : posterior_.shapes()) {
    if (!name.starts_with("hidden.")) continue;
    auto loc = posterior_.loc(name);
    loc.copy_(prior_start(shape) * noise.site(name).normal(shape, loc.options()));
  }
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
      const double start = std::log(prior_start(shape));
      log_vars.push_back((of_rows.unsqueeze(1) + of_columns + 2 * start).flatten());
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
  const auto layers = layers_of(trace, posterior_, config_.draws, weights);
  return through(z, drawn_by(layers));
}

Independent BayesianDecoder::at_mean(const at::Tensor& z) const {
  return through(z, [&](const at::Tensor& x, const std::string& name, nn::Activation activation) {
    return nn::linear(x, posterior_.loc(name + ".weight"), posterior_.loc(name + ".bias"),
                      activation);
  });
}

Independent BayesianDecoder::predictive(Trace& trace, const at::Tensor& z) const {
  const auto layers = layers_of(trace, posterior_, nn::WeightDraws::kLocal, at::Tensor());
  const auto h = features(z, drawn_by(layers));
  const auto type = h.options().requires_grad(false);
  const NormalQuadrature over(kNodes, type);
  if (config_.bernoulli) {
    const auto logits = at_nodes(layers.moments(h, "head.logits"), over.nodes);
    return averaged(over.log_weights, Bernoulli::from_logits(logits).clone());
  }
  const bool linear = config_.gaussian.mean == nn::Activation::kIdentity;
  const auto mu = linear ? layers.moments(h, "head.mu")
                         : nn::Moments{layers.linear(h, "head.mu"), at::zeros({1}, type)};
  if (config_.gaussian.unit_variance) {
    const auto law = nn::gaussian_law(mu.mean, at::Tensor(), config_.gaussian);
    return Normal(law.mean(), (law.variance() + mu.variance).sqrt()).to_event(1);
  }
  const auto log_var = at_nodes(layers.moments(h, "head.log_var"), over.nodes);
  const auto law =
      nn::gaussian_law(mu.mean.unsqueeze(-1).expand_as(log_var), log_var, config_.gaussian);
  const auto variance = law.variance() + mu.variance.unsqueeze(-1);
  return averaged(over.log_weights, Normal(law.mean(), variance.sqrt()).clone());
}

NamedParameters BayesianDecoder::mean_weights() const {
  NamedParameters out;
  for (const auto& [name, shape] : posterior_.shapes()) {
    const auto mean = posterior_.loc(name);
    const bool of_features = name.starts_with("head.") && shape.size() == 2;
    out.emplace_back(name, of_features ? mean.matmul(basis()) : mean);
  }
  return out;
}

at::Tensor BayesianDecoder::basis() const {
  return basis_ + at::eye(basis_.size(0), basis_.options().requires_grad(false));
}

at::Tensor BayesianDecoder::features(at::Tensor x, const Layer& layer) const {
  for (size_t i = 0; i < config_.widths.size(); ++i)
    x = layer(x, "hidden." + std::to_string(i), config_.activation);
  return x.matmul(basis().t());
}

Independent BayesianDecoder::through(const at::Tensor& z, const Layer& layer) const {
  const auto h = features(z, layer);
  constexpr auto kLinear = nn::Activation::kIdentity;
  if (config_.bernoulli)
    return Bernoulli::from_logits(layer(h, "head.logits", kLinear)).to_event(1);
  const auto mu = layer(h, "head.mu", kLinear);
  const auto log_var =
      config_.gaussian.unit_variance ? at::Tensor() : layer(h, "head.log_var", kLinear);
  return nn::gaussian_law(mu, log_var, config_.gaussian);
}

}  // namespace elbo
