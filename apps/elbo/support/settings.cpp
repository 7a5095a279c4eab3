#include "support/settings.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "elbo/error.h"
#include "support/arguments.h"

namespace elbo::cli {
namespace {

using Kind = Setting::Kind;

constexpr const char *kVae = "vae", *kMixture = "mixture", *kSemi = "semi-supervised",
                     *kLatent = "vae | ppca | fa | semi-supervised",
                     *kNetwork = "vae | semi-supervised", *kBayes = "vae | mixture", *kEm = "em",
                     *kGradient = "gradient";

template <class T>
T parse_number(const Setting& setting, std::string_view text) {
  const auto value = number_in<T>(text);
  if (!value || !std::isfinite(static_cast<double>(*value)) ||
      static_cast<double>(*value) < setting.low)
    throw ConfigError(fmt::format("--{} = '{}'; expected {}", setting.name, text, setting.range));
  return *value;
}

std::vector<int64_t> parse_list(const Setting& setting, const std::string& text) {
  std::vector<int64_t> out;
  if (text == "none") return out;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    out.push_back(
        parse_number<int64_t>(setting, std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  return out;
}

bool is_word_of(const std::string& value, const std::string& range) {
  // "a | b | c"
  size_t begin = 0;
  while (begin <= range.size()) {
    const size_t end = std::min(range.find(" | ", begin), range.size());
    if (range.compare(begin, end - begin, value) == 0) return true;
    begin = end + 3;
  }
  return false;
}

void check(const Setting& setting, const std::string& value) {
  switch (setting.kind) {
    case Kind::kWord:
      if (setting.range[0] != '<' && !is_word_of(value, setting.range))
        throw ConfigError(
            fmt::format("--{} = '{}'; expected {}", setting.name, value, setting.range));
      break;
    case Kind::kInteger:
      parse_number<int64_t>(setting, value);
      break;
    case Kind::kReal:
      if (value != "auto") parse_number<double>(setting, value);
      break;
    case Kind::kIntegers:
      parse_list(setting, value);
      break;
  }
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> table = {
      {"preset", "a set of defaults: today's practice, or AEVB section 5", "default",
       "default | aevb", Kind::kWord, 0, kGradient},
      {"model",
       "a variational auto-encoder, one with classes of which few are known, a mixture, "
       "probabilistic PCA, factor analysis",
       "vae", "vae | semi-supervised | mixture | ppca | fa", Kind::kWord},
      {"labels", "of semi-supervised: rows that keep theirs, as many of each class", "100",
       "an integer >= 1", Kind::kInteger, 1, kSemi},
      {"labelled-batch", "of semi-supervised: rows with labels that join each minibatch", "100",
       "an integer >= 1", Kind::kInteger, 1, kSemi},
      {"alpha", "of semi-supervised: weight of the mean log q(y|x) where y is known", "0.1",
       "a number >= 0", Kind::kReal, 0, kSemi},
      {"stack", "of semi-supervised: a run of --model vae, whose z takes the place of x", "",
       "<run>", Kind::kWord, 0, kSemi},
      {"components", "K, of a mixture", "8", "an integer >= 1", Kind::kInteger, 1, kMixture},
      {"family", "of a mixture's components: one for all columns, or one for each", "normal",
       "<names with commas>", Kind::kWord, 0, kMixture},
      {"covariance", "of the normal columns within a component", "full",
       "full | tied | diagonal | spherical", Kind::kWord, 0, kMixture},
      {"covariance-floor", "least variance, or eigenvalue of a covariance", "0.000001",
       "a number > 0", Kind::kReal, 1e-300, kMixture},
      {"start", "of a mixture: k-means++, or rows at random", "kmeans", "kmeans | random",
       Kind::kWord, 0, kMixture},
      {"restarts", "of a mixture: starts, of which the best is kept", "1", "an integer >= 1",
       Kind::kInteger, 1, kMixture},
      {"iterations", "of EM, at most (ppca and fa: 1000)", "200", "an integer >= 1", Kind::kInteger,
       1, kEm},
      {"tolerance", "EM stops at a smaller gain, in nats per datum", "0.000001", "a number >= 0",
       Kind::kReal, 0, kEm},
      {"latent", "latent dimensions (ppca and fa: 2, semi-supervised: 50)", "20", "an integer >= 1",
       Kind::kInteger, 1, kLatent},
      {"hidden", "widths of the encoder's hidden layers; the decoder's are reversed", "500",
       "integers >= 1 with commas, or none for a linear model", Kind::kIntegers, 1, kNetwork},
      {"activation", "of the hidden layers (semi-supervised: softplus)", "tanh",
       "tanh | relu | softplus | sigmoid | identity", Kind::kWord, 0, kNetwork},
      {"likelihood", "p(x|z); auto: bernoulli for images, gaussian otherwise", "auto",
       "auto | bernoulli | gaussian | gaussian-sigmoid | gaussian-unit", Kind::kWord, 0, kNetwork},
      {"encoder", "q(z|x); gaussian-tanh has its mean through tanh, gaussian-unit variance 1",
       "gaussian", "gaussian | gaussian-tanh | gaussian-unit", Kind::kWord, 0, kVae},
      {"weights",
       "of the decoder, or a mixture's parameters: numbers, or latent variables with a posterior",
       "point", "point | bayes", Kind::kWord, 0, kBayes},
      {"concentration",
       "of --weights bayes, of the Dirichlet prior of a mixture's weights: the smaller, the fewer "
       "components hold rows; auto: 1 / K",
       "auto", "auto or a number > 0", Kind::kReal, 1e-300, kMixture},
      {"sigma-min", "smooth floor of a Gaussian likelihood's sigma", "0.001", "a number >= 0",
       Kind::kReal, 0, kNetwork},
      {"binarize", "of images: grey as stored, x > 1/2, or drawn anew at every visit", "none",
       "none | threshold | sample", Kind::kWord},
      {"learner",
       "rws: reweighted wake-sleep; mcem: Monte Carlo EM; em: for mixture, ppca, fa; "
       "closed-form: for ppca",
       "aevb", "aevb | wake-sleep | rws | score-function | mcem | em | closed-form", Kind::kWord},
      {"objective", "the estimator: AEVB eq 6 (a) or eq 7 (b), or importance-weighted", "sgvb-b",
       "sgvb-a | sgvb-b | iwae", Kind::kWord, 0, kGradient},
      {"update", "theta and phi together, or phi before theta", "joint", "joint | alternating",
       Kind::kWord, 0, kGradient},
      {"baseline", "of score-function: what is subtracted from its signal", "moving-average",
       "none | moving-average | leave-one-out | linear", Kind::kWord, 0, kGradient},
      {"guide-phase", "of rws: where the guide learns", "both", "sleep | wake | both", Kind::kWord,
       0, kGradient},
      {"chain-start", "of mcem: where a row's chain begins, anew or where its last visit ended",
       "prior", "prior | persistent", Kind::kWord, 0, kGradient},
      {"transitions", "of mcem: transitions of a row's chain at each visit", "1", "an integer >= 1",
       Kind::kInteger, 1, kGradient},
      {"burn-in", "of mcem: transitions before those of a chain that begins anew", "10",
       "an integer >= 0", Kind::kInteger, 0, kGradient},
      {"leapfrog-steps", "of mcem: in a transition", "10", "an integer >= 1", Kind::kInteger, 1,
       kGradient},
      {"target-acceptance", "of mcem: to which the step size is tuned", "0.9",
       "a number between 0 and 1", Kind::kReal, 1e-300, kGradient},
      {"weight-updates", "of mcem: at the chain's end", "5", "an integer >= 1", Kind::kInteger, 1,
       kGradient},
      {"mc-samples", "L, samples of z a row", "1", "an integer >= 1", Kind::kInteger, 1, kGradient},
      {"init", "weights from N(0, 0.01^2), or Xavier's uniform", "xavier", "aevb | xavier",
       Kind::kWord, 0, kGradient},
      {"weight-prior",
       "precision of the Gaussian prior on all weights (MAP), of --weights bayes on the encoder's; "
       "0 for none",
       "0", "a number >= 0", Kind::kReal, 0, kGradient},
      {"objective-scale", "the bound per datum, or of the full data (AEVB eq 8)", "datum",
       "datum | full-data", Kind::kWord, 0, kGradient},
      {"optimizer", "the optimiser", "adam", "sgd | adagrad | adam", Kind::kWord, 0, kGradient},
      {"lr", "learning rate; auto: the best of 0.01, 0.02, 0.1 on the first updates", "0.002",
       "auto or a number > 0", Kind::kReal, 1e-300, kGradient},
      {"lr-schedule", "constant, or falling to 0 by a cosine", "cosine", "constant | cosine",
       Kind::kWord, 0, kGradient},
      {"batch", "M, rows a minibatch", "100", "an integer >= 1", Kind::kInteger, 1, kGradient},
      {"epochs", "passes over the training rows", "20", "an integer >= 1", Kind::kInteger, 1,
       kGradient},
      {"samples", "stop after this many rows instead; 0: go by epochs", "0", "an integer >= 0",
       Kind::kInteger, 0, kGradient},
      {"precision", "of all computation; bfloat16: of the layers' products, summed in float32",
       "float32", "float64 | float32 | bfloat16", Kind::kWord},
      {"threads", "0: as many as the machine has", "0", "an integer >= 0", Kind::kInteger},
      {"device", "where to learn: what is learnt is used on the CPU", "cpu", "cpu | cuda",
       Kind::kWord},
      {"test", "a file of test rows, instead of the set's own", "", "<file>", Kind::kWord},
      {"train-rows", "only the first so many training rows; 0: all", "0", "an integer >= 0",
       Kind::kInteger},
      {"data-seed", "of the built-in digits", "0", "an integer >= 0", Kind::kInteger},
      {"seed", "of weights, order and noise", "0", "an integer >= 0", Kind::kInteger},
  };
  return table;
}

const Setting& find_setting(const std::string& name) {
  for (const Setting& s : settings())
    if (name == s.name) return s;
  throw ConfigError(fmt::format("unknown setting '{}' (see elbo train --help)", name));
}

const Values& preset(const std::string& name) {
  // AEVB 5: weights from N(0, 0.01), MAP with N(0, I), Adagrad with the rate chosen from
  // {0.01, 0.02, 0.1} on the first iterations, M = 100, L = 1, the bound of eq 8.
  static const std::map<std::string, Values> presets = {{"default", {}},
                                                        {"aevb",
                                                         {{"init", "aevb"},
                                                          {"weight-prior", "1"},
                                                          {"objective-scale", "full-data"},
                                                          {"optimizer", "adagrad"},
                                                          {"lr", "auto"},
                                                          {"lr-schedule", "constant"},
                                                          {"batch", "100"},
                                                          {"mc-samples", "1"}}}};
  const auto it = presets.find(name);
  if (it == presets.end())
    throw ConfigError(fmt::format("--preset = '{}'; expected default | aevb", name));
  return it->second;
}

const Values& model_defaults(const std::string& model) {
  static const Values none, mixture = {{"learner", "em"}, {"precision", "float64"}},
                            linear = {{"learner", "em"},
                                      {"precision", "float64"},
                                      {"latent", "2"},
                                      {"iterations", "1000"}},
                            semi_supervised = {{"latent", "50"}, {"activation", "softplus"}};
  if (model == "mixture") return mixture;
  if (model == "semi-supervised") return semi_supervised;
  return model == "ppca" || model == "fa" ? linear : none;
}

void add_flags(CLI::App& command, Values& flags) {
  for (const Setting& s : settings()) {
    auto* option = command.add_option_function<std::string>(
        std::string("--") + s.name,
        [&flags, name = std::string(s.name)](const std::string& value) { flags[name] = value; },
        fmt::format("{} ({})", s.description, s.range));
    option->type_name(s.kind == Kind::kWord ? "WORD" : "NUMBER");
    if (*s.default_value) option->default_str(s.default_value);
  }
}

Values read_config(const std::string& path) {
  Values values;
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_file(path);
  } catch (const CLI::FileError&) {
    throw NoInputError(path + ": no such config file");
  }
  for (const auto& item : items) {
    if (!item.parents.empty() || item.name == "++" || item.name == "--")
      throw ConfigError(fmt::format("{}: '{}': sections are not used; expected key = value lines",
                                    path, item.fullname()));
    try {
      std::string value;
      for (const auto& part : item.inputs) value += (value.empty() ? "" : ",") + part;
      check(find_setting(item.name), value);
      values[item.name] = value;
    } catch (const ConfigError& e) {
      throw ConfigError(fmt::format("{}: {}", path, e.what()));
    }
  }
  return values;
}

Settings::Settings(const Values& flags, const Values& config) {
  for (const Setting& s : settings()) values_[s.name] = s.default_value;
  const auto chosen = [&](const char* setting) -> const std::string* {
    for (const Values* v : {&flags, &config})
      if (const auto it = v->find(setting); it != v->end()) return &it->second;
    return nullptr;
  };
  if (const auto* model = chosen("model"))
    for (const auto& [key, value] : model_defaults(*model)) values_[key] = value;
  if (const auto* name = chosen("preset"))
    for (const auto& [key, value] : preset(*name)) values_[key] = value;
  for (const auto& [key, value] : config) set(key, value);
  for (const auto& [key, value] : flags) set(key, value);
}

Settings::Settings(const nlohmann::json& saved) {
  for (const Setting& s : settings()) values_[s.name] = s.default_value;
  for (const auto& [key, value] : saved.items()) set(key, value.get<std::string>());
}

void Settings::set(const std::string& name, const std::string& value) {
  check(find_setting(name), value);
  values_[name] = value;
}

std::string Settings::kind_of_learner() const {
  const auto& learner = word("learner");
  return learner == "em" || learner == "closed-form" ? learner : "gradient";
}

void Settings::check_effect(const Values& given) const {
  const auto learner = kind_of_learner();
  for (const auto& [name, value] : given) {
    const std::string with = find_setting(name).with;
    if (!with.empty() && !is_word_of(word("model"), with) && !is_word_of(learner, with))
      throw ConfigError(fmt::format("--{} {}: has no effect on --model {} --learner {}", name,
                                    value, word("model"), word("learner")));
  }
}

const std::string& Settings::word(const std::string& name) const { return values_.at(name); }
int64_t Settings::integer(const std::string& name) const {
  return parse_number<int64_t>(find_setting(name), values_.at(name));
}
double Settings::real(const std::string& name) const {
  return parse_number<double>(find_setting(name), values_.at(name));
}
std::vector<int64_t> Settings::integers(const std::string& name) const {
  return parse_list(find_setting(name), values_.at(name));
}
nlohmann::json Settings::to_json() const { return values_; }

}  // namespace elbo::cli
