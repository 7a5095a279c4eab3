#include "elbo/estimators/score_function.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "estimators/detail/trace_pair.h"

namespace elbo {
namespace {

/// d E[f] has a term from the edge where that moves, which the score knows nothing of.
void check_support_stays(const Site& site) {
  const Constraint support = site.distribution->support();
  for (const auto& edge : {support.lower(), support.upper()})
    if (edge.defined() && edge.requires_grad())
      throw UnsupportedError("ScoreFunction: the support of guide site '" + site.name + "' (" +
                             site.distribution->name() +
                             ") moves with a parameter, which biases the estimate");
}

}  // namespace

void ScoreFunction::validate() const {
  if (num_particles < 1)
    throw ConfigError(
        fmt::format("ScoreFunction: num_particles = {}; expected >= 1", num_particles));
}

Bound ScoreFunction::operator()(const Program& model, const Program& guide, const Batch& batch,
                                const Noise& noise) const {
  validate();
  const detail::TracePair pair("ScoreFunction", model, guide, batch, noise, num_particles,
                               detail::Draws::kDetached);
  Bound bound{.total = batch.total, .weights = batch.weights};
  at::Tensor log_q;
  for (const Site& p : pair.model.sites()) {
    if (!p.in_plate) throw SiteError("ScoreFunction: site '" + p.name + "' lies outside the plate");
    if (p.observed) {
      detail::add(bound.reconstruction, p.log_prob());
      continue;
    }
    const Site& q = pair.guide.at(p.name);
    check_support_stays(q);
    const auto score = q.log_prob();
    detail::add(log_q, score);
    detail::add(bound.kl, score.detach() - p.log_prob());
  }
  detail::fill(bound, {num_particles, batch.size()}, batch.options());
  if (!log_q.defined() || !at::GradMode::is_enabled()) return bound;
  const auto rows = bound.rows();
  auto signal = rows.detach();
  if (baseline != nullptr) {
    const at::NoGradGuard no_grad;
    const auto f = signal;
    signal = f - baseline->value(batch, f);
    baseline->learn(batch, f);
  }
  // Of value 0: log q enters by its gradient alone.
  bound.combined = rows + signal * (log_q - log_q.detach());
  return bound;
}

std::map<std::string, at::Tensor> ScoreFunction::state() const {
  return baseline == nullptr ? std::map<std::string, at::Tensor>{} : baseline->state();
}

}  // namespace elbo
