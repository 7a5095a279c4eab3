#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "distributions/detail/mle.h"

namespace elbo::detail {
namespace {

constexpr int kMostSteps = 200;
constexpr double kTolerance = 1e-14;
constexpr double kSmallest = 1e-12;  // where searches for concentrations begin

at::Tensor trigamma(const at::Tensor& x) { return at::polygamma(1, x); }

/// log a - digamma(a), to all digits for large a too.
at::Tensor log_minus_digamma(const at::Tensor& a) {
  const auto r = a.reciprocal(), s = r * r;
  const auto series = r * (0.5 + r * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s / 240))));
  return at::where(a > 20, series, a.log() - at::digamma(a));
}
/// trigamma(a) - 1 / a, likewise.
at::Tensor trigamma_minus_reciprocal(const at::Tensor& a) {
  const auto r = a.reciprocal(), s = r * r;
  const auto series = s * (0.5 + r * (1.0 / 6 - s * (1.0 / 30 - s * (1.0 / 42 - s / 30))));
  return at::where(a > 20, series, trigamma(a) - r);
}

}  // namespace

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

at::Tensor root(const std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor&)>& f,
                const at::Tensor& start, double lower, double upper) {
  const double low_end = std::log(lower), high_end = std::log(std::min(upper, 1e300));
  auto low = at::full_like(start, low_end), high = at::full_like(start, high_end);
  auto u = start.clamp(lower, std::exp(high_end)).log().clamp(low_end, high_end);
  for (int step = 0; step < kMostSteps; ++step) {
    const auto x = u.exp();
    const auto [value, slope] = f(x);
    high = at::where(value > 0, u, high);
    low = at::where(value > 0, low, u);
    const auto newton = u - value / (slope * x);
    // Written so that NaN bisects.
    const auto inside = (newton >= low).logical_and(newton <= high);
    const auto next = at::where(inside, newton, 0.5 * (low + high));
    const double moved = ((next - u).abs() / u.abs().clamp_min(1)).max().item<double>();
    u = next;
    if (moved <= kTolerance) break;
  }
  return u.exp();
}

at::Tensor or_unbounded(const at::Tensor& concentration, double most) {
  constexpr double kOfRounding = 1e13;
  if (std::isfinite(most)) return concentration;
  return concentration.masked_fill(concentration > kOfRounding, most);
}

at::Tensor gamma_concentration(const at::Tensor& gap, double most) {
  // Minka (2002), "Estimating a Gamma distribution", eq 11 with Stirling's start.
  const auto s = gap.clamp_min(0.25 / std::min(most, 1e300));
  const auto start = (3 - s + ((s - 3).square() + 24 * s).sqrt()) / (12 * s);
  const auto f = [&](const at::Tensor& a) {
    return std::pair(s - log_minus_digamma(a), trigamma_minus_reciprocal(a));
  };
  const auto a = root(f, start, kSmallest, most);
  return or_unbounded(at::where(gap > 0, a, at::full_like(a, most)), most);
}

at::Tensor inverse_digamma(const at::Tensor& y) {
  constexpr double kEuler = 0.57721566490153286;
  const auto start = at::where(y > -2.22, y.clamp_max(600).exp() + 0.5, -1 / (y + kEuler));
  const auto f = [&](const at::Tensor& a) { return std::pair(at::digamma(a) - y, trigamma(a)); };
  return root(f, start, 1e-300, std::numeric_limits<double>::infinity());
}

namespace {

/// For each sum s of the concentrations, the best with that sum are a_c = digamma^-1(g_c + t), t
/// the Lagrange multiplier that gives it: a and t.
std::pair<at::Tensor, at::Tensor> dirichlet_of_sum(const at::Tensor& g, const at::Tensor& s) {
  auto t = at::digamma(s);
  auto low = at::full_like(t, -1e300), high = at::full_like(t, 1e300);
  at::Tensor a;
  for (int step = 0; step < kMostSteps; ++step) {
    a = inverse_digamma(g + t);
    const auto value = a.sum(-1, /*keepdim=*/true) - s;
    high = at::where(value > 0, t, high);
    low = at::where(value > 0, low, t);
    const auto newton = t - value / trigamma(a).reciprocal().sum(-1, true);
    const auto inside = (newton >= low).logical_and(newton <= high);
    const auto next = at::where(inside, newton, 0.5 * (low + high));
    const double moved = ((next - t).abs() / t.abs().clamp_min(1)).max().item<double>();
    t = next;
    if (moved <= kTolerance) break;
  }
  return {a, t};
}

/// Newton's method on all concentrations (Minka 2000, eq 15 to 18): fast, and whether it arrived.
std::pair<at::Tensor, bool> dirichlet_by_newton(const at::Tensor& g) {
  const auto geometric = g.exp();
  const auto room = (1 - geometric.sum(-1, /*keepdim=*/true)).clamp_min(1e-12);
  auto a = 0.5 + 0.5 * static_cast<double>(g.size(-1) - 1) * geometric / room;
  for (int step = 0; step < 60; ++step) {
    const auto sum = a.sum(-1, true);
    const auto gradient = at::digamma(sum) - at::digamma(a) + g;
    const auto curvature = -trigamma(a);
    const auto b = (gradient / curvature).sum(-1, true) /
                   (trigamma(sum).reciprocal() + curvature.reciprocal().sum(-1, true));
    const auto moved = a - (gradient - b) / curvature;
    const auto next = at::where(moved > 0, moved, 0.3 * a);
    const double change = ((next - a).abs() / a).max().item<double>();
    a = next;
    if (!(change < 1e30)) break;
    if (change <= 1e-11) return {a, true};
  }
  return {a, false};
}

}  // namespace

at::Tensor dirichlet_concentration(const at::Tensor& mean_log, double most) {
  const auto [a, arrived] = dirichlet_by_newton(mean_log);
  if (arrived && (a.sum(-1) <= most).all().item<bool>()) return a;
  // Else by the one unknown that the sum s is: t = digamma(s) at the maximum, below which s is too
  // small. The likelihood is concave, so that with a bound the maximum is on it or inside.
  const auto f = [&](const at::Tensor& sum) {
    const auto [at_sum, t] = dirichlet_of_sum(mean_log, sum);
    const auto curvature = trigamma(at_sum).reciprocal().sum(-1, true).reciprocal();
    return std::pair(t - at::digamma(sum), curvature - trigamma(sum));
  };
  const auto start = at::full_like(mean_log.narrow(-1, 0, 1), 1.0);
  const auto sum = root(f, start, kSmallest, most);
  return dirichlet_of_sum(mean_log, sum).first + (or_unbounded(sum, most) - sum);
}

at::Tensor floored_probs(const at::Tensor& counts, double floor) {
  auto held = at::zeros_like(counts, counts.options().dtype(at::kBool));
  for (int64_t step = 0; step <= counts.size(-1); ++step) {
    const auto free = counts.masked_fill(held, 0);
    const auto left = 1 - floor * held.sum(-1, /*keepdim=*/true).to(counts.dtype());
    const auto probs = (left * free / free.sum(-1, true)).masked_fill(held, floor);
    const auto below = (probs < floor).logical_and(held.logical_not());
    if (!below.any().item<bool>()) return probs;
    held = held.logical_or(below);
  }
  return at::full_like(counts, 1.0 / static_cast<double>(counts.size(-1)));
}

}  // namespace elbo::detail
