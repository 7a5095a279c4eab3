// Densities fitted to points, row by row.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// The normal law with the points' mean and covariance.
/// **Shapes** points [F, M, D]: F of each row, all rows apart.
class GaussianFit {
 public:
  /// **Throws** ConfigError unless F > D; NumericError where a covariance is singular.
  explicit GaussianFit(const at::Tensor& points);
  /// At u [E, M, D]: [E, M], in nats.
  [[nodiscard]] at::Tensor log_density(const at::Tensor& u) const;
  /// u's distance from the mean in units of the covariance: [E, M, D].
  [[nodiscard]] at::Tensor whitened(const at::Tensor& u) const;
  /// log |det| of `whitened`'s slope: [M].
  [[nodiscard]] const at::Tensor& log_det() const { return log_det_; }

 private:
  at::Tensor mean_, inverse_factor_, log_det_;  // [M, D], [M, D, D], [M]
};

/// The mean of normal laws around each point, of h^2 times the points' covariance with Scott's
/// h = F^(-1 / (D + 4)) (Scott 1992, 6.42).
class KernelFit {
 public:
  /// As GaussianFit.
  explicit KernelFit(const at::Tensor& points);
  /// At u [E, M, D]: [E, M], in nats; takes E F M operations.
  [[nodiscard]] at::Tensor log_density(const at::Tensor& u) const;
  [[nodiscard]] double bandwidth() const { return bandwidth_; }  ///< h

 private:
  GaussianFit gaussian_;
  double bandwidth_;
  at::Tensor centres_;  // whitened points [M, F, D]
};

}  // namespace elbo
