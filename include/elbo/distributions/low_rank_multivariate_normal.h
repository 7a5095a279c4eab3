#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The normal law over vectors with covariance cov_factor cov_factor^T + diag(cov_diag), at a cost
/// of O(d r^2): no d x d matrix is formed.
/// **Equation** z = loc + cov_factor epsilon_r + sqrt(cov_diag) epsilon_d
/// **Shapes** loc [B, d], cov_factor [B, d, r], cov_diag [B, d]; they broadcast over B. Events [d].
/// **Ranges** cov_diag > 0; DomainError otherwise.
class LowRankMultivariateNormal final : public DistributionBase<LowRankMultivariateNormal> {
 public:
  LowRankMultivariateNormal(at::Tensor loc, at::Tensor cov_factor, at::Tensor cov_diag,
                            Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& loc() const { return loc_; }
  [[nodiscard]] const at::Tensor& cov_factor() const { return cov_factor_; }
  [[nodiscard]] const at::Tensor& cov_diag() const { return cov_diag_; }
  [[nodiscard]] at::Tensor covariance_matrix() const;

  [[nodiscard]] std::string name() const override { return "LowRankMultivariateNormal"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  /// Of each coordinate.
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] at::Tensor mode() const override { return mean(); }
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kRealVector; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  at::Tensor loc_, cov_factor_, cov_diag_;
};

}  // namespace elbo
