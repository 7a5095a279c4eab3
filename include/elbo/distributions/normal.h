#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The normal law N(loc, scale^2).
/// **Ranges** scale > 0; DomainError otherwise.
class Normal final : public DistributionBase<Normal> {
 public:
  Normal(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes);
  /// From the logarithm of the variance, as encoders give it (AEVB C.2); log sigma is then exact
  /// in the density and in the KL.
  [[nodiscard]] static Normal from_log_var(at::Tensor mu, const at::Tensor& log_var);
  /// N(0, 1), of the shape given.
  [[nodiscard]] static Normal standard(at::IntArrayRef shape, const at::TensorOptions& options);

  [[nodiscard]] const at::Tensor& loc() const { return loc_; }
  [[nodiscard]] const at::Tensor& scale() const { return scale_; }
  [[nodiscard]] at::Tensor log_scale() const;

  [[nodiscard]] std::string name() const override { return "Normal"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  /// Exact in the lower tail, where the logarithm of `cdf` is -inf.
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  Normal(at::Tensor loc, at::Tensor scale, at::Tensor log_scale);

  at::Tensor loc_, scale_;
  at::Tensor log_scale_;  ///< undefined where only the scale was given
};

}  // namespace elbo
