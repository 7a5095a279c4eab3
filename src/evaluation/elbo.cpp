#include "elbo/evaluation/elbo.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "elbo/distributions/normal.h"

namespace elbo {
namespace {

/// Calls visit(batch, noise) on all rows, in order, while it returns true.
template <class Visit>
void each_batch(const data::BatchSource& source, const EvaluateOptions& options,
                const Visit& visit) {
  const at::NoGradGuard no_grad;
  const Noise noise = evaluation_noise(options.seed);
  for (int64_t first = 0; first < source.rows(); first += options.batch_size) {
    const int64_t count = std::min(options.batch_size, source.rows() - first);
    if (!visit(source.range(first, count, noise), noise)) return;
  }
}

}  // namespace

Noise evaluation_noise(uint64_t seed) { return Noise(seed, 0xffffffffu); }

Evaluation evaluate_elbo(const Model& model, const data::BatchSource& source,
                         const EvaluateOptions& options) {
  const Program p = model.model(), q = model.guide();
  double sum = 0, squares = 0, reconstruction = 0, kl = 0, draws = 0;
  double shift = std::numeric_limits<double>::quiet_NaN();  // keeps the squares' sum accurate
  each_batch(source, options, [&](const Batch& batch, const Noise& noise) {
    auto rows = model.log_likelihood(with_gaps(batch));  // the bound, tight, where it is known
    Bound bound;
    if (!rows.defined()) {
      bound = options.estimator(p, q, batch, noise);
      const auto particles = bound.rows().to(at::kDouble);
      rows = particles.mean(0);
      if (particles.size(0) > 1)
        draws += particles.var(0).sum().item<double>() / static_cast<double>(particles.size(0));
    }
    rows = rows.to(at::kDouble);
    if (std::isnan(shift)) shift = rows.mean().item<double>();
    sum += (rows - shift).sum().item<double>();
    squares += (rows - shift).square().sum().item<double>();
    if (!bound.reconstruction.defined()) return true;
    reconstruction += bound.reconstruction.to(at::kDouble).mean(0).sum().item<double>();
    kl += bound.kl.to(at::kDouble).mean(0).sum().item<double>();
    return true;
  });
  const auto n = static_cast<double>(source.rows());
  if (source.rows() == 0) throw DataError("evaluate: the data set has no rows");
  const double variance = n > 1 ? (squares - sum * sum / n) / (n - 1) : 0;
  return {.mean = shift + sum / n,
          .standard_error = std::sqrt(std::max(0.0, variance) / n),
          .reconstruction = reconstruction / n,
          .kl = kl / n,
          .rows = source.rows(),
          .draw_variance = draws / (n * n)};
}

double smallest_sigma(const Model& model, const data::BatchSource& source,
                      const EvaluateOptions& options) {
  double smallest = std::numeric_limits<double>::infinity();
  const auto look = [&](const Batch& batch, const Noise&) {
    if (model.log_likelihood(with_gaps(batch)).defined()) return false;
    const auto p = model.decode(model.encode(batch["x"]).mean());
    const auto* normal = dynamic_cast<const Normal*>(p.base().get());
    if (normal != nullptr) smallest = std::min(smallest, normal->scale().min().item<double>());
    return normal != nullptr;  // the first batch tells of all
  };
  each_batch(source, options, look);
  return smallest;
}

}  // namespace elbo
