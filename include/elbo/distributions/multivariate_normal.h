#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The normal law over vectors, N(loc, scale_tril scale_tril^T).
/// **Equation** z = loc + scale_tril epsilon, epsilon ~ N(0, I) (AEVB 2.4)
/// **Shapes** loc [B, d], scale_tril [B, d, d]; they broadcast over B. Events [d].
/// **Ranges** scale_tril lower triangular with a positive diagonal; DomainError otherwise.
class MultivariateNormal final : public DistributionBase<MultivariateNormal> {
 public:
  MultivariateNormal(at::Tensor loc, at::Tensor scale_tril, Validate validate = Validate::kYes);
  /// **Throws** DomainError unless the matrix is symmetric and positive definite.
  [[nodiscard]] static MultivariateNormal from_covariance(const at::Tensor& loc,
                                                          const at::Tensor& covariance_matrix,
                                                          Validate validate = Validate::kYes);
  [[nodiscard]] static MultivariateNormal from_precision(const at::Tensor& loc,
                                                         const at::Tensor& precision_matrix,
                                                         Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& loc() const { return loc_; }
  [[nodiscard]] const at::Tensor& scale_tril() const { return scale_tril_; }
  [[nodiscard]] at::Tensor covariance_matrix() const;
  [[nodiscard]] at::Tensor precision_matrix() const;

  [[nodiscard]] std::string name() const override { return "MultivariateNormal"; }
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
  at::Tensor loc_, scale_tril_;
};

}  // namespace elbo
