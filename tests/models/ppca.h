// Rows of a linear Gaussian model, as truths are known of: D = 10, d = 3.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "elbo/kernels/noise.h"

namespace elbo::testing {

inline constexpr int64_t kColumns = 10, kLatent = 3;

inline at::Tensor linear_rows(int64_t n, uint64_t seed = 1) {
  const auto options = at::TensorOptions(at::kDouble);
  const Noise noise(seed);
  const auto w =
      noise.site("w").normal({kColumns, kLatent}, options) * at::tensor({3.0, 1.6, 0.8}, options);
  return noise.site("z").normal({n, kLatent}, options).matmul(w.t()) +
         0.5 * noise.site("x").normal({n, kColumns}, options) +
         noise.site("loc").normal({kColumns}, options);
}

inline at::Tensor covariance_of(const at::Tensor& x) {
  const auto centred = x - x.mean(0);
  return centred.t().matmul(centred) / static_cast<double>(x.size(0));
}

/// The largest log likelihood a row (Tipping and Bishop 1999, below eq 8).
inline double ppca_optimum(const at::Tensor& x, int64_t d = kLatent) {
  const auto values = at::linalg_eigvalsh(covariance_of(x));
  const int64_t columns = x.size(1);
  const double noise = values.narrow(0, 0, columns - d).mean().item<double>();
  const auto dim = static_cast<double>(columns);
  return -0.5 * (dim * std::log(2 * std::numbers::pi) +
                 values.narrow(0, columns - d, d).log().sum().item<double>() +
                 (dim - static_cast<double>(d)) * std::log(noise) + dim);
}

/// Largest angle between the columns' spans, in radians.
inline double largest_angle(const at::Tensor& a, const at::Tensor& b) {
  const auto qa = std::get<0>(at::linalg_qr(a)), qb = std::get<0>(at::linalg_qr(b));
  // The sine, which keeps its digits where the cosine is 1.
  const auto left = qb - qa.matmul(qa.t().matmul(qb));
  return std::asin(std::min(1.0, at::linalg_svdvals(left).max().item<double>()));
}

/// The d first principal axes, [D, d].
inline at::Tensor principal_axes(const at::Tensor& x, int64_t d = kLatent) {
  const auto vectors = std::get<1>(at::linalg_eigh(covariance_of(x)));
  return vectors.narrow(1, x.size(1) - d, d).flip(1);
}

}  // namespace elbo::testing
