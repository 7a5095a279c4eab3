#include "elbo/models/semi_supervised.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "elbo/nn/labelled_linear.h"

namespace elbo {

void SemiSupervisedConfig::validate() const {
  if (data_dim < 1) throw ConfigError(fmt::format("data_dim = {}; expected >= 1", data_dim));
  if (classes < 2) throw ConfigError(fmt::format("classes = {}; expected >= 2", classes));
  if (latent_dim < 1) throw ConfigError(fmt::format("latent = {}; expected >= 1", latent_dim));
  if (hidden.empty())
    throw ConfigError("hidden = none; expected one hidden layer or more, in which x and y meet");
  if (features && features->data_dim != data_dim)
    throw ConfigError(
        fmt::format("features of {} values a row; expected {}", features->data_dim, data_dim));
  if (features && features->weights != Weights::kPoint)
    throw ConfigError("features with --weights bayes; expected point");
}

nlohmann::json SemiSupervisedConfig::to_json() const {
  nlohmann::json out = {{"model", "semi-supervised"},
                        {"data_dim", data_dim},
                        {"classes", classes},
                        {"latent", latent_dim},
                        {"hidden", hidden},
                        {"activation", nn::to_string(activation)},
                        {"likelihood", to_string(likelihood)},
                        {"sigma_min", sigma_min}};
  if (features) out["features"] = features->to_json();
  return out;
}

SemiSupervisedConfig SemiSupervisedConfig::from_json(const nlohmann::json& config) {
  SemiSupervisedConfig out;
  try {
    out.data_dim = config.at("data_dim").get<int64_t>();
    out.classes = config.at("classes").get<int64_t>();
    out.latent_dim = config.at("latent").get<int64_t>();
    out.hidden = config.at("hidden").get<std::vector<int64_t>>();
    out.activation = nn::parse_activation(config.at("activation").get<std::string>());
    out.likelihood = parse_likelihood(config.at("likelihood").get<std::string>());
    out.sigma_min = config.at("sigma_min").get<double>();
    if (config.contains("features")) out.features = VaeConfig::from_json(config.at("features"));
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(std::string("a semi-supervised model's configuration: ") + e.what());
  }
  out.validate();
  return out;
}

namespace {

NamedParameters named(const torch::nn::Module& module, const std::string& prefix) {
  NamedParameters out;
  for (const auto& item : module.named_parameters())
    out.emplace_back(prefix + item.key(), item.value());
  return out;
}

}  // namespace

struct SemiSupervised::Labelled : torch::nn::Module {
  Labelled(int64_t in, int64_t labels, const std::vector<int64_t>& widths,
           nn::Activation activation, const at::TensorOptions& options)
      : activation(activation),
        first(register_module(
            "first", std::make_shared<nn::LabelledLinear>(in, labels, widths.front(), options))),
        hidden(register_module(
            "hidden", std::make_shared<nn::Mlp>(
                          widths.front(), std::vector<int64_t>(widths.begin() + 1, widths.end()),
                          activation, options))) {}

  template <class Head>
  void end_in(const std::shared_ptr<Head>& head) {
    register_module("head", head);
    to_distribution = [head](const at::Tensor& h) { return head->forward(h); };
  }
  Independent forward(const at::Tensor& x, const at::Tensor& y) const {
    return to_distribution(hidden->forward(first->forward(x, y, activation)));
  }

  nn::Activation activation;
  std::shared_ptr<nn::LabelledLinear> first;
  std::shared_ptr<nn::Mlp> hidden;
  std::function<Independent(const at::Tensor&)> to_distribution;
};

struct SemiSupervised::Classifier : torch::nn::Module {
  Classifier(int64_t in, int64_t labels, const std::vector<int64_t>& widths,
             nn::Activation activation, const at::TensorOptions& options)
      : hidden(
            register_module("hidden", std::make_shared<nn::Mlp>(in, widths, activation, options))),
        logits(register_module("logits",
                               std::make_shared<nn::Linear>(hidden->out(), labels, options))) {}
  Categorical forward(const at::Tensor& x) const {
    return Categorical::from_logits(logits->forward(hidden->forward(x)));
  }

  std::shared_ptr<nn::Mlp> hidden;
  std::shared_ptr<nn::Linear> logits;
};

SemiSupervised::SemiSupervised(SemiSupervisedConfig config, const at::TensorOptions& options)
    : config_(std::move(config)) {
  config_.validate();
  const auto& c = config_;
  log_prior_ = at::zeros({c.classes}, options.requires_grad(false));
  const int64_t seen = c.features ? c.features->latent_dim : c.data_dim;
  classifier_ = std::make_shared<Classifier>(seen, c.classes, c.hidden, c.activation, options);
  encoder_ = std::make_shared<Labelled>(seen, c.classes, c.hidden, c.activation, options);
  const int64_t last = c.hidden.back();
  encoder_->end_in(
      std::make_shared<nn::GaussianHead>(last, c.latent_dim, nn::GaussianHeadOptions{}, options));
  const std::vector<int64_t> reversed(c.hidden.rbegin(), c.hidden.rend());
  decoder_ = std::make_shared<Labelled>(c.latent_dim, c.classes, reversed, c.activation, options);
  if (c.features)
    decoder_->end_in(std::make_shared<nn::GaussianHead>(c.hidden.front(), seen,
                                                        nn::GaussianHeadOptions{}, options));
  else if (c.likelihood == Likelihood::kBernoulli)
    decoder_->end_in(std::make_shared<nn::BernoulliHead>(c.hidden.front(), seen, options));
  else
    decoder_->end_in(std::make_shared<nn::GaussianHead>(
        c.hidden.front(), seen, gaussian_head(c.likelihood, c.sigma_min), options));
  if (!c.features) return;
  features_ = std::make_unique<Vae>(*c.features, options);
  for (auto [name, parameter] : fixed()) parameter.set_requires_grad(false);
}

Program SemiSupervised::model() const {
  return [this](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto prior = Categorical::from_logits(log_prior_);
    const auto y = b.has("y") ? t.observe("y", prior, b["y"]) : t.sample("y", prior);
    const auto z2 = t.sample("z2", Normal::standard({config_.latent_dim}, b.options()).to_event(1));
    const auto seen = decoder_->forward(z2, y);
    if (features_)
      t.observe("x", features_->decode(t.sample("z1", seen)), b["x"]);
    else
      t.observe("x", seen, b["x"]);
  };
}

Program SemiSupervised::guide() const {
  return [this](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto x = b["x"].unsqueeze(0);  // [1, M, D]
    const auto seen = features_ ? t.sample("z1", features_->encode(x)) : x;
    const auto q = classifier_->forward(seen);
    const auto y = b.has("y") ? t.observe("y", q, b["y"]) : t.sample("y", q);
    t.sample("z2", encoder_->forward(seen, y));
  };
}

std::vector<std::pair<std::string, NamedParameters>> SemiSupervised::parameters() const {
  auto phi = named(*classifier_, "classifier.");
  const auto of_encoder = named(*encoder_, "encoder.");
  phi.insert(phi.end(), of_encoder.begin(), of_encoder.end());
  return {{"theta", named(*decoder_, "decoder.")}, {"phi", phi}};
}

NamedParameters SemiSupervised::fixed() const {
  NamedParameters out;
  if (!features_) return out;
  for (const auto& [name, parameter] : named_parameters(*features_))
    out.emplace_back("features." + name, parameter);
  return out;
}

void SemiSupervised::set_features(const Vae& vae) {
  if (!features_ || features_->config() != vae.config())
    throw ConfigError("SemiSupervised: set_features of a model that has no features like these");
  const at::NoGradGuard no_grad;
  const auto from = named_parameters(vae), to = named_parameters(*features_);
  for (size_t i = 0; i < to.size(); ++i) to[i].second.detach().copy_(from[i].second);
}

at::Tensor SemiSupervised::features_of(const at::Tensor& x) const {
  return features_ ? features_->encode(x).mean() : x;
}

Categorical SemiSupervised::classify(const at::Tensor& x) const {
  return classifier_->forward(features_of(x));
}

Independent SemiSupervised::style(const at::Tensor& x, const at::Tensor& y) const {
  return encoder_->forward(features_of(x), y);
}

Independent SemiSupervised::generate(const at::Tensor& y, const at::Tensor& z2) const {
  const auto seen = decoder_->forward(z2, y);
  return features_ ? features_->decode(seen.mean()) : seen;
}

Independent SemiSupervised::encode(const at::Tensor& x) const {
  const auto y = classify(x).mode();
  const auto law = style(x, y);
  const auto mean = law.mean();
  const auto sure = at::one_hot(y, config_.classes).to(mean.scalar_type());
  return Normal(at::cat({sure, mean}, -1),
                at::cat({at::zeros_like(sure), law.variance().sqrt()}, -1), Validate::kNo)
      .to_event(1);
}

Independent SemiSupervised::decode(const at::Tensor& z) const {
  const auto y = z.narrow(-1, 0, config_.classes).argmax(-1);
  return generate(y, z.narrow(-1, config_.classes, config_.latent_dim).contiguous());
}

at::Tensor SemiSupervised::sample_prior(int64_t count, const Noise& noise) const {
  const auto y = Categorical::from_logits(log_prior_).sample(noise.site("y"), {count});
  const auto z2 = Normal::standard({count, config_.latent_dim}, log_prior_.options()).sample(noise);
  return at::cat({at::one_hot(y, config_.classes).to(z2.scalar_type()), z2}, -1);
}

bool SemiSupervised::needs_unit_interval() const {
  if (features_) return features_->needs_unit_interval();
  return config_.likelihood == Likelihood::kBernoulli ||
         config_.likelihood == Likelihood::kGaussianSigmoid;
}

nlohmann::json SemiSupervised::config() const { return config_.to_json(); }

}  // namespace elbo
