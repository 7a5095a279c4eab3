// How heavy the upper tail of some numbers is: the generalised Pareto law's shape.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace elbo {

/// P(X > x) = (1 + k x / sigma)^(-1/k): moments of order 1/k and above are infinite.
struct GeneralizedPareto {
  double k = 0;      ///< shape
  double sigma = 0;  ///< scale
};

/// Fits by the quasi-Bayesian estimate of Zhang and Stephens (Technometrics 2009), with a grid of
/// 30 + sqrt(n) points as in loo and ArviZ.
/// **Ranges** `excesses` over a threshold, >= 0 and ascending, at least 5; k = 0 where they are all
/// equal.
/// **Throws** ConfigError for fewer.
[[nodiscard]] GeneralizedPareto fit_generalized_pareto(const std::vector<double>& excesses);

/// Beyond this the weights have no variance, and the standard error of their mean means nothing.
inline constexpr double kInfiniteVariance = 0.5;

/// Pareto's k-hat of importance weights (Vehtari, Simpson, Gelman, Yao and Gabry 2024): the shape
/// of the largest min(S / 5, 3 sqrt(S)), drawn towards 1/2 by the weight of ten of them.
/// **Shapes** log weights [S, M], in nats; gives float64 [M]: NaN below 25 weights, which have no
/// tail to speak of.
[[nodiscard]] at::Tensor pareto_k_hat(const at::Tensor& log_weights);

}  // namespace elbo
