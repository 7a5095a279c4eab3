// The two passes over rows that full-covariance Gaussian mixtures consist of.
//
// Both are blocked so that a block of rows stays in the first cache for all K components, run on
// whole vectors of rows, and take float64 on the CPU; for other tensors the plain twins run.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// log N(x_m; loc_k, L_k L_k^T) by forward substitution: no inverse is formed.
/// **Shapes** x [M, d], loc [K, d], scale_tril [K, d, d] (lower); gives [K, M]. No gradient.
/// **Units** nats.
[[nodiscard]] at::Tensor gaussian_log_densities(const at::Tensor& x, const at::Tensor& loc,
                                                const at::Tensor& scale_tril);

/// sum_m w_km (x_m - c_k) (x_m - c_k)^T
/// **Shapes** x [M, d], weights [K, M], centre [K, d]; gives [K, d, d]. No gradient. A component's
/// sum does not depend on the number of threads.
[[nodiscard]] at::Tensor weighted_scatter(const at::Tensor& x, const at::Tensor& weights,
                                          const at::Tensor& centre);

namespace plain {
/// The same in ATen's operations, on any device and in any dtype.
[[nodiscard]] at::Tensor gaussian_log_densities(const at::Tensor& x, const at::Tensor& loc,
                                                const at::Tensor& scale_tril);
[[nodiscard]] at::Tensor weighted_scatter(const at::Tensor& x, const at::Tensor& weights,
                                          const at::Tensor& centre);
}  // namespace plain

}  // namespace elbo
