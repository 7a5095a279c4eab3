#include "elbo/models/vae.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "elbo/models/bayesian_decoder.h"

namespace elbo {
namespace {

template <class E, size_t N>
E parse(const std::array<std::pair<const char*, E>, N>& table, const char* setting,
        const std::string& value) {
  std::string known;
  for (const auto& [name, e] : table) {
    if (value == name) return e;
    known += known.empty() ? name : std::string(", ") + name;
  }
  throw ConfigError(fmt::format("{} = '{}'; expected one of {}", setting, value, known));
}

template <class E, size_t N>
std::string name_of(const std::array<std::pair<const char*, E>, N>& table, E value) {
  return std::find_if(table.begin(), table.end(), [=](auto& row) { return row.second == value; })
      ->first;
}

constexpr std::array<std::pair<const char*, Likelihood>, 4> kLikelihoods = {{
    {"bernoulli", Likelihood::kBernoulli},
    {"gaussian", Likelihood::kGaussian},
    {"gaussian-sigmoid", Likelihood::kGaussianSigmoid},
    {"gaussian-unit", Likelihood::kGaussianUnit},
}};
constexpr std::array<std::pair<const char*, Encoder>, 3> kEncoders = {{
    {"gaussian", Encoder::kGaussian},
    {"gaussian-tanh", Encoder::kGaussianTanh},
    {"gaussian-unit", Encoder::kGaussianUnit},
}};
constexpr std::array<std::pair<const char*, Weights>, 2> kWeights = {{
    {"point", Weights::kPoint},
    {"bayes", Weights::kBayes},
}};

}  // namespace

Likelihood parse_likelihood(const std::string& name) {
  return parse(kLikelihoods, "likelihood", name);
}
std::string to_string(Likelihood likelihood) { return name_of(kLikelihoods, likelihood); }

nn::GaussianHeadOptions gaussian_head(Likelihood likelihood, double sigma_min) {
  return {.mean = likelihood == Likelihood::kGaussianSigmoid ? nn::Activation::kSigmoid
                                                             : nn::Activation::kIdentity,
          .unit_variance = likelihood == Likelihood::kGaussianUnit,
          .sigma_min = sigma_min};
}

void VaeConfig::validate() const {
  if (data_dim < 1) throw ConfigError(fmt::format("data_dim = {}; expected >= 1", data_dim));
  if (latent_dim < 1) throw ConfigError(fmt::format("latent = {}; expected >= 1", latent_dim));
  if (sigma_min < 0) throw ConfigError(fmt::format("sigma_min = {}; expected >= 0", sigma_min));
}

nlohmann::json VaeConfig::to_json() const {
  return {{"model", "vae"},
          {"data_dim", data_dim},
          {"latent", latent_dim},
          {"hidden", hidden},
          {"activation", nn::to_string(activation)},
          {"likelihood", to_string(likelihood)},
          {"encoder", name_of(kEncoders, encoder)},
          {"sigma_min", sigma_min},
          {"weights", name_of(kWeights, weights)}};
}

VaeConfig VaeConfig::from_json(const nlohmann::json& config) {
  VaeConfig out;
  try {
    out.data_dim = config.at("data_dim").get<int64_t>();
    out.latent_dim = config.at("latent").get<int64_t>();
    out.hidden = config.at("hidden").get<std::vector<int64_t>>();
    out.activation = nn::parse_activation(config.at("activation").get<std::string>());
    out.likelihood = parse_likelihood(config.at("likelihood").get<std::string>());
    out.encoder = parse(kEncoders, "encoder", config.at("encoder").get<std::string>());
    out.sigma_min = config.at("sigma_min").get<double>();
    out.weights = parse(kWeights, "weights", config.value("weights", "point"));
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(std::string("a VAE's configuration: ") + e.what());
  }
  out.validate();
  return out;
}

struct Vae::Network : torch::nn::Module {
  Network(int64_t in, const std::vector<int64_t>& widths, nn::Activation activation,
          const at::TensorOptions& options)
      : hidden(register_module("hidden",
                               std::make_shared<nn::Mlp>(in, widths, activation, options))) {}

  void bernoulli(int64_t out, const at::TensorOptions& options) {
    const auto head = std::make_shared<nn::BernoulliHead>(hidden->out(), out, options);
    register_module("head", head);
    to_distribution = [head](const at::Tensor& features) { return head->forward(features); };
  }
  void gaussian(int64_t out, nn::GaussianHeadOptions settings, const at::TensorOptions& options) {
    const auto head = std::make_shared<nn::GaussianHead>(hidden->out(), out, settings, options);
    register_module("head", head);
    to_distribution = [head](const at::Tensor& features) { return head->forward(features); };
  }
  Independent forward(const at::Tensor& x) const { return to_distribution(hidden->forward(x)); }

  std::shared_ptr<nn::Mlp> hidden;
  std::function<Independent(const at::Tensor&)> to_distribution;
};

Vae::Vae(VaeConfig config, const at::TensorOptions& options) : config_(std::move(config)) {
  config_.validate();
  encoder_ =
      std::make_shared<Network>(config_.data_dim, config_.hidden, config_.activation, options);
  encoder_->gaussian(config_.latent_dim,
                     {.mean = config_.encoder == Encoder::kGaussianTanh ? nn::Activation::kTanh
                                                                        : nn::Activation::kIdentity,
                      .unit_variance = config_.encoder == Encoder::kGaussianUnit},
                     options);
  const std::vector<int64_t> reversed(config_.hidden.rbegin(), config_.hidden.rend());
  const bool bernoulli = config_.likelihood == Likelihood::kBernoulli;
  if (config_.weights == Weights::kBayes) {
    bayesian_decoder_ = std::make_shared<BayesianDecoder>(
        BayesianDecoderConfig{.latent_dim = config_.latent_dim,
                              .data_dim = config_.data_dim,
                              .widths = reversed,
                              .activation = config_.activation,
                              .bernoulli = bernoulli,
                              .gaussian = gaussian_head(config_.likelihood, config_.sigma_min)},
        options);
    return;
  }
  decoder_ = std::make_shared<Network>(config_.latent_dim, reversed, config_.activation, options);
  if (bernoulli)
    decoder_->bernoulli(config_.data_dim, options);
  else
    decoder_->gaussian(config_.data_dim, gaussian_head(config_.likelihood, config_.sigma_min),
                       options);
}

Independent Vae::encode(const at::Tensor& x) const { return encoder_->forward(x); }
Independent Vae::decode(const at::Tensor& z) const {
  return bayesian_decoder_ ? bayesian_decoder_->at_mean(z) : decoder_->forward(z);
}

Program Vae::model() const {
  return [this](Trace& t, const Batch& b) {
    const bool draw = bayesian_decoder_ && !integrate_;
    const auto weights = draw ? bayesian_decoder_->sample_prior(t) : at::Tensor();
    const auto data = t.plate("data", b.rows, b.total);
    const auto z = t.sample("z", Normal::standard({config_.latent_dim}, b.options()).to_event(1));
    const auto law = draw         ? bayesian_decoder_->forward(t, z, weights)
                     : integrate_ ? bayesian_decoder_->predictive(t, z)
                                  : decode(z);
    t.observe("x", law, b["x"]);
  };
}

Program Vae::guide() const {
  return [this](Trace& t, const Batch& b) {
    if (bayesian_decoder_ && !integrate_) bayesian_decoder_->sample_posterior(t);
    const auto data = t.plate("data", b.rows, b.total);
    // [1, M, D]: of the trace's batch shape already, where there is one particle.
    t.sample("z", encode(b["x"].unsqueeze(0)));
  };
}

nlohmann::json Vae::config() const { return config_.to_json(); }

std::vector<std::pair<std::string, NamedParameters>> Vae::parameters() const {
  const auto named = [](const NamedParameters& parameters, const std::string& prefix) {
    NamedParameters out;
    for (const auto& [name, parameter] : parameters) out.emplace_back(prefix + name, parameter);
    return out;
  };
  const auto of = [](const torch::nn::Module& module) {
    NamedParameters out;
    for (const auto& item : module.named_parameters()) out.emplace_back(item.key(), item.value());
    return out;
  };
  const auto phi = named(of(*encoder_), "encoder.");
  if (!bayesian_decoder_) return {{"theta", named(of(*decoder_), "decoder.")}, {"phi", phi}};
  return {{"theta", named(bayesian_decoder_->prior_parameters(), "decoder.")},
          {"phi", phi},
          {"xi", named(bayesian_decoder_->posterior_parameters(), "decoder.")}};
}

void Vae::initialise(nn::Init init, const Noise& noise) const {
  Model::initialise(init, noise);
  if (bayesian_decoder_) bayesian_decoder_->start_hidden_layers(noise.site("decoder"));
}

std::unique_ptr<Vae> Vae::at_mean_weights() const {
  std::map<std::string, at::Tensor> own;
  for (const auto& [name, parameter] : named_parameters(*this)) own[name] = parameter;
  if (bayesian_decoder_)
    for (const auto& [name, mean] : bayesian_decoder_->mean_weights())
      own["decoder." + name] = mean;
  auto config = config_;
  config.weights = Weights::kPoint;
  auto out = std::make_unique<Vae>(config, own.begin()->second.options().requires_grad(false));
  const at::NoGradGuard no_grad;
  for (auto [name, parameter] : named_parameters(*out)) parameter.copy_(own.at(name));
  return out;
}

std::unique_ptr<Vae> Vae::with_integrated_weights() const {
  if (!bayesian_decoder_)
    throw ConfigError("with_integrated_weights: a VAE with weights = point; expected bayes");
  auto out = std::make_unique<Vae>(*this);
  out->integrate_ = true;
  return out;
}

bool Vae::needs_unit_interval() const {
  return config_.likelihood == Likelihood::kBernoulli ||
         config_.likelihood == Likelihood::kGaussianSigmoid;
}

}  // namespace elbo
