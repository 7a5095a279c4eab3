// Bayesian linear regression with known noise: its posterior and evidence in closed form.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// w ~ N(0, prior_scale^2 I), y ~ N(X w, noise_scale^2 I) (Bishop 2006, 3.3 and 3.5): what learning
/// by a bound can be measured against. All in float64.
///
/// **Equation** Lambda = X^T X / noise_scale^2 + I / prior_scale^2, mean = Lambda^-1 X^T y /
/// noise_scale^2. Of all normal laws with independent coordinates the one nearest in KL(q || p) has
/// this mean and the variances 1 / Lambda_ii, which are smaller than those of the posterior.
class ConjugateRegression {
 public:
  /// `design` [N, P], a column of ones for an intercept included; y [N].
  /// **Throws** ShapeError where they do not fit, ConfigError for scales that are not > 0.
  ConjugateRegression(const at::Tensor& design, const at::Tensor& y, double prior_scale,
                      double noise_scale);

  [[nodiscard]] const at::Tensor& mean() const { return mean_; }            ///< [P]
  [[nodiscard]] const at::Tensor& precision() const { return precision_; }  ///< Lambda, [P, P]
  [[nodiscard]] at::Tensor covariance() const;                              ///< [P, P]
  [[nodiscard]] double log_evidence() const { return log_evidence_; }       ///< log p(y | X), nats

  /// The bound of q(w) = N(mean, covariance), of all rows, in nats: E log p(y | w) - KL(q || p).
  [[nodiscard]] double elbo(const at::Tensor& mean, const at::Tensor& covariance) const;

 private:
  at::Tensor design_, y_, mean_, precision_;
  double prior_scale_, noise_scale_;
  double log_evidence_ = 0;
};

}  // namespace elbo
