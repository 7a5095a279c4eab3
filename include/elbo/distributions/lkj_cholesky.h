#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The law of Lewandowski, Kurowicka and Joe (2009) over correlation matrices, p(M) proportional
/// to det(M)^(concentration - 1), as the law of M's Cholesky factor. Draws by the onion method:
/// row m (0, 1, ..) has a uniform direction below the diagonal, and there the squared length
/// Beta(m / 2, concentration + (dim - 1 - m) / 2).
/// **Equation** p(L) proportional to prod_m L_mm^(2 (concentration - 1) + dim - 1 - m)
/// **Shapes** concentration [B]; events [dim, dim].
/// **Ranges** dim >= 2, concentration > 0; DomainError otherwise. `log_prob` is -inf where x is not
/// lower triangular with a positive diagonal and rows of length 1 (up to 1e-5).
class LKJCholesky final : public DistributionBase<LKJCholesky> {
 public:
  LKJCholesky(int64_t dim, at::Tensor concentration, Validate validate = Validate::kYes);

  [[nodiscard]] int64_t dim() const { return event_shape()[0]; }
  [[nodiscard]] const at::Tensor& concentration() const { return concentration_; }

  [[nodiscard]] std::string name() const override { return "LKJCholesky"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  /// Of each entry.
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kCorrCholesky; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  at::Tensor concentration_;
};

}  // namespace elbo
