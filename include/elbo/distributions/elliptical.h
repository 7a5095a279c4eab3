#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The law of the radius R of a spherical law, y = R u with u uniform on the unit sphere of
/// dimension d: what makes an elliptical law. Derive from it to make one's own.
class Radial {
 public:
  virtual ~Radial() = default;
  /// The shape of its parameters, broadcast; {} where it has none.
  [[nodiscard]] virtual std::vector<int64_t> batch_shape() const { return {}; }
  /// Draws of R > 0 of this shape, in float64; reparameterised where it has parameters.
  [[nodiscard]] virtual at::Tensor rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                                           const at::TensorOptions& options) const = 0;
  /// The log density of y in R^d, normalised, at |y|^2 = `squared` (float64).
  [[nodiscard]] virtual at::Tensor log_density(const at::Tensor& squared, int64_t dim) const = 0;
  /// E[R^2] / d: the variance of each coordinate of y. inf and NaN where that is so.
  [[nodiscard]] virtual at::Tensor second_moment(int64_t dim) const = 0;
  /// The entropy of y in nats. **Throws** UnsupportedError unless overridden.
  [[nodiscard]] virtual at::Tensor entropy(int64_t dim) const;
  [[nodiscard]] virtual std::shared_ptr<const Radial> expand(at::IntArrayRef batch_shape) const = 0;
};
using RadialPtr = std::shared_ptr<const Radial>;

/// R^2 ~ chi-squared(d): that of the normal law.
class NormalRadial final : public Radial {
 public:
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                                   const at::TensorOptions& options) const override;
  [[nodiscard]] at::Tensor log_density(const at::Tensor& squared, int64_t dim) const override;
  [[nodiscard]] at::Tensor second_moment(int64_t dim) const override;
  [[nodiscard]] at::Tensor entropy(int64_t dim) const override;
  [[nodiscard]] RadialPtr expand(at::IntArrayRef batch_shape) const override;
};

/// The location-scale family of a spherical law (AEVB 2.4, approach 2).
/// **Equation** z = loc + scale_tril (R u), u uniform on the unit sphere, R of law `radial`
/// **Shapes** loc [B, d], scale_tril [B, d, d], radial [B]; they broadcast over B. Events [d].
/// **Ranges** scale_tril lower triangular with a positive diagonal; DomainError otherwise.
class Elliptical : public DistributionBase<Elliptical> {
 public:
  Elliptical(at::Tensor loc, at::Tensor scale_tril, RadialPtr radial,
             Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& loc() const { return loc_; }
  [[nodiscard]] const at::Tensor& scale_tril() const { return scale_tril_; }
  [[nodiscard]] const RadialPtr& radial() const { return radial_; }
  /// E[R^2] / d scale_tril scale_tril^T
  [[nodiscard]] at::Tensor covariance_matrix() const;

  [[nodiscard]] std::string name() const override { return "Elliptical"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  /// **Throws** UnsupportedError where the radial law has none.
  [[nodiscard]] at::Tensor entropy() const override;
  /// loc, where E[R] is finite.
  [[nodiscard]] at::Tensor mean() const override;
  /// Of each coordinate.
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kRealVector; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 protected:
  Elliptical(const std::string& law, at::Tensor loc, at::Tensor scale_tril, RadialPtr radial,
             Validate validate);
  /// Gives a copy of this law the batch shape.
  void expand_to(at::IntArrayRef batch_shape);

 private:
  at::Tensor loc_, scale_tril_;
  RadialPtr radial_;
};

}  // namespace elbo
