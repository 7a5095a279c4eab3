// K laws that meet M rows, as a mixture's components do: when a batch is a product of the two.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace elbo::detail {

/// How a batch splits into dimensions of the laws, in front, and of the rows, behind.
struct LawsAndRows {
  bool fits = false;             ///< whether it does, for enough rows to gain by it
  int64_t laws = 1, rows = 1;    ///< K, M
  std::vector<int64_t> of_laws;  ///< the batch with the rows' dimensions of size 1
  std::vector<int64_t> result;   ///< the batch that [K, M] is a view of
  std::vector<int64_t> batch;    ///< what that is expanded to

  /// A parameter [B.., E..] as [K, E..].
  [[nodiscard]] at::Tensor each_law(const at::Tensor& parameter, int64_t event_dims) const;
  /// x [B.., E..] as [M, E..].
  [[nodiscard]] at::Tensor each_row(const at::Tensor& x, int64_t event_dims) const;
  /// [K, M] as the batch.
  [[nodiscard]] at::Tensor whole(const at::Tensor& found) const;
};

/// Of x with `event_dims` and parameters with so many event dimensions each, on the CPU and without
/// a gradient to follow; dimensions that only repeat (stride 0) do not count.
/// **Throws** ShapeError, naming the law, where they do not broadcast.
[[nodiscard]] LawsAndRows laws_and_rows(
    const std::string& law, const at::Tensor& x, int64_t event_dims,
    const std::vector<std::pair<at::Tensor, int64_t>>& parameters, at::IntArrayRef batch_shape);

}  // namespace elbo::detail
