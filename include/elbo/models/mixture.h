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
  /// Weights and components are latent variables too, under conjugate priors, and EM learns a
  /// posterior of theirs (variational Bayes): see conjugate.h and `set_prior`.
  bool bayesian = false;
  double concentration = 0;   ///< of the weights' Dirichlet prior, each; 0: 1 / components
  double mean_precision = 1;  ///< of normal means' prior, in rows
  double df = 0;              ///< of normal precisions' prior; 0: columns (full, tied), else 1

  void validate() const;
  [[nodiscard]] nlohmann::json to_json() const;
  [[nodiscard]] static MixtureConfig from_json(const nlohmann::json& config);
};

/// "normal", "bernoulli", "log-normal", …: words for the laws on the line that have a weighted
/// maximum-likelihood estimator, and "categorical"; or, `bayesian`, a conjugate prior.
[[nodiscard]] std::vector<std::string> mixture_families(bool bayesian = false);

/// k ~ Categorical(weights), x ~ p(x | k): sites "k" and "x" ("x.normal", "x.bernoulli", … where
/// columns have several families), plate "data", column "x" of the batch: [M, D] in float64.
///
/// As a `Model` its latent variable is the one-hot vector of k: `encode` is the exact posterior,
/// and the guide draws from it. Parameters are segment "theta", 0 until EM starts them; they do not
/// ask for gradients.
///
/// A Bayesian mixture is the one with log weights E log weights + log_gap, made to sum to 1, and
/// with the laws at their natural parameters' mean under q (`ConjugateFamily`): p(k | x) of it is
/// the optimal q(k) of the bound (Bishop 10.46), so that EM on it with conjugate M steps ascends
/// the bound, once `beside_rows` is added. Theta is q's parameters, and the prior's loc and
/// covariance.
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
  /// Of a Bayesian mixture: what the bound of `total` rows has beside the sum of their log p(x)
  /// under `model()`, in nats per datum. For `EmOptions::beside_rows`.
  [[nodiscard]] double beside_rows(int64_t total) const;
  /// Of a Bayesian mixture: priors at the rows' scale. `mean` [D] is loc of normal and Poisson
  /// columns; `covariance` [D, D] that of normal ones, eigenvalues below the floor raised to it.
  /// Before, they are 0 (Poisson: 1) and the identity.
  void set_prior(const at::Tensor& mean, const at::Tensor& covariance);
  /// Rows that each component is expected to have, [K], of a Bayesian mixture.
  [[nodiscard]] at::Tensor expected_rows() const;
  [[nodiscard]] bool is_bayesian() const { return config_.bayesian; }

  /// OneHotCategorical(p(k | x)).
  [[nodiscard]] Independent encode(const at::Tensor& x) const override;
  /// The component of the largest entry of z; of a Bayesian mixture, its predictive law.
  /// **Throws** UnsupportedError with several families.
  [[nodiscard]] Independent decode(const at::Tensor& z) const override;
  /// Of a Bayesian mixture the predictive density: weights and laws are integrated over q.
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
  [[nodiscard]] Program program(bool predictive) const;
  /// Of a Bayesian mixture: E log weights + log_gap, [K].
  [[nodiscard]] static at::Tensor expected_log_weights(const at::Tensor& concentration,
                                                       const std::vector<Group>& groups);

  MixtureConfig config_;
  at::Tensor weights_;  ///< of a Bayesian mixture, their concentration
  std::shared_ptr<const std::vector<Group>> groups_;
};

/// -2 log L + parameters log N, and -2 log L + 2 parameters: lower is better. Of the log likelihood
/// per datum in nats.
[[nodiscard]] double bic(double log_likelihood, int64_t parameters, int64_t rows);
[[nodiscard]] double aic(double log_likelihood, int64_t parameters, int64_t rows);

}  // namespace elbo
