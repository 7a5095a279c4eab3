// Sums over what broadcasting has repeated.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo::detail {

/// x summed to `shape`, which broadcasts to its own, as at::sum_to does: x itself where that is its
/// shape. One pass, in float64, for float32 on the CPU that has been repeated along dimensions in
/// front.
[[nodiscard]] at::Tensor sum_repeats(const at::Tensor& x, at::IntArrayRef shape);

}  // namespace elbo::detail
