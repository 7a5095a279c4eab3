#include "support/model_config.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "elbo/error.h"
#include "elbo/models/ppca.h"
#include "elbo/models/semi_supervised.h"
#include "support/semi_supervised.h"

namespace elbo::cli {
namespace {

int64_t columns_of(const data::DataSet& set) {
  int64_t n = 1;
  for (const int64_t d : set.event_shape) n *= d;
  return n;
}

std::string likelihood_of(const Settings& settings, const data::DataSet& set) {
  const auto& word = settings.word("likelihood");
  return word != "auto" ? word : set.images() ? "bernoulli" : "gaussian";
}

nlohmann::json vae_config(const Settings& settings, const data::DataSet& set) {
  return {{"model", "vae"},
          {"data_dim", columns_of(set)},
          {"latent", settings.integer("latent")},
          {"hidden", settings.integers("hidden")},
          {"activation", settings.word("activation")},
          {"likelihood", likelihood_of(settings, set)},
          {"encoder", settings.word("encoder")},
          {"sigma_min", settings.real("sigma-min")},
          {"weights", settings.word("weights")}};
}

/// One more than the largest value of the categorical columns in either part.
int64_t categories_of(const std::vector<std::string>& families, const Settings& settings,
                      const data::DataSet& set) {
  double largest = -1;
  for (const data::Part* part : {&set.train, &set.test}) {
    if (part->rows() == 0) continue;
    const auto x = part->x.flatten(1);
    for (int64_t j = 0; j < x.size(1); ++j)
      if (families[families.size() == 1 ? 0 : static_cast<size_t>(j) % families.size()] ==
          "categorical")
        largest = std::max(largest, set.scale * x.select(1, j).max().item<double>());
  }
  if (largest > 0 && settings.word("binarize") != "none") largest = 1;
  return static_cast<int64_t>(largest) + 1;
}

nlohmann::json mixture_config(const Settings& settings, const data::DataSet& set) {
  std::vector<std::string> families;
  std::istringstream words(settings.word("family"));
  for (std::string word; std::getline(words, word, ',');) families.push_back(word);
  if (families.empty()) throw ConfigError("--family = ''; expected names with commas");
  const auto& concentration = settings.word("concentration");
  if (concentration != "auto" && settings.word("weights") != "bayes")
    throw ConfigError("--concentration " + concentration +
                      ": has no effect without --weights bayes");
  return {{"model", "mixture"},
          {"data_dim", columns_of(set)},
          {"components", settings.integer("components")},
          {"families", families},
          {"covariance", settings.word("covariance")},
          {"categories", categories_of(families, settings, set)},
          {"covariance_floor", settings.real("covariance-floor")},
          {"weights", settings.word("weights")},
          {"concentration",
           settings.word("concentration") == "auto" ? 0 : settings.real("concentration")}};
}

nlohmann::json ppca_config(const Settings& settings, const data::DataSet& set) {
  const PpcaConfig config{.data_dim = columns_of(set),
                          .latent_dim = settings.integer("latent"),
                          .noise = settings.word("model") == "fa" ? PpcaConfig::Noise::kDiagonal
                                                                  : PpcaConfig::Noise::kIsotropic,
                          .guide = settings.kind_of_learner() == "gradient"
                                       ? PpcaConfig::Guide::kLinear
                                       : PpcaConfig::Guide::kExact};
  return config.to_json();
}

nlohmann::json semi_supervised_config(const Settings& settings, const data::DataSet& set) {
  SemiSupervisedConfig config{.data_dim = columns_of(set),
                              .classes = set.train.labels.max().item<int64_t>() + 1,
                              .latent_dim = settings.integer("latent"),
                              .hidden = settings.integers("hidden"),
                              .activation = nn::parse_activation(settings.word("activation")),
                              .likelihood = parse_likelihood(likelihood_of(settings, set)),
                              .sigma_min = settings.real("sigma-min")};
  if (!settings.word("stack").empty())
    config.features = VaeConfig::from_json(open_features(settings).description.at("model"));
  return config.to_json();
}

}  // namespace

nlohmann::json model_config(const Settings& settings, const data::DataSet& set) {
  const auto& model = settings.word("model");
  if (model == "mixture") return mixture_config(settings, set);
  if (model == "ppca" || model == "fa") return ppca_config(settings, set);
  if (model == "semi-supervised") return semi_supervised_config(settings, set);
  return vae_config(settings, set);
}

}  // namespace elbo::cli
