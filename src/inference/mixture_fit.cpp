#include "elbo/inference/mixture_fit.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace elbo {
namespace {

/// Blocks of rows spread evenly over the stream.
at::Tensor some_rows(const RowStream& rows, int64_t wanted) {
  constexpr int64_t kBlock = 100;
  if (rows.total <= wanted) return rows.range(0, rows.total)["x"].to(at::kDouble);
  const int64_t blocks = std::max<int64_t>(1, wanted / kBlock);
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < blocks; ++b)
    parts.push_back(rows.range(b * (rows.total - kBlock) / blocks, kBlock)["x"].to(at::kDouble));
  return at::cat(parts);
}

/// Squared distances [M, K].
at::Tensor distances(const at::Tensor& x, const at::Tensor& centres) {
  return x.square().sum(1, true) - 2 * x.matmul(centres.t()) + centres.square().sum(1);
}

/// Rows drawn one after another in proportion to their squared distance from those before.
at::Tensor kmeans_plus_plus(const at::Tensor& x, int64_t k, const Noise& noise) {
  const auto u = noise.site("seeds").uniform({k}, x.options());
  auto nearest = at::ones({x.size(0)}, x.options());
  std::vector<at::Tensor> centres;
  for (int64_t i = 0; i < k; ++i) {
    const auto cumulative = nearest.cumsum(0);
    const auto reached = u[i] * cumulative[-1];
    const int64_t chosen = std::min(cumulative.le(reached).sum().item<int64_t>(), x.size(0) - 1);
    centres.push_back(x[chosen]);
    const auto d = distances(x, x[chosen].unsqueeze(0)).squeeze(1).clamp_min(0);
    nearest = i == 0 ? d : at::minimum(nearest, d);
    if (nearest.sum().item<double>() <= 0) nearest = at::ones_like(nearest);  // all rows are taken
  }
  return at::stack(centres);
}

at::Tensor lloyd(const at::Tensor& x, at::Tensor centres, int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) {
    const auto one_hot =
        at::one_hot(distances(x, centres).argmin(1), centres.size(0)).to(x.dtype());
    const auto count = one_hot.sum(0).unsqueeze(1);
    centres = at::where(count > 0, one_hot.t().matmul(x) / count.clamp_min(1), centres);
  }
  return centres;
}

at::Tensor distinct_rows(const at::Tensor& x, int64_t k, const Noise& noise) {
  const auto order = noise.site("seeds").uniform({x.size(0)}, x.options()).argsort();
  return x.index_select(0, order.narrow(0, 0, k));
}

/// What EM writes, kept aside.
class Snapshot {
 public:
  explicit Snapshot(const Em& em) {
    for (const MStep& m : em.m_steps())
      for (const auto& p : m.parameters) kept_.emplace_back(p, p.detach().clone());
  }
  void restore() const {
    const at::NoGradGuard no_grad;
    for (auto [parameter, value] : kept_) parameter.copy_(value);
  }

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> kept_;
};

/// The latent site's probabilities.
at::Tensor weights_of(const Em& em, int64_t components) {
  for (const MStep& m : em.m_steps())
    if (m.family->name() == "Categorical" && m.parameters.front().dim() == 1 &&
        m.parameters.front().numel() == components)
      return m.parameters.front();
  throw SiteError("fit_mixture: no M step of the latent site; expected one of a Categorical");
}

/// The log density below which the worst `count` rows lie.
double threshold_of_worst(const Em& em, const RowStream& rows, int64_t count) {
  constexpr int64_t kChunk = 2000;
  auto worst = at::empty({0}, at::kDouble);
  for (int64_t first = 0; first < rows.total; first += kChunk) {
    const auto chunk = rows.range(first, std::min(kChunk, rows.total - first));
    worst = at::cat({worst, em.responsibilities(chunk).log_likelihood});
    if (worst.numel() > count) worst = std::get<0>(worst.topk(count, 0, /*largest=*/false));
  }
  return worst.max().item<double>();
}

/// Gives empty components the worst rows, one after another; how many were worth it.
int64_t repair(Em& em, const RowStream& rows, int64_t components, double* log_likelihood) {
  const auto weights = weights_of(em, components);
  int64_t repaired = 0;
  for (int64_t k = 0; k < components; ++k) {
    if (weights[k].item<double>() * static_cast<double>(rows.total) >= 1) continue;
    const Snapshot before(em);
    const int64_t count = std::clamp<int64_t>(rows.total / (10 * components), 2, 5000);
    const double limit = threshold_of_worst(em, rows, count);
    double after = -std::numeric_limits<double>::infinity();
    try {
      // Of the model as it is: start() reads it before it writes.
      em.start(rows, [&](const Batch& chunk) {
        const auto found = em.responsibilities(chunk);
        const auto given = found.log_likelihood <= limit;
        auto moved = found.weights.masked_fill(given, 0);
        moved[k] = at::where(given, at::ones_like(moved[k]), moved[k]);
        return moved;
      });
      after = em.log_likelihood(rows);
    } catch (const NumericError&) {  // no improvement, then
    }
    if (after > *log_likelihood) {
      *log_likelihood = after;
      ++repaired;
    } else {
      before.restore();
    }
  }
  return repaired;
}

}  // namespace

void MixtureFitOptions::validate() const {
  if (restarts < 1) throw ConfigError(fmt::format("restarts = {}; expected >= 1", restarts));
  if (max_iterations < 1)
    throw ConfigError(fmt::format("max_iterations = {}; expected >= 1", max_iterations));
  if (!(tolerance >= 0)) throw ConfigError(fmt::format("tolerance = {}; expected >= 0", tolerance));
  if (start_rows < 1) throw ConfigError(fmt::format("start_rows = {}; expected >= 1", start_rows));
}

void start_mixture(Em& em, const RowStream& rows, int64_t components, const Noise& noise,
                   const MixtureFitOptions& options) {
  constexpr int64_t kLloyd = 10;
  options.validate();
  if (rows.total < components)
    throw DataError(fmt::format("fit_mixture: {} rows; expected at least as many as components, {}",
                                rows.total, components));
  const at::NoGradGuard no_grad;
  const auto x = some_rows(rows, std::max(options.start_rows, components));
  const auto middle = x.mean(0), spread = x.std(0, /*unbiased=*/false);
  const auto scale = spread.masked_fill(spread <= 0, 1);
  const auto standard = (x - middle) / scale;
  const auto centres = options.start == MixtureStart::kKmeans
                           ? lloyd(standard, kmeans_plus_plus(standard, components, noise), kLloyd)
                           : distinct_rows(standard, components, noise);
  // All alike first: what a component keeps that no row is nearest to.
  em.start(rows, [&](const Batch& chunk) {
    return at::full({components, chunk.size()}, 1 / static_cast<double>(components), at::kDouble);
  });
  em.start(rows, [&](const Batch& chunk) {
    const auto nearest =
        distances((chunk["x"].to(at::kDouble) - middle) / scale, centres).argmin(1);
    return at::one_hot(nearest, components).t().to(at::kDouble);
  });
}

MixtureFit fit_mixture(Em& em, const RowStream& rows, int64_t components, const Noise& noise,
                       const MixtureFitOptions& options, const FitProgress& progress) {
  options.validate();
  MixtureFit best;
  best.log_likelihood = -std::numeric_limits<double>::infinity();
  std::optional<Snapshot> kept;
  bool go_on = true;
  const bool repairs = options.repair_empty && !em.options().beside_rows;
  for (int64_t restart = 0; restart < options.restarts && go_on; ++restart) {
    start_mixture(em, rows, components, noise.site("restart").step(static_cast<uint64_t>(restart)),
                  options);
    MixtureFit fit;
    fit.restart = restart;
    while (go_on && !fit.converged && fit.iterations < options.max_iterations) {
      const double before = em.iterate(rows);
      const bool first = fit.curve.empty();
      const double gain = first ? 0 : before - fit.curve.back();
      fit.curve.push_back(before);
      ++fit.iterations;
      go_on = !progress || progress(restart, fit.iterations, before);
      if (first || gain > options.tolerance) continue;
      double now = em.log_likelihood(rows);
      const int64_t repaired = repairs ? repair(em, rows, components, &now) : 0;
      fit.repairs += repaired;
      fit.converged = repaired == 0;
    }
    fit.log_likelihood = em.log_likelihood(rows);
    if (fit.log_likelihood > best.log_likelihood) {
      best = std::move(fit);
      kept.emplace(em);
    }
  }
  if (kept) kept->restore();
  return best;
}

}  // namespace elbo
