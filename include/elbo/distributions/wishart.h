#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The Wishart law over symmetric positive definite matrices: of sum_i z_i z_i^T for df draws
/// z_i ~ N(0, scale_tril scale_tril^T).
/// **Equation** X = (L A)(L A)^T, A lower triangular with A_ii^2 ~ chi-squared(df - i), i = 0, 1,
/// .., and standard normals below (Bartlett)
/// **Shapes** df [B], scale_tril [B, d, d]; they broadcast over B. Events [d, d].
/// **Ranges** df > d - 1, scale_tril lower triangular with a positive diagonal; DomainError
/// otherwise. `log_prob` is -inf where x is not symmetric and positive definite.
class Wishart final : public DistributionBase<Wishart> {
 public:
  Wishart(at::Tensor df, at::Tensor scale_tril, Validate validate = Validate::kYes);
  /// **Throws** DomainError unless the matrix is symmetric and positive definite.
  [[nodiscard]] static Wishart from_covariance(const at::Tensor& df,
                                               const at::Tensor& covariance_matrix,
                                               Validate validate = Validate::kYes);
  [[nodiscard]] static Wishart from_precision(const at::Tensor& df,
                                              const at::Tensor& precision_matrix,
                                              Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& df() const { return df_; }
  [[nodiscard]] const at::Tensor& scale_tril() const { return scale_tril_; }
  /// scale_tril scale_tril^T
  [[nodiscard]] at::Tensor covariance_matrix() const;
  [[nodiscard]] at::Tensor precision_matrix() const;

  [[nodiscard]] std::string name() const override { return "Wishart"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  /// Of each entry.
  [[nodiscard]] at::Tensor variance() const override;
  /// NaN where df < d + 1: the density has no maximum.
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kPositiveDefinite; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  [[nodiscard]] int64_t dim() const { return scale_tril_.size(-1); }

  at::Tensor df_, scale_tril_;
};

}  // namespace elbo
