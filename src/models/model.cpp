#include "elbo/models/model.h"

#include <nlohmann/json.hpp>

#include "elbo/models/vae.h"

namespace elbo {

std::unique_ptr<Model> make_model(const nlohmann::json& config, const at::TensorOptions& options) {
  const auto kind = config.value("model", std::string());
  if (kind == "vae") return std::make_unique<Vae>(VaeConfig::from_json(config), options);
  throw ConfigError("model = '" + kind + "'; expected vae");
}

void initialise_model(const Model& model, nn::Init init, uint64_t seed) {
  nn::initialise(named_parameters(model), init, Noise(seed).site("init"));
}

NamedParameters named_parameters(const Model& model) {
  NamedParameters out;
  for (auto& [segment, parameters] : model.parameters())
    out.insert(out.end(), parameters.begin(), parameters.end());
  return out;
}

}  // namespace elbo
