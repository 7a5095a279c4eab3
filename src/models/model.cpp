#include "elbo/models/model.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "elbo/distributions/normal.h"
#include "elbo/models/mixture.h"
#include "elbo/models/ppca.h"
#include "elbo/models/semi_supervised.h"
#include "elbo/models/vae.h"

namespace elbo {

at::Tensor Model::log_likelihood(const at::Tensor&) const { return {}; }

at::Tensor Model::sample_prior(int64_t count, const Noise& noise) const {
  const auto options = named_parameters(*this).front().second.options().requires_grad(false);
  return Normal::standard({count, latent_dim()}, options).sample(noise);
}

std::unique_ptr<Model> make_model(const nlohmann::json& config, const at::TensorOptions& options) {
  const auto kind = config.value("model", std::string());
  if (kind == "vae") return std::make_unique<Vae>(VaeConfig::from_json(config), options);
  if (kind == "mixture")
    return std::make_unique<Mixture>(MixtureConfig::from_json(config), options);
  if (kind == "ppca") return std::make_unique<Ppca>(PpcaConfig::from_json(config), options);
  if (kind == "semi-supervised")
    return std::make_unique<SemiSupervised>(SemiSupervisedConfig::from_json(config), options);
  throw ConfigError("model = '" + kind + "'; expected vae, mixture, ppca or semi-supervised");
}

void Model::initialise(nn::Init init, const Noise& noise) const {
  nn::initialise(named_parameters(*this), init, noise);
}

void initialise_model(const Model& model, nn::Init init, uint64_t seed) {
  model.initialise(init, Noise(seed).site("init"));
}

NamedParameters named_parameters(const Model& model) {
  NamedParameters out;
  for (auto& [segment, parameters] : model.parameters())
    out.insert(out.end(), parameters.begin(), parameters.end());
  return out;
}

NamedParameters saved_parameters(const Model& model) {
  auto out = named_parameters(model);
  const auto fixed = model.fixed();
  out.insert(out.end(), fixed.begin(), fixed.end());
  return out;
}

}  // namespace elbo
