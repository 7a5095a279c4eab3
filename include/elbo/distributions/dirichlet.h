#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The Dirichlet law on the simplex. Draws are gammas divided by their sum (AEVB 2.4, approach 3),
/// computed in logarithms, so that small concentrations do not underflow; the gradient is the
/// gammas' implicit one. A draw is kept at or above the dtype's smallest normal number.
/// **Equation** p(x) = Gamma(sum a) prod_k x_k^(a_k - 1) / Gamma(a_k)
/// **Shapes** concentration [B, K]; events [K].
/// **Ranges** concentration > 0; DomainError otherwise. `log_prob` is -inf where x is negative or
/// its sum is farther than 1e-5 from 1.
class Dirichlet final : public DistributionBase<Dirichlet> {
 public:
  explicit Dirichlet(at::Tensor concentration, Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& concentration() const { return concentration_; }

  [[nodiscard]] std::string name() const override { return "Dirichlet"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  /// As torch has it where some concentration is below 1: on the face of the others; where all
  /// are, the corner of the largest. NaN where all are 1.
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kSimplex; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  at::Tensor concentration_;
};

}  // namespace elbo
