#include "elbo/models/mixture.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "elbo/distributions/categorical.h"
#include "elbo/distributions/conjugate.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/program/enumeration.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

// Words are the laws' names in lower case, with a hyphen before inner capitals.
std::string word_of(const std::string& law) {
  std::string word;
  for (size_t i = 0; i < law.size(); ++i) {
    const bool capital = law[i] >= 'A' && law[i] <= 'Z';
    if (capital && i > 0) word += '-';
    word += capital ? static_cast<char>(law[i] - 'A' + 'a') : law[i];
  }
  return word;
}

// Bounds that keep a component of few rows proper without moving any other estimate.
constexpr double kProbabilityFloor = 1e-10, kMeanFloor = 1e-10, kMaxConcentration = 1e5;

const std::array<std::pair<const char*, Covariance>, 4> kCovariances = {{
    {"full", Covariance::kFull},
    {"tied", Covariance::kTied},
    {"diagonal", Covariance::kDiagonal},
    {"spherical", Covariance::kSpherical},
}};

const std::string& law_of(const std::string& word) {
  static const auto laws = weighted_mle_laws();
  return *std::find_if(laws.begin(), laws.end(),
                       [&](const std::string& law) { return word_of(law) == word; });
}

/// Whether normal columns have a covariance matrix.
bool has_matrix(const MixtureConfig& c) {
  return c.covariance == Covariance::kFull || c.covariance == Covariance::kTied;
}

std::shared_ptr<const WeightedMle> family_of(const std::string& word, int64_t columns,
                                             const MixtureConfig& c, const ConjugatePrior& prior) {
  WeightedMleOptions options{.event_shape = {columns},
                             .num_categories = c.categories,
                             .variance_floor = c.covariance_floor,
                             .probability_floor = kProbabilityFloor,
                             .mean_floor = kMeanFloor,
                             .max_concentration = kMaxConcentration};
  const auto made = [&](const std::string& law) -> std::shared_ptr<const WeightedMle> {
    if (c.bayesian) return conjugate_family(law, options, prior);
    return weighted_mle(law, options);
  };
  if (word != "normal") return made(law_of(word));
  const bool whole = has_matrix(c);
  if (c.covariance == Covariance::kTied) options.shared_scale = SharedScale::kComponents;
  if (c.covariance == Covariance::kSpherical) options.shared_scale = SharedScale::kEvent;
  return made(whole ? "MultivariateNormal" : "Normal");
}

/// Its tensors are written by `set_prior`.
ConjugatePrior prior_of(const std::string& word, int64_t columns, const MixtureConfig& c,
                        const at::TensorOptions& type) {
  ConjugatePrior prior{.mean_precision = c.mean_precision, .df = c.df};
  if (!c.bayesian) return prior;
  if (word == "normal") {
    prior.loc = at::zeros({columns}, type);
    prior.covariance = has_matrix(c) ? at::eye(columns, type) : at::ones({columns}, type);
  }
  if (word == "poisson") prior.loc = at::ones({columns}, type);
  return prior;
}

}  // namespace

std::vector<std::string> mixture_families(bool bayesian) {
  std::vector<std::string> words;
  for (const auto& law : bayesian ? conjugate_laws() : weighted_mle_laws()) {
    const bool over_vectors = law == "Dirichlet" || law == "Multinomial" || law == "Wishart" ||
                              law == "MultivariateNormal" || law == "OneHotCategorical";
    const bool with_count = law == "Binomial" || law == "NegativeBinomial";
    if (!over_vectors && !with_count) words.push_back(word_of(law));
  }
  return words;
}

void MixtureConfig::validate() const {
  if (data_dim < 1) throw ConfigError(fmt::format("data_dim = {}; expected >= 1", data_dim));
  if (components < 1) throw ConfigError(fmt::format("components = {}; expected >= 1", components));
  if (!(covariance_floor > 0))
    throw ConfigError(fmt::format("covariance-floor = {}; expected > 0", covariance_floor));
  const auto known = mixture_families(bayesian);
  for (const auto& word : families)
    if (std::find(known.begin(), known.end(), word) == known.end())
      throw ConfigError(fmt::format("family = '{}'; expected one of {}{}", word,
                                    fmt::join(known, ", "),
                                    bayesian ? ", those with a conjugate prior" : ""));
  if (!(concentration >= 0))
    throw ConfigError(fmt::format("concentration = {}; expected >= 0", concentration));
  if (families.size() != 1 && static_cast<int64_t>(families.size()) != data_dim)
    throw ConfigError(
        fmt::format("family names {} columns; expected 1 or {}", families.size(), data_dim));
  if (std::find(families.begin(), families.end(), "categorical") != families.end() &&
      categories < 1)
    throw ConfigError(fmt::format("categories = {}; expected >= 1", categories));
}

nlohmann::json MixtureConfig::to_json() const {
  const auto name = std::find_if(kCovariances.begin(), kCovariances.end(),
                                 [&](auto& row) { return row.second == covariance; });
  return {{"model", "mixture"},
          {"data_dim", data_dim},
          {"components", components},
          {"families", families},
          {"covariance", name->first},
          {"categories", categories},
          {"covariance_floor", covariance_floor},
          {"weights", bayesian ? "bayes" : "point"},
          {"concentration", concentration},
          {"mean_precision", mean_precision},
          {"df", df}};
}

MixtureConfig MixtureConfig::from_json(const nlohmann::json& config) {
  MixtureConfig out;
  try {
    out.data_dim = config.at("data_dim").get<int64_t>();
    out.components = config.at("components").get<int64_t>();
    out.families = config.at("families").get<std::vector<std::string>>();
    out.categories = config.at("categories").get<int64_t>();
    out.covariance_floor = config.at("covariance_floor").get<double>();
    out.bayesian = config.value("weights", "point") == "bayes";
    out.concentration = config.value("concentration", out.concentration);
    out.mean_precision = config.value("mean_precision", out.mean_precision);
    out.df = config.value("df", out.df);
    const auto word = config.at("covariance").get<std::string>();
    const auto found = std::find_if(kCovariances.begin(), kCovariances.end(),
                                    [&](auto& row) { return word == row.first; });
    if (found == kCovariances.end())
      throw ConfigError("covariance = '" + word +
                        "'; expected one of full, tied, diagonal, spherical");
    out.covariance = found->second;
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(std::string("a mixture's configuration: ") + e.what());
  }
  out.validate();
  return out;
}

/// The columns of one family.
struct Mixture::Group {
  std::string site;
  at::Tensor columns;  ///< int64; undefined where it has all
  std::shared_ptr<const WeightedMle> family;
  std::vector<at::Tensor> parameters;  ///< each [K, ...]
  std::string word;
  ConjugatePrior prior;  ///< of a Bayesian mixture

  [[nodiscard]] const ConjugateFamily& conjugate() const {
    return dynamic_cast<const ConjugateFamily&>(*family);
  }
  [[nodiscard]] DistributionPtr law(const at::Tensor& k, bool predictive) const {
    std::vector<at::Tensor> chosen;
    for (const auto& p : parameters) chosen.push_back(p.index({k}));
    return predictive ? conjugate().predictive(chosen) : family->law(chosen);
  }
  [[nodiscard]] at::Tensor of(const at::Tensor& x) const {
    return columns.defined() ? x.index_select(1, columns) : x;
  }
};

Mixture::Mixture(MixtureConfig config, const at::TensorOptions& options)
    : config_(std::move(config)) {
  config_.validate();
  if (options.dtype() != at::kDouble)
    throw ConfigError("mixture: precision; expected float64, which EM's likelihood needs");
  const int64_t k = config_.components, dim = config_.data_dim;
  if (config_.concentration == 0) config_.concentration = 1 / static_cast<double>(k);
  weights_ = at::full({k}, 1 / static_cast<double>(k), options);
  std::vector<Group> groups;
  const auto family_at = [&](int64_t column) -> const std::string& {
    return config_.families.size() == 1 ? config_.families[0]
                                        : config_.families[static_cast<size_t>(column)];
  };
  for (const auto& word : mixture_families(config_.bayesian)) {
    std::vector<int64_t> columns;
    for (int64_t j = 0; j < dim; ++j)
      if (family_at(j) == word) columns.push_back(j);
    if (columns.empty()) continue;
    const auto width = static_cast<int64_t>(columns.size());
    Group group{.site = "x." + word,
                .columns = at::tensor(columns, at::kLong).to(options.device()),
                .family = {},
                .parameters = {},
                .word = word,
                .prior = prior_of(word, width, config_, options)};
    group.family = family_of(word, width, config_, group.prior);
    if (width == dim) {
      group.site = "x";
      group.columns = at::Tensor();
    }
    for (const auto& name : group.family->parameter_names()) {
      std::vector<int64_t> shape = {k, width};
      if (name == "scale_tril") shape.push_back(width);
      if (name == "mean_precision" || (config_.bayesian && name == "df")) shape.pop_back();
      if (word == "categorical") shape.push_back(config_.categories);
      group.parameters.push_back(at::zeros(shape, options));
    }
    groups.push_back(std::move(group));
  }
  groups_ = std::make_shared<const std::vector<Group>>(std::move(groups));
}

Mixture::~Mixture() = default;

Program Mixture::model() const { return program(/*predictive=*/false); }

Program Mixture::program(bool predictive) const {
  const bool expected = config_.bayesian && !predictive;
  return [groups = groups_, weights = weights_, expected, predictive](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto law = expected ? Categorical::from_logits(expected_log_weights(weights, *groups))
                              : Categorical(weights, Validate::kNo);
    const auto k = t.sample("k", law);
    for (const Group& g : *groups) t.observe(g.site, *g.law(k, predictive), g.of(b["x"]));
  };
}

at::Tensor Mixture::expected_log_weights(const at::Tensor& concentration,
                                         const std::vector<Group>& groups) {
  auto out = at::digamma(concentration) - at::digamma(concentration.sum());
  for (const Group& g : groups) out = out + g.conjugate().log_gap(g.parameters);
  return out;
}

double Mixture::beside_rows(int64_t total) const {
  const at::NoGradGuard no_grad;
  const auto prior = m_steps().front();
  auto kl = dynamic_cast<const ConjugateFamily&>(*prior.family).kl({weights_});
  for (const Group& g : *groups_) kl = kl + g.conjugate().kl(g.parameters);
  const auto mass = expected_log_weights(weights_, *groups_).logsumexp(0);
  return mass.item<double>() - kl.item<double>() / static_cast<double>(total);
}

void Mixture::set_prior(const at::Tensor& mean, const at::Tensor& covariance) {
  const at::NoGradGuard no_grad;
  const int64_t dim = config_.data_dim;
  if (mean.sizes() != at::IntArrayRef({dim}) || covariance.sizes() != at::IntArrayRef({dim, dim}))
    throw ShapeError(fmt::format(
        "Mixture::set_prior: mean [{}], covariance [{}]; expected [{}], [{}, {}]",
        fmt::join(mean.sizes(), ", "), fmt::join(covariance.sizes(), ", "), dim, dim, dim));
  for (const Group& g : *groups_) {
    auto loc = g.prior.loc, spread = g.prior.covariance;
    if (!loc.defined()) continue;
    const auto own = g.columns.defined() ? mean.index_select(0, g.columns) : mean;
    loc.copy_(g.word == "poisson" ? own.clamp_min(kMeanFloor) : own);
    if (!spread.defined()) continue;
    const auto block = g.columns.defined()
                           ? covariance.index_select(0, g.columns).index_select(1, g.columns)
                           : covariance;
    if (!has_matrix(config_)) {
      spread.copy_(block.diagonal().clamp_min(config_.covariance_floor));
      continue;
    }
    const auto [values, vectors] = at::linalg_eigh(block);
    const bool low = values.min().item<double>() < config_.covariance_floor;
    spread.copy_(low ? (vectors * values.clamp_min(config_.covariance_floor)).matmul(vectors.t())
                     : block);
  }
}

at::Tensor Mixture::expected_rows() const { return weights_ - config_.concentration; }

Program Mixture::guide() const {
  return [this](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    t.sample("k", Categorical(encode(b["x"]).mean(), Validate::kNo));
  };
}

std::vector<std::pair<std::string, NamedParameters>> Mixture::parameters() const {
  NamedParameters theta = {{config_.bayesian ? "concentration" : "weights", weights_}};
  for (const Group& g : *groups_) {
    const auto names = g.family->parameter_names();
    for (size_t i = 0; i < names.size(); ++i)
      theta.emplace_back(g.word + "." + names[i], g.parameters[i]);
    if (g.prior.loc.defined()) theta.emplace_back(g.word + ".prior.loc", g.prior.loc);
    if (g.prior.covariance.defined())
      theta.emplace_back(g.word + ".prior.covariance", g.prior.covariance);
  }
  return {{"theta", theta}, {"phi", {}}};
}

std::vector<MStep> Mixture::m_steps() const {
  const WeightedMleOptions options{.num_categories = config_.components};
  std::shared_ptr<const WeightedMle> of_weights;
  if (config_.bayesian)
    of_weights = conjugate_family("Categorical", options, {.concentration = config_.concentration});
  else
    of_weights = weighted_mle("Categorical", options);
  std::vector<MStep> out = {{"k", of_weights, {weights_}}};
  for (const Group& g : *groups_) out.push_back({g.site, g.family, g.parameters});
  return out;
}

namespace {
Batch of_rows(const at::Tensor& x) {
  return {.columns = {{"x", x}}, .rows = at::arange(x.size(0), at::kLong), .total = x.size(0)};
}
}  // namespace

Independent Mixture::encode(const at::Tensor& x) const {
  const at::NoGradGuard no_grad;
  const auto trace = Trace::run(enumerate(model()), of_rows(x), Noise(0));
  auto log_joint = trace.sites().front().log_prob();  // [K, 1, M]
  for (size_t i = 1; i < trace.sites().size(); ++i)
    log_joint = log_joint + trace.sites()[i].log_prob();
  const auto probs = log_joint.squeeze(1).softmax(0).t();
  return Independent(std::make_shared<OneHotCategorical>(probs, Validate::kNo), 0);
}

Independent Mixture::decode(const at::Tensor& z) const {
  if (groups_->size() > 1)
    throw UnsupportedError(
        "mixture: p(x | k) of columns of several families is no single law; expected one family");
  const auto law = groups_->front().law(z.argmax(-1), config_.bayesian);
  if (const auto* independent = dynamic_cast<const Independent*>(law.get())) return *independent;
  return Independent(law, 0);
}

at::Tensor Mixture::log_likelihood(const at::Tensor& x) const {
  const at::NoGradGuard no_grad;
  return log_marginal(Trace::run(enumerate(program(config_.bayesian)), of_rows(x), Noise(0)))[0];
}

at::Tensor Mixture::sample_prior(int64_t count, const Noise& noise) const {
  return OneHotCategorical(weights_, Validate::kNo).sample(noise, {count});
}

int64_t Mixture::degrees_of_freedom() const {
  const int64_t k = config_.components;
  int64_t free = k - 1;
  for (const Group& g : *groups_) {
    const int64_t d = g.family->options().event_shape[0];
    if (g.word == "categorical")
      free += k * d * (config_.categories - 1);
    else if (g.word != "normal")
      free += k * d * static_cast<int64_t>(config_.bayesian ? 1 : g.parameters.size());
    else if (config_.covariance == Covariance::kFull)
      free += k * (d + d * (d + 1) / 2);
    else if (config_.covariance == Covariance::kTied)
      free += k * d + d * (d + 1) / 2;
    else
      free += k * (d + (config_.covariance == Covariance::kDiagonal ? d : 1));
  }
  return free;
}

void Mixture::check_support(const at::Tensor& x) const {
  for (const Group& g : *groups_) {
    std::vector<at::Tensor> one;  // parameters of some law of the family
    for (const auto& p : g.parameters) one.push_back(at::ones_like(p[0]));
    if (g.word == "normal") continue;
    const auto ok = g.family->law(one)->support().check(g.of(x));
    if (ok.all().item<bool>()) continue;
    const auto at = ok.logical_not().nonzero()[0];
    const int64_t column = g.columns.defined() ? g.columns[at[1].item<int64_t>()].item<int64_t>()
                                               : at[1].item<int64_t>();
    throw DataError(fmt::format("column {} holds {}; expected values of a {} law ({})", column + 1,
                                x[at[0].item<int64_t>()][column].item<double>(), g.word,
                                g.family->law(one)->support().name()));
  }
}

nlohmann::json Mixture::config() const { return config_.to_json(); }

double bic(double log_likelihood, int64_t parameters, int64_t rows) {
  const auto n = static_cast<double>(rows);
  return -2 * n * log_likelihood + static_cast<double>(parameters) * std::log(n);
}

double aic(double log_likelihood, int64_t parameters, int64_t rows) {
  return 2 * (static_cast<double>(parameters) - static_cast<double>(rows) * log_likelihood);
}

}  // namespace elbo
