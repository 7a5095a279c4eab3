#include "elbo/evaluation/importance_sampling.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "estimators/detail/trace_pair.h"

namespace elbo {
namespace {

/// Bounds memory; part of what seeded numbers depend on.
constexpr int64_t kTogether = 50;

/// [draws, M].
at::Tensor log_weights(const Program& model, const Program& guide, const Batch& batch,
                       const Noise& noise, int64_t draws) {
  const detail::TracePair pair("importance_evidence", model, guide, batch, noise, draws,
                               detail::Draws::kDetached);
  auto sum = at::zeros({draws, batch.size()}, at::kDouble);
  for (const Site& p : pair.model.sites()) {
    if (!p.in_plate)
      throw SiteError("importance_evidence: site '" + p.name + "' lies outside the plate");
    sum += p.log_prob();
    if (!p.observed) sum -= pair.guide.at(p.name).log_prob();
  }
  return sum;
}

}  // namespace

LogEvidence importance_evidence(const Program& model, const Program& guide, const Batch& batch,
                                const Noise& noise, int64_t draws) {
  if (draws < 2)
    throw ConfigError(fmt::format("importance_evidence: draws = {}; expected >= 2", draws));
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < draws; first += kTogether)
    parts.push_back(log_weights(model, guide, batch, noise.site(std::to_string(first / kTogether)),
                                std::min(kTogether, draws - first)));
  return log_mean_weight(at::cat(parts));
}

}  // namespace elbo
