// Matrix products in float32, or of bfloat16 with float32 sums, by oneDNN.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/kernels/linear.h"
#include "kernels/detail/share.h"

namespace elbo::detail {

/// Numbers row by row, or, transposed, column by column.
struct Matrix {
  const void* data = nullptr;  // float or, with `bfloat16`, at::BFloat16
  int64_t rows = 0, columns = 0;
  int64_t stride = 0;  // from row to row, or, transposed, from column to column
  bool transposed = false, bfloat16 = false;
  /// Its transpose, of the same numbers.
  [[nodiscard]] Matrix t() const { return {data, columns, rows, stride, !transposed, bfloat16}; }
  /// Some of its rows or columns.
  [[nodiscard]] Matrix rows_in(const Share& share) const;
  [[nodiscard]] Matrix columns_in(const Share& share) const { return t().rows_in(share).t(); }
};
/// A contiguous tensor of float32 or bfloat16 as rows of its last dimension.
[[nodiscard]] Matrix as_matrix(const at::Tensor& x);

struct ProductOptions {
  const float* bias = nullptr;  ///< [n], added to every row; null for none
  bool add = false;             ///< to what `out` holds
  Activation activation = Activation::kIdentity;
  bool by_onednn = false;  ///< shared out among threads as it likes, not as matrices are theirs
};

/// Whether there is a product for tensors like this one: float32 on the CPU, where oneDNN is.
[[nodiscard]] bool has_product(const at::Tensor& x);

/// Whether it takes bfloat16 too: where this machine's processor multiplies it.
[[nodiscard]] bool has_bfloat16_product();
/// Rounds n numbers to the nearest bfloat16, by this thread.
using RoundToBfloat16 = void (*)(const float* from, uint16_t* to, int64_t n);
/// As this machine does it fastest.
[[nodiscard]] RoundToBfloat16 round_to_bfloat16_for_machine();
void round_to_bfloat16(const float* from, uint16_t* to, int64_t n);
/// A contiguous copy of a float32 tensor, rounded to nearest.
[[nodiscard]] at::Tensor to_bfloat16(const at::Tensor& x);

/// out = activation(a b + bias), a and b of one type. **Shapes** a [m, k], b [k, n], out [m, n];
/// none may be empty. Threads share out the rows or columns of what is made, or the sums, as least
/// passes between them; or as oneDNN does, where they have a cache in common.
void product(const Matrix& a, const Matrix& b, float* out, const ProductOptions& options = {});

}  // namespace elbo::detail
