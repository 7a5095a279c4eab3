#include "elbo/models/bayesian_regression.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/normal.h"
#include "elbo/error.h"

namespace elbo {
namespace {

constexpr const char* kSite = "weights";
constexpr const char* kLayer = "eta";

/// E[sigmoid(eta)], eta ~ N(mean, scale^2): [M]. By the trapezoidal rule, whose error for a smooth
/// function falls faster than any power of the step; 400 steps give 1e-12 at scales up to 30.
at::Tensor mean_sigmoid(const at::Tensor& mean, const at::Tensor& scale) {
  constexpr double kEnd = 9;
  constexpr int64_t kSteps = 400;
  const auto z = at::linspace(-kEnd, kEnd, kSteps + 1, mean.options());
  const auto weight = (-0.5 * z.square()).exp();
  return (mean.unsqueeze(1) + scale.unsqueeze(1) * z).sigmoid().mv(weight / weight.sum());
}

}  // namespace

void BayesianRegressionConfig::validate() const {
  if (features < 1)
    throw ConfigError(fmt::format("BayesianRegression: features = {}; expected >= 1", features));
  if (!(prior_scale > 0))
    throw ConfigError(
        fmt::format("BayesianRegression: prior_scale = {}; expected > 0", prior_scale));
  if (!(noise_scale > 0))
    throw ConfigError(
        fmt::format("BayesianRegression: noise_scale = {}; expected > 0", noise_scale));
  posterior.validate();
  nn::check_weight_draws(posterior.family, draws);
}

BayesianRegression::BayesianRegression(BayesianRegressionConfig config,
                                       const at::TensorOptions& type)
    : config_(config) {
  config_.validate();
  const std::string layer = kLayer;
  posterior_ = std::make_shared<nn::WeightPosterior>(
      nn::WeightShapes{{layer + ".weight", {1, config_.features}}, {layer + ".bias", {1}}},
      config_.posterior, type);
}

Program BayesianRegression::model() const {
  return [posterior = posterior_, config = config_](Trace& t, const Batch& b) {
    const auto scale = at::full({posterior->size()}, config.prior_scale, b.options());
    const auto w = t.sample(kSite, Normal(at::zeros_like(scale), scale, Validate::kNo).to_event(1));
    const auto data = t.plate("data", b.rows, b.total);
    const nn::BayesianLayers layers(*posterior, config.draws, w,
                                    [&t](const std::string& layer) { return t.noise(layer); });
    const auto& x = b["x"];
    const auto eta = layers.linear(x.expand({w.size(0), -1, -1}), kLayer).squeeze(-1);
    if (config.response == Response::kBernoulli)
      t.observe("y", Bernoulli::from_logits(eta), b["y"]);
    else
      t.observe("y", Normal(eta, at::full({}, config.noise_scale, b.options()), Validate::kNo),
                b["y"]);
  };
}

Program BayesianRegression::guide() const {
  return [posterior = posterior_](Trace& t, const Batch&) { t.sample(kSite, *posterior->law()); };
}

std::vector<std::pair<std::string, NamedParameters>> BayesianRegression::parameters() const {
  return {{"phi", posterior_->parameters()}};
}

Prediction BayesianRegression::predict(const at::Tensor& x, double level) const {
  if (!(level > 0 && level < 1))
    throw ConfigError(fmt::format("predict: level = {}; expected 0 < level < 1", level));
  if (x.dim() != 2 || x.size(1) != config_.features)
    throw ShapeError(
        fmt::format("predict: x has {} columns; expected {}", x.size(-1), config_.features));
  const at::NoGradGuard no_grad;
  const auto inputs = x.to(at::kDouble);
  const auto design = at::cat({inputs, at::ones({x.size(0), 1}, inputs.options())}, 1);
  const auto eta = design.mv(posterior_->loc().to(at::kDouble));
  const auto covariance = posterior_->covariance().to(at::kDouble);
  const auto variance = (design.matmul(covariance) * design).sum(1);
  const double z = at::special_ndtri(at::full({}, 0.5 * (1 + level), at::kDouble)).item<double>();
  if (config_.response == Response::kBernoulli) {
    const auto scale = variance.sqrt();
    return {mean_sigmoid(eta, scale), (eta - z * scale).sigmoid(), (eta + z * scale).sigmoid()};
  }
  const auto scale = (variance + config_.noise_scale * config_.noise_scale).sqrt();
  return {eta, eta - z * scale, eta + z * scale};
}

}  // namespace elbo
