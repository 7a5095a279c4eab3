#include "elbo/models/ppca.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/normal.h"

namespace elbo {

void PpcaConfig::validate() const {
  if (data_dim < 1) throw ConfigError(fmt::format("data_dim = {}; expected >= 1", data_dim));
  if (latent_dim < 1) throw ConfigError(fmt::format("latent = {}; expected >= 1", latent_dim));
}

nlohmann::json PpcaConfig::to_json() const {
  return {{"model", "ppca"},
          {"data_dim", data_dim},
          {"latent", latent_dim},
          {"noise", noise == Noise::kIsotropic ? "isotropic" : "diagonal"},
          {"guide", guide == Guide::kExact ? "exact" : "linear"}};
}

PpcaConfig PpcaConfig::from_json(const nlohmann::json& config) {
  PpcaConfig out;
  try {
    out.data_dim = config.at("data_dim").get<int64_t>();
    out.latent_dim = config.at("latent").get<int64_t>();
    const auto noise = config.at("noise").get<std::string>();
    if (noise != "isotropic" && noise != "diagonal")
      throw ConfigError("noise = '" + noise + "'; expected isotropic or diagonal");
    out.noise = noise == "isotropic" ? Noise::kIsotropic : Noise::kDiagonal;
    const auto guide = config.at("guide").get<std::string>();
    if (guide != "exact" && guide != "linear")
      throw ConfigError("guide = '" + guide + "'; expected exact or linear");
    out.guide = guide == "exact" ? Guide::kExact : Guide::kLinear;
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(std::string("a PPCA's configuration: ") + e.what());
  }
  out.validate();
  return out;
}

Ppca::Ppca(PpcaConfig config, const at::TensorOptions& options) : config_(config) {
  config_.validate();
  const int64_t columns = config_.data_dim, d = config_.latent_dim;
  const bool learnt = config_.guide == PpcaConfig::Guide::kLinear;
  const auto make = [&](at::IntArrayRef shape) {
    return at::zeros(shape, options).set_requires_grad(learnt);
  };
  weight_ = make({columns, d});
  loc_ = make({columns});
  log_variance_ = make({config_.noise == PpcaConfig::Noise::kIsotropic ? 1 : columns});
  if (!learnt) return;
  encoder_weight_ = make({d, columns});
  encoder_bias_ = make({d});
  encoder_log_variance_ = make({d});
}

void Ppca::set_closed_form(const at::Tensor& mean, const at::Tensor& covariance, double variance) {
  const int64_t columns = config_.data_dim, d = config_.latent_dim;
  if (config_.noise != PpcaConfig::Noise::kIsotropic)
    throw ConfigError("Ppca: factor analysis has no closed form; expected isotropic noise, or EM");
  if (d >= columns)
    throw ConfigError(
        fmt::format("Ppca: latent = {}; expected less than the {} columns", d, columns));
  if (mean.dim() != 1 || mean.size(0) != columns || covariance.dim() != 2 ||
      covariance.size(0) != columns || covariance.size(1) != columns)
    throw ShapeError(
        fmt::format("Ppca: expected a mean of [{0}] and a covariance of [{0}, {0}]", columns));
  const at::NoGradGuard no_grad;
  const auto [values, vectors] = at::linalg_eigh(covariance.to(at::kDouble));  // ascending
  const auto noise = variance > 0 ? at::full({1}, variance, values.options())
                                  : values.narrow(0, 0, columns - d).mean().view({1});
  if (!(noise.item<double>() > 0))
    throw NumericError(
        fmt::format("Ppca: the {} smallest eigenvalues are 0; expected noise, or a "
                    "variance that is given",
                    columns - d));
  const auto signal = (values.narrow(0, columns - d, d) - noise).clamp_min(0).sqrt();
  weight_.copy_((vectors.narrow(1, columns - d, d) * signal).flip(1));
  loc_.copy_(mean);
  log_variance_.copy_(noise.log());
}

LinearGaussian Ppca::linear_gaussian() const { return {weight_, loc_, log_variance_.exp()}; }

Program Ppca::model() const {
  return [this](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto z = t.sample("z", Normal::standard({config_.latent_dim}, b.options()).to_event(1));
    t.observe("x", decode(z), b["x"]);
  };
}

Program Ppca::guide() const {
  return [this](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    t.sample("z", encode(b["x"]));
  };
}

std::vector<std::pair<std::string, NamedParameters>> Ppca::parameters() const {
  NamedParameters phi;
  if (encoder_weight_.defined())
    phi = {{"encoder.weight", encoder_weight_},
           {"encoder.bias", encoder_bias_},
           {"encoder.log_variance", encoder_log_variance_}};
  return {{"theta", {{"weight", weight_}, {"loc", loc_}, {"log_variance", log_variance_}}},
          {"phi", phi}};
}

at::Tensor Ppca::encoder_mean(const at::Tensor& x) const {
  return at::linear(x, encoder_weight_, encoder_bias_);
}

Independent Ppca::encode(const at::Tensor& x) const {
  if (config_.guide == PpcaConfig::Guide::kLinear) {
    const auto mean = encoder_mean(x);
    return Normal::from_log_var(mean, encoder_log_variance_.expand_as(mean)).to_event(1);
  }
  const auto missing = x.isnan();
  const auto q = missing.any().item<bool>()
                     ? linear_gaussian_posterior(linear_gaussian(), x, missing.logical_not())
                     : linear_gaussian_posterior(linear_gaussian(), x);
  return Independent(std::make_shared<MultivariateNormal>(q.mean, q.scale_tril, Validate::kNo), 0);
}

Independent Ppca::decode(const at::Tensor& z) const {
  const auto mean = at::linear(z, weight_, loc_);
  return Normal::from_log_var(mean, log_variance_.expand_as(mean)).to_event(1);
}

at::Tensor Ppca::log_likelihood(const at::Tensor& x) const {
  return config_.guide == PpcaConfig::Guide::kExact ? marginal(x) : at::Tensor();
}

at::Tensor Ppca::marginal(const at::Tensor& x) const {
  const auto missing = x.isnan();
  if (!missing.any().item<bool>())
    return linear_gaussian_posterior(linear_gaussian(), x).log_likelihood;
  return linear_gaussian_posterior(linear_gaussian(), x, missing.logical_not()).log_likelihood;
}

at::Tensor Ppca::bound(const at::Tensor& x) const {
  if (!encoder_weight_.defined())
    throw UnsupportedError("Ppca: bound is of a linear guide; expected guide = linear");
  const auto mean = encoder_mean(x);
  const auto log_variance = log_variance_.expand({config_.data_dim});
  const auto precision = (-log_variance).exp();
  const auto spread = encoder_log_variance_.exp();
  const auto residual = x - at::linear(mean, weight_, loc_);
  const auto reconstruction =
      -0.5 * ((std::log(2 * std::numbers::pi) + log_variance).sum() +
              (residual.square() * precision).sum(1) +
              (weight_.square() * precision.unsqueeze(1)).sum(0).dot(spread));
  const auto kl = 0.5 * (mean.square().sum(1) + (spread - encoder_log_variance_ - 1).sum());
  return reconstruction - kl;
}

int64_t Ppca::degrees_of_freedom() const {
  const int64_t columns = config_.data_dim, d = std::min(config_.latent_dim, columns);
  return columns * d - d * (d - 1) / 2 + columns + log_variance_.numel();
}

nlohmann::json Ppca::config() const { return config_.to_json(); }

}  // namespace elbo
