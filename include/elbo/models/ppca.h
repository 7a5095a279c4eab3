// Probabilistic PCA, factor analysis, and the linear variational auto-encoder (AEVB 4).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "elbo/distributions/linear_gaussian.h"
#include "elbo/models/model.h"

namespace elbo {

struct PpcaConfig {
  /// Of the columns: one variance is probabilistic PCA, one for each is factor analysis.
  enum class Noise { kIsotropic, kDiagonal };
  /// q(z | x): the posterior itself, or a linear encoder with a diagonal variance that is the same
  /// for all rows, which makes the model a linear VAE.
  enum class Guide { kExact, kLinear };

  int64_t data_dim = 0;  ///< D
  int64_t latent_dim = 2;
  Noise noise = Noise::kIsotropic;
  Guide guide = Guide::kExact;

  void validate() const;
  [[nodiscard]] nlohmann::json to_json() const;
  [[nodiscard]] static PpcaConfig from_json(const nlohmann::json& config);
};

/// z ~ N(0, I), x ~ N(weight z + loc, e^log_variance). Sites "z" and "x", plate "data", column "x"
/// [M, D].
///
/// Learnt by `set_closed_form`, by `LinearGaussianEm` on `parameters()`, or, with a linear guide,
/// as any VAE. With an exact guide rows may have missing entries, as NaN, in `encode` and
/// `log_likelihood`.
class Ppca final : public Model {
 public:
  Ppca(PpcaConfig config, const at::TensorOptions& options);

  /// The maximum of the likelihood (Tipping and Bishop 1999, eq 7 and 8) from the sample's mean [D]
  /// and covariance [D, D] (divided by N): weight = U_d (L_d - variance)^(1/2) of the d largest
  /// eigenvalues, and the variance the mean of the others. A variance > 0 that is given is kept: as
  /// it goes to 0 the posterior mean becomes PCA's whitened projection (AEVB 4).
  /// **Throws** ConfigError for factor analysis, which has no closed form, and unless d < D.
  void set_closed_form(const at::Tensor& mean, const at::Tensor& covariance, double variance = 0);

  [[nodiscard]] Program model() const override;
  [[nodiscard]] Program guide() const override;
  [[nodiscard]] std::vector<std::pair<std::string, NamedParameters>> parameters() const override;
  /// Of rows with NaN: from the entries that are there.
  [[nodiscard]] Independent encode(const at::Tensor& x) const override;
  [[nodiscard]] Independent decode(const at::Tensor& z) const override;
  /// Exact, of the entries that are not NaN; undefined with a linear guide, whose bound is not
  /// tight (see `marginal`).
  [[nodiscard]] at::Tensor log_likelihood(const at::Tensor& x) const override;
  /// log p(x) [M] whatever the guide.
  [[nodiscard]] at::Tensor marginal(const at::Tensor& x) const;
  /// The bound of the linear guide in closed form, [M], differentiable.
  /// **Equation** E_q log p(x | z) - KL(q || p(z)), where E_q |x - loc - W z|^2 / v is
  /// |x - loc - W m|^2 / v + sum_jk W_jk^2 s_k^2 / v_j.
  [[nodiscard]] at::Tensor bound(const at::Tensor& x) const;
  [[nodiscard]] LinearGaussian linear_gaussian() const;
  /// Free parameters of p(x), for BIC and AIC: weights but for rotations, loc, variances.
  [[nodiscard]] int64_t degrees_of_freedom() const;

  [[nodiscard]] int64_t data_dim() const override { return config_.data_dim; }
  [[nodiscard]] int64_t latent_dim() const override { return config_.latent_dim; }
  [[nodiscard]] bool needs_unit_interval() const override { return false; }
  [[nodiscard]] bool handles_missing() const override {
    return config_.guide == PpcaConfig::Guide::kExact;
  }
  [[nodiscard]] nlohmann::json config() const override;

 private:
  [[nodiscard]] at::Tensor encoder_mean(const at::Tensor& x) const;

  PpcaConfig config_;
  at::Tensor weight_, loc_, log_variance_;
  at::Tensor encoder_weight_, encoder_bias_, encoder_log_variance_;  // of a linear guide
};

}  // namespace elbo
