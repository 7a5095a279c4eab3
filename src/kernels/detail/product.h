// Matrix products in float32, by oneDNN.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/kernels/linear.h"

namespace elbo::detail {

/// Numbers row by row, or, transposed, column by column.
struct Matrix {
  const float* data = nullptr;
  int64_t rows = 0, columns = 0;
  bool transposed = false;
  /// Its transpose, of the same numbers.
  [[nodiscard]] Matrix t() const { return {data, columns, rows, !transposed}; }
};

struct ProductOptions {
  const float* bias = nullptr;  ///< [n], added to every row; null for none
  bool add = false;             ///< to what `out` holds
  Activation activation = Activation::kIdentity;
};

/// Whether there is a product for tensors like this one: float32 on the CPU, where oneDNN is.
[[nodiscard]] bool has_product(const at::Tensor& x);

/// out = activation(a b + bias). **Shapes** a [m, k], b [k, n], out [m, n]; none may be empty.
void product(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options = {});

}  // namespace elbo::detail
