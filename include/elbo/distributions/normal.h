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
  [[nodiscard]] static Normal from_log_var(at::Tensor mu, at::Tensor log_var);
  /// N(0, 1), of the shape given.
  [[nodiscard]] static Normal standard(at::IntArrayRef shape, const at::TensorOptions& options);

  /// As given, and widened by `expand` only where that does more than repeat: loc and scale
  /// broadcast to `batch_shape()` and need not have it, as `mean()` and `variance()` do.
  [[nodiscard]] const at::Tensor& loc() const { return loc_; }
  [[nodiscard]] at::Tensor scale() const;
  [[nodiscard]] at::Tensor log_scale() const;
  /// What `from_log_var` was given; undefined for a law made of its scale.
  [[nodiscard]] const at::Tensor& log_var() const { return log_var_; }
  /// Whether it was made by `standard`.
  [[nodiscard]] bool is_standard() const { return is_standard_; }

  [[nodiscard]] std::string name() const override { return "Normal"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_prob_sum(const at::Tensor& x, int64_t event_dims) const override;
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
  struct Parts {
    at::Tensor loc{}, scale{}, log_var{};  ///< one of scale and log_var is undefined
    bool is_standard = false;
  };
  explicit Normal(Parts parts);
  Normal(Parts parts, std::vector<int64_t> batch_shape);
  /// x of the law's dtype, expanded to the batch shape, which its parameters may not have.
  [[nodiscard]] at::Tensor broadcast(const at::Tensor& x) const;

  at::Tensor loc_, scale_, log_var_;
  bool is_standard_ = false;
};

}  // namespace elbo
