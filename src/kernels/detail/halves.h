// A tensor whose rows are two others' rows side by side, and those two as views of it.
#pragma once

#include <ATen/ATen.h>

#include <utility>

namespace elbo::detail {

/// Two layers of one input are one product up to so many columns each. Wider ones gain nothing by
/// it, and threads that share out columns would have one layer each, though what follows takes the
/// columns of both together.
constexpr int64_t kWidestHalf = 128;

/// The left and the right half of a contiguous tensor's rows.
inline std::pair<at::Tensor, at::Tensor> halves(const at::Tensor& both) {
  auto shape = both.sizes().vec();
  shape.back() /= 2;
  return {both.as_strided(shape, both.strides()),
          both.as_strided(shape, both.strides(), both.storage_offset() + shape.back())};
}

/// Whether a and b are the halves of a contiguous tensor's rows.
inline bool are_halves(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.strides() != b.strides() || a.dim() < 2 || a.stride(-1) != 1 ||
      !a.storage().is_alias_of(b.storage()) ||
      b.storage_offset() != a.storage_offset() + a.size(-1))
    return false;
  int64_t stride = 2 * a.size(-1);
  for (int64_t d = a.dim() - 2; d >= 0; stride *= a.size(d--))
    if (a.size(d) != 1 && a.stride(d) != stride) return false;
  return true;
}

}  // namespace elbo::detail
