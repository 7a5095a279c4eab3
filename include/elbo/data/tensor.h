// Arrays as tensors and back.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/data/array.h"

namespace elbo::data {

/// The array's elements as a tensor of the same shape and type: its memory, not a copy.
[[nodiscard]] at::Tensor to_tensor(Array&& array);

/// A copy of a tensor of uint8, int32, int64, float32 or float64 on any device.
/// **Throws** DataError for another element type.
[[nodiscard]] Array to_array(const at::Tensor& tensor);

}  // namespace elbo::data
