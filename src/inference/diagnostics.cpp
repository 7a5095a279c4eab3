#include "elbo/inference/diagnostics.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "elbo/error.h"

namespace elbo {
namespace {

/// The halves of one quantity's chains, one after the other.
struct Halves {
  int64_t count, draws;
  std::vector<double> x;
  [[nodiscard]] const double* begin(int64_t half) const { return x.data() + half * draws; }
};

double mean_of(const double* x, int64_t n) {
  return std::accumulate(x, x + n, 0.0) / static_cast<double>(n);
}
double variance_of(const double* x, int64_t n) {
  const double mean = mean_of(x, n);
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return squares / static_cast<double>(n - 1);
}

/// W, the mean variance of a half; var+ = (n - 1) / n W + the variance of the halves' means.
struct Spread {
  double within, overall;
};
Spread spread_of(const Halves& h) {
  std::vector<double> means, variances;
  for (int64_t k = 0; k < h.count; ++k) {
    means.push_back(mean_of(h.begin(k), h.draws));
    variances.push_back(variance_of(h.begin(k), h.draws));
  }
  const double within = mean_of(variances.data(), h.count);
  const auto n = static_cast<double>(h.draws);
  return {within, within * (n - 1) / n + variance_of(means.data(), h.count)};
}

double split_r_hat_of(const Halves& h) {
  const Spread spread = spread_of(h);
  return std::sqrt(spread.overall / spread.within);
}

double effective_sample_size_of(const Halves& h) {
  const Spread spread = spread_of(h);
  if (!(spread.overall > 0)) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> means;
  for (int64_t k = 0; k < h.count; ++k) means.push_back(mean_of(h.begin(k), h.draws));
  // Only as many lags as Geyer's sequence needs: few, where the chains mix.
  const auto correlation = [&](int64_t lag) {
    double covariance = 0;
    for (int64_t k = 0; k < h.count; ++k) {
      const double *x = h.begin(k), mean = means[static_cast<size_t>(k)];
      for (int64_t i = 0; i + lag < h.draws; ++i) covariance += (x[i] - mean) * (x[i + lag] - mean);
    }
    covariance /= static_cast<double>(h.count * h.draws);
    return 1 - (spread.within - covariance) / spread.overall;
  };
  // Sums of two neighbours are positive and fall in a reversible chain; noise alone makes them not.
  double sum = 0, previous = std::numeric_limits<double>::infinity(), even = 1;
  for (int64_t lag = 0;; lag += 2) {
    even = lag == 0 ? 1 : correlation(lag);
    const double pair = even + correlation(lag + 1);
    if (!(pair > 0) || lag + 5 >= h.draws) break;
    previous = std::min(previous, pair);
    sum += previous;
  }
  const auto all = static_cast<double>(h.count * h.draws);
  const double tau = -1 + 2 * sum + std::max(even, 0.0);
  return all / std::max(tau, 1 / std::log10(all));
}

/// Normal scores of the ranks among all of `x`, ties sharing their mean rank (Blom's 3/8).
std::vector<double> normal_scores(const std::vector<double>& x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 0, end = 0; i < x.size(); i = end) {
    while (end < x.size() && x[order[end]] == x[order[i]]) ++end;
    const double rank = 0.5 * static_cast<double>(i + 1 + end);
    for (size_t k = i; k < end; ++k) ranks[order[k]] = rank;
  }
  const auto u = (at::tensor(ranks, at::kDouble) - 0.375) / (static_cast<double>(x.size()) + 0.25);
  const auto z = at::special_ndtri(u);
  return {z.data_ptr<double>(), z.data_ptr<double>() + z.numel()};
}

double median_of(std::vector<double> x) {
  const auto half = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::nth_element(x.begin(), half, x.end());
  const double upper = *half;
  return x.size() % 2 == 1 ? upper : 0.5 * (upper + *std::max_element(x.begin(), half));
}

double r_hat_of(const Halves& h) {
  Halves scores = h, folded = h;
  scores.x = normal_scores(h.x);
  const double median = median_of(h.x);
  for (double& x : folded.x) x = std::abs(x - median);
  folded.x = normal_scores(folded.x);
  return std::max(split_r_hat_of(scores), split_r_hat_of(folded));
}

double bulk_effective_sample_size_of(const Halves& h) {
  Halves scores = h;
  scores.x = normal_scores(h.x);
  return effective_sample_size_of(scores);
}

double monte_carlo_error_of(const Halves& h) {
  const auto n = static_cast<int64_t>(h.x.size());
  return std::sqrt(variance_of(h.x.data(), n) / effective_sample_size_of(h));
}

at::Tensor each(const char* name, const at::Tensor& draws, double (*diagnostic)(const Halves&)) {
  if (draws.dim() < 2 || draws.size(1) < 4)
    throw ShapeError(
        fmt::format("{}: draws have shape [{}]; expected [chains, draws, ...] with at "
                    "least 4 draws",
                    name, fmt::join(draws.sizes(), ", ")));
  const int64_t chains = draws.size(0), n = draws.size(1) / 2;
  const auto x = draws.detach().to(at::kCPU, at::kDouble);
  const auto halves = at::stack({x.narrow(1, 0, n), x.narrow(1, draws.size(1) - n, n)}, 1);
  // [quantities, halves, draws]
  const auto columns = halves.reshape({2 * chains, n, -1}).permute({2, 0, 1}).contiguous();
  const auto out = at::empty({columns.size(0)}, at::kDouble);
  at::parallel_for(0, columns.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) {
      const double* first = columns.data_ptr<double>() + q * 2 * chains * n;
      const Halves h{2 * chains, n, {first, first + 2 * chains * n}};
      const bool varies =
          std::any_of(h.x.begin(), h.x.end(), [&](double v) { return v != *first; });
      const bool is_finite =
          std::all_of(h.x.begin(), h.x.end(), [](double v) { return std::isfinite(v); });
      out.data_ptr<double>()[q] =
          varies && is_finite ? diagnostic(h) : std::numeric_limits<double>::quiet_NaN();
    }
  });
  return out.view(draws.sizes().slice(2));
}

}  // namespace

at::Tensor split_r_hat(const at::Tensor& draws) {
  return each("split_r_hat", draws, split_r_hat_of);
}
at::Tensor r_hat(const at::Tensor& draws) { return each("r_hat", draws, r_hat_of); }
at::Tensor effective_sample_size(const at::Tensor& draws) {
  return each("effective_sample_size", draws, effective_sample_size_of);
}
at::Tensor bulk_effective_sample_size(const at::Tensor& draws) {
  return each("bulk_effective_sample_size", draws, bulk_effective_sample_size_of);
}
at::Tensor monte_carlo_error(const at::Tensor& draws) {
  return each("monte_carlo_error", draws, monte_carlo_error_of);
}

}  // namespace elbo
