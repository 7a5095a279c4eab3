// Finite mixtures of any component family (TT, UT).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "elbo/models/model.h"
#include "elbo/program/m_step.h"

namespace elbo {

/// Covariances of normal columns within a component.
enum class Covariance {
  kFull,      ///< any, each component its own
  kTied,      ///< any, the same for all components
  kDiagonal,  ///< columns independent
  kSpherical  ///< columns independent with one variance
};

struct MixtureConfig {
  int64_t data_dim = 0;    ///< D
  int64_t components = 8;  ///< K
  /// One family for all columns, or one for each; those of one family are one law of each
  /// component. See `mixture_families()`.
  std::vector<std::string> families = {"normal"};
  Covariance covariance = Covariance::kFull;
  int64_t categories = 0;          ///< of categorical columns: their values are 0 .. categories - 1
  double covariance_floor = 1e-6;  ///< least variance, or eigenvalue of a full covariance

  void validate() const;
  [[nodiscard]] nlohmann::json to_json() const;
  [[nodiscard]] static MixtureConfig from_json(const nlohmann::json& config);
};

/// "normal", "bernoulli", "log-normal", …: words for the laws on the line that have a weighted
/// maximum-likelihood estimator, and "categorical".
[[nodiscard]] std::vector<std::string> mixture_families();

/// k ~ Categorical(weights), x ~ p(x | k): sites "k" and "x" ("x.normal", "x.bernoulli", … where
/// columns have several families), plate "data", column "x" of the batch: [M, D] in float64.
///
/// As a `Model` its latent variable is the one-hot vector of k: `encode` is the exact posterior,
/// and the guide draws from it. Parameters are segment "theta", 0 until EM starts them; they do not
/// ask for gradients.
class Mixture final : public Model {
 public:
  /// **Throws** ConfigError for settings out of range, or another dtype than float64.
  Mixture(MixtureConfig config, const at::TensorOptions& options);
  ~Mixture() override;

  [[nodiscard]] Program model() const override;
  [[nodiscard]] Program guide() const override;
  [[nodiscard]] std::vector<std::pair<std::string, NamedParameters>> parameters() const override;
  /// What EM does with each site.
  [[nodiscard]] std::vector<MStep> m_steps() const;

  /// OneHotCategorical(p(k | x)).
  [[nodiscard]] Independent encode(const at::Tensor& x) const override;
  /// The component of the largest entry of z. **Throws** UnsupportedError with several families.
  [[nodiscard]] Independent decode(const at::Tensor& z) const override;
  [[nodiscard]] at::Tensor log_likelihood(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor sample_prior(int64_t count, const Noise& noise) const override;

  /// Free parameters, for BIC and AIC.
  [[nodiscard]] int64_t degrees_of_freedom() const;
  /// **Throws** DataError, naming the column, where a value is outside its family's support.
  void check_support(const at::Tensor& x) const;

  [[nodiscard]] int64_t data_dim() const override { return config_.data_dim; }
  [[nodiscard]] int64_t latent_dim() const override { return config_.components; }
  [[nodiscard]] bool needs_unit_interval() const override { return false; }
  [[nodiscard]] nlohmann::json config() const override;

 private:
  struct Group;

  MixtureConfig config_;
  at::Tensor weights_;
  std::shared_ptr<const std::vector<Group>> groups_;
};

/// -2 log L + parameters log N, and -2 log L + 2 parameters: lower is better. Of the log likelihood
/// per datum in nats.
[[nodiscard]] double bic(double log_likelihood, int64_t parameters, int64_t rows);
[[nodiscard]] double aic(double log_likelihood, int64_t parameters, int64_t rows);

}  // namespace elbo
