#include "elbo/evaluation/pareto.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr size_t kLeast = 5;

double mean_log1p(double theta, const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += std::log1p(-theta * value);
  return sum / static_cast<double>(x.size());
}

}  // namespace

GeneralizedPareto fit_generalized_pareto(const std::vector<double>& excesses) {
  const auto& x = excesses;
  if (x.size() < kLeast)
    throw ConfigError(
        fmt::format("fit_generalized_pareto: {} excesses; expected >= {}", x.size(), kLeast));
  const auto n = static_cast<double>(x.size());
  // The quartile that places the grid; among ties at the threshold the next number above it.
  auto quartile = x.begin() + static_cast<int64_t>(n / 4 + 0.5) - 1;
  if (*quartile <= 0) quartile = std::upper_bound(x.begin(), x.end(), 0.0);
  if (quartile == x.end() || x.front() == x.back()) return {};

  const int64_t points = 30 + static_cast<int64_t>(std::sqrt(n));
  std::vector<double> theta, profile;  // the law's -k / sigma, and its log likelihood there
  for (int64_t j = 1; j <= points; ++j) {
    const double ratio = static_cast<double>(points) / (static_cast<double>(j) - 0.5);
    theta.push_back(1 / x.back() + (1 - std::sqrt(ratio)) / (3 * *quartile));
    const double k = mean_log1p(theta.back(), x);
    const double log_likelihood = n * (std::log(-theta.back() / k) - k - 1);
    profile.push_back(std::isfinite(log_likelihood) ? log_likelihood  // not so at theta = 0
                                                    : -std::numeric_limits<double>::infinity());
  }
  const double highest = *std::max_element(profile.begin(), profile.end());
  double best = 0, total = 0;
  for (size_t j = 0; j < theta.size(); ++j) {
    const double weight = std::exp(profile[j] - highest);
    best += weight * theta[j];
    total += weight;
  }
  best /= total;
  const double k = mean_log1p(best, x);
  return {.k = k, .sigma = -k / best};
}

at::Tensor pareto_k_hat(const at::Tensor& log_weights) {
  const int64_t draws = log_weights.size(0), rows = log_weights.size(1);
  const auto s = static_cast<double>(draws);
  const auto tail = static_cast<int64_t>(std::ceil(std::min(s / 5, 3 * std::sqrt(s))));
  auto out = at::full({rows}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  if (tail < static_cast<int64_t>(kLeast)) return out;
  // [M, tail + 1], falling: the last is the threshold.
  const auto largest =
      std::get<0>(log_weights.detach().to(at::kCPU, at::kDouble).t().topk(tail + 1, 1));
  const auto weights = (largest - largest.narrow(1, 0, 1)).exp();
  const auto excesses =
      (weights - weights.narrow(1, tail, 1)).narrow(1, 0, tail).flip(1).contiguous();
  const auto n = static_cast<double>(tail);
  for (int64_t row = 0; row < rows; ++row) {
    const double* x = excesses.data_ptr<double>() + row * tail;
    if (!std::isfinite(x[tail - 1])) continue;
    const double k = fit_generalized_pareto({x, x + tail}).k;
    out[row] = (k * n + 5) / (n + 10);
  }
  return out;
}

}  // namespace elbo
