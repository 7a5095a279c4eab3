// log sum exp with the weights that are its derivative, in one pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// log sum_k e^(x_k) over dimension `dim`, which stays with size 1; its gradient is e^(x_k - sum),
/// computed on the way and kept. -inf where all is, with gradient 0. First derivatives only.
/// **Shapes** as x, but for `dim`. Float64 on the CPU takes one pass; else ATen's operations run.
[[nodiscard]] at::Tensor log_sum_exp(const at::Tensor& x, int64_t dim);

namespace plain {
[[nodiscard]] at::Tensor log_sum_exp(const at::Tensor& x, int64_t dim);
}  // namespace plain

}  // namespace elbo
