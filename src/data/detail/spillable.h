// Tensors that need not stay in memory.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo::data::detail {

/// `at::empty` on the CPU; but one of `kMapFrom` bytes or more lies in a file without a name in the
/// temporary folder ($TMPDIR), so that the system may write its pages there when memory is short.
/// Where there is no room for such a file it is memory.
[[nodiscard]] at::Tensor spillable(at::IntArrayRef shape, const at::TensorOptions& type);

}  // namespace elbo::data::detail
