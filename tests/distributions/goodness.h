// Whether draws follow a law: Kolmogorov-Smirnov and chi-square at n = 1e5.
//
// The whole suite raises a false alarm with probability 1e-6 over seeds: 4e-7 for the laws of the
// registry, 4e-7 for the laws over vectors, each shared evenly among its comparisons, and 1e-9 for
// each of the few comparisons elsewhere. A law off by twice the limit, about 0.02 in the cdf, is
// surely caught.
#pragma once

#include "elbo/distributions/distribution.h"
#include "elbo/kernels/math.h"
#include "support/statistics.h"

namespace elbo::testing {

inline constexpr int64_t kGoodnessDraws = 100'000;
inline constexpr double kGoodnessAlpha = 4e-7;

/// Largest KS distance allowed at a false-alarm rate (Dvoretzky, Kiefer, Wolfowitz and Massart).
inline double ks_limit(double alpha) {
  return std::sqrt(std::log(2 / alpha) / (2 * static_cast<double>(kGoodnessDraws)));
}

/// sup |F_n - F| at and just below every draw.
inline double distance(const at::Tensor& draws, const Distribution& law) {
  const auto x = std::get<0>(draws.flatten().sort());
  const auto f = law.cdf(x);
  const auto n = static_cast<double>(x.numel());
  if (!law.is_discrete()) return ks_distance(f);
  const auto last = at::searchsorted(x, x, false, /*right=*/true).to(at::kDouble);
  const auto first = at::searchsorted(x, x).to(at::kDouble);
  return at::max((last / n - f).abs().max(), (first / n - law.cdf(x - 1)).abs().max())
      .item<double>();
}

/// Pearson's tail probability over whole numbers, those with fewer than 25 expected pooled.
inline double chi_square_tail(const at::Tensor& draws, const Distribution& law) {
  const auto x = std::get<0>(draws.flatten().sort());
  const auto n = static_cast<double>(x.numel());
  double statistic = 0, below = 0;  // F at the last edge
  int64_t seen = 0, bins = 0;
  const auto values = std::get<0>(at::_unique(x, true));
  for (int64_t i = 0; i < values.numel(); ++i) {
    const bool is_last = i + 1 == values.numel();
    const auto edge = values[i];
    const double f = is_last ? 1 : law.cdf(edge).item<double>();
    const double expected = n * (f - below);
    if (!is_last && (expected < 25 || n * (1 - f) < 25)) continue;
    const auto upto =
        is_last ? x.numel() : at::searchsorted(x, edge.reshape({1}), false, true).item<int64_t>();
    const auto observed = static_cast<double>(upto - seen);
    if (expected > 0) statistic += (observed - expected) * (observed - expected) / expected;
    below = f;
    seen = upto;
    ++bins;
  }
  return bins < 2 ? 1 : math::gamma_q(0.5 * static_cast<double>(bins - 1), 0.5 * statistic);
}

}  // namespace elbo::testing
