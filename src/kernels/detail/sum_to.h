// The gradient of what broadcasting has repeated.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo::detail {

/// at::sum_to: x summed over the dimensions along which `shape` was broadcast to x's; x itself
/// where there are none. Float32 on the CPU whose broadcast dimensions all come first takes one
/// pass, summed in float64.
[[nodiscard]] at::Tensor sum_to(const at::Tensor& x, at::IntArrayRef shape);

}  // namespace elbo::detail
