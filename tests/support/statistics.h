// Statistical checks at the suite's false-alarm rate.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

namespace elbo::testing {

/// Two-sided standard errors allowed: 1000 comparisons together raise a false alarm with
/// probability 1e-6.
inline constexpr double kZStar = 6.11;

struct Estimate {
  double mean;
  double standard_error;
  /// Distance of the mean from `truth`, in standard errors.
  double z(double truth) const { return std::abs(mean - truth) / standard_error; }
};

/// Mean and standard error of independent draws (any shape).
inline Estimate estimate(const at::Tensor& draws) {
  const auto x = draws.to(at::kDouble).flatten();
  return {x.mean().item<double>(),
          x.std().item<double>() / std::sqrt(static_cast<double>(x.numel()))};
}

/// Variance of independent draws and its standard error, sqrt((mu4 - sigma^4) / n).
inline Estimate estimate_variance(const at::Tensor& draws) {
  const auto x = draws.to(at::kDouble).flatten();
  const auto centred = (x - x.mean()).square();
  return {centred.mean().item<double>(),
          centred.std().item<double>() / std::sqrt(static_cast<double>(x.numel()))};
}

/// Kolmogorov-Smirnov distance of n independent draws, given as cdf(draw), from the uniform law.
inline double ks_distance(const at::Tensor& cdf_values) {
  const auto u = std::get<0>(cdf_values.to(at::kDouble).flatten().sort());
  const auto n = static_cast<double>(u.numel());
  const auto rank = at::arange(u.numel(), u.options());
  return at::max(((rank + 1) / n - u).max(), (u - rank / n).max()).item<double>();
}

/// Largest KS distance allowed for n = 1e6 draws: the Dvoretzky-Kiefer-Wolfowitz-Massart bound
/// sqrt(log(2 / alpha) / 2n) at alpha = 1e-9. A law off by twice this is surely caught.
inline constexpr double kKsLimit = 0.00327;
inline constexpr int64_t kKsDraws = 1'000'000;

}  // namespace elbo::testing
