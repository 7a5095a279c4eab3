#include "elbo/estimators/importance_weighted.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "elbo/kernels/log_sum_exp.h"
#include "estimators/detail/trace_pair.h"

namespace elbo {

void ImportanceWeighted::validate() const {
  if (num_particles < 1)
    throw ConfigError(
        fmt::format("ImportanceWeighted: num_particles = {}; expected >= 1", num_particles));
}

Bound ImportanceWeighted::operator()(const Program& model, const Program& guide, const Batch& batch,
                                     const Noise& noise) const {
  validate();
  const detail::TracePair pair("ImportanceWeighted", model, guide, batch, noise, num_particles);
  Bound bound{.total = batch.total, .weights = batch.weights};
  for (const Site& p : pair.model.sites()) {
    if (!p.in_plate)
      throw SiteError("ImportanceWeighted: site '" + p.name + "' lies outside the plate");
    if (p.observed)
      detail::add(bound.reconstruction, p.log_prob());
    else
      detail::add(bound.kl, pair.guide.at(p.name).log_prob() - p.log_prob());
  }
  detail::fill(bound, {num_particles, batch.size()}, batch.options());
  bound.combined = log_mean_exp(bound.reconstruction - bound.kl, 0);
  return bound;
}

}  // namespace elbo
