// log sum exp with the weights that are its derivative, in one pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// log sum_k e^(x_k) over dimension `dim`, which stays with size 1; its gradient is e^(x_k - sum),
/// computed on the way and kept. -inf where all is, with gradient 0.
/// **Shapes** as x, but for `dim`, which counts from the end where it is negative. On the CPU one
/// pass in float64, whether x is float32 or float64; else, and where the gradient is itself to be
/// differentiated, ATen's operations run.
[[nodiscard]] at::Tensor log_sum_exp(const at::Tensor& x, int64_t dim);
/// log (1/K) sum_k e^(x_k), the same otherwise.
[[nodiscard]] at::Tensor log_mean_exp(const at::Tensor& x, int64_t dim);

namespace plain {
/// The same by ATen's operations, in x's own precision.
[[nodiscard]] at::Tensor log_sum_exp(const at::Tensor& x, int64_t dim);
}  // namespace plain

}  // namespace elbo
