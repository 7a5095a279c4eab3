#include "elbo/evaluation/posterior_evidence.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "elbo/evaluation/density_fit.h"
#include "elbo/inference/latent_density.h"
#include "elbo/kernels/log_sum_exp.h"
#include "estimators/detail/trace_pair.h"

namespace elbo {
namespace {

/// Bounds memory; part of what seeded numbers depend on.
constexpr int64_t kTogether = 50;
constexpr int64_t kScouting = 15;
constexpr double kStranded = 30;

/// Chains that have not found what another chain of their row has go on from there: u [C M, D].
at::Tensor without_stranded(const LatentDensity& joint, const at::Tensor& u, int64_t rows,
                            const Noise& noise, const HmcOptions& options) {
  HmcSampler scouts([&](const at::Tensor& at) { return joint(at); }, u, joint.keyed(noise),
                    options);
  scouts.warm_up(kScouting);
  const auto position = scouts.state().position.view({-1, rows, joint.dim()});
  const auto log_joint = scouts.state().log_density.view({-1, rows});
  const auto [best, which] = log_joint.max(0, /*keepdim=*/true);  // [1, M]
  const auto there = position.gather(0, which.unsqueeze(-1).expand({1, rows, joint.dim()}));
  const auto stranded = (log_joint < best - kStranded).unsqueeze(-1);
  return at::where(stranded, there, position).reshape(u.sizes());
}

/// u [C M, D] of draws of the guide, resampled by weight: the chains of the fit, and again, in the
/// same places, those of the estimate. In modes of their own the two would know nothing of each
/// other's.
at::Tensor resampled(const Program& model, const Program& guide, const Batch& batch,
                     const Noise& noise, const PosteriorEvidenceOptions& options) {
  const int64_t half = options.chains / 2, rows = batch.size();
  const LatentDensity joint(model, batch, {.chains = half});
  std::vector<at::Tensor> points, weights;
  for (int64_t first = 0; first < options.candidates; first += kTogether) {
    const int64_t count = std::min(kTogether, options.candidates - first);
    const detail::TracePair pair("posterior_evidence", model, guide, batch,
                                 noise.site(std::to_string(first / kTogether)), count,
                                 detail::Draws::kDetached);
    auto weight = at::zeros({count, rows}, at::kDouble);
    for (const Site& p : pair.model.sites()) {
      weight += p.log_prob();
      if (!p.observed) weight -= pair.guide.at(p.name).log_prob();
    }
    weights.push_back(weight);
    const LatentDensity part(model, batch, {.chains = count});
    points.push_back(part.unconstrained(pair.guide).view({count, rows, joint.dim()}));
  }
  // The greatest of log weights with Gumbel noise is a draw by weight.
  const auto uniform = noise.site("resample")
                           .rows(batch.rows)
                           .particles(half)
                           .uniform({half, rows, options.candidates}, at::kDouble);
  const auto chosen = (at::cat(weights).t() - (-uniform.log()).log()).argmax(-1);  // [C / 2, M]
  const auto index = chosen.unsqueeze(-1).expand({half, rows, joint.dim()});
  const auto u =
      without_stranded(joint, at::cat(points).gather(0, index).reshape({half * rows, joint.dim()}),
                       rows, noise.site("scout"), options.hmc);
  return at::cat({u, u});
}

}  // namespace

void PosteriorEvidenceOptions::validate() const {
  if (chains < 2 || chains % 2 != 0)
    throw ConfigError(
        fmt::format("posterior_evidence: chains = {}; expected an even number >= 2", chains));
  if (draws < 4)
    throw ConfigError(fmt::format("posterior_evidence: draws = {}; expected >= 4", draws));
  if (warm_up < 0)
    throw ConfigError(fmt::format("posterior_evidence: warm_up = {}; expected >= 0", warm_up));
  if (candidates < 1)
    throw ConfigError(
        fmt::format("posterior_evidence: candidates = {}; expected >= 1", candidates));
  hmc.validate();
}

LogEvidence harmonic_mean(const at::Tensor& log_ratio) {
  const auto l = log_ratio.detach().to(at::kDouble);
  const int64_t draws = l.size(0), chains = l.size(1), rows = l.size(2);
  const auto log_mean = log_mean_exp(l.flatten(0, 1), 0).squeeze(0);
  // Batches long beside the draws' correlation, and many: sqrt(draws) of sqrt(draws) in each chain.
  const auto length = static_cast<int64_t>(std::sqrt(static_cast<double>(draws)));
  const int64_t batches = draws / length;
  const auto means = (l - log_mean)
                         .exp()
                         .narrow(0, 0, batches * length)
                         .view({batches, length, chains, rows})
                         .mean(1)
                         .view({batches * chains, rows});
  const auto error = means.std(0) / std::sqrt(static_cast<double>(batches * chains));
  return {.rows = -log_mean,
          .standard_error = error,
          .k_hat = pareto_k_hat(l.view({draws * chains, rows}))};
}

PosteriorEvidence posterior_evidence(const Program& model, const Program& guide, const Batch& batch,
                                     const Noise& noise, const PosteriorEvidenceOptions& options) {
  options.validate();
  const at::NoGradGuard no_grad;  // but along the latents, which HMC takes itself
  const int64_t chains = options.chains, half = chains / 2, rows = batch.size();
  const LatentDensity joint(model, batch, {.chains = chains});
  if (!joint.is_by_datum())
    throw SiteError("posterior_evidence: a latent site lies outside the plate");
  const Noise start = noise.site("start");
  const auto from =
      options.candidates > 1
          ? resampled(model, guide, batch, start, options)
          : joint.unconstrained(
                Trace::run(guide, batch, start, {.num_particles = chains, .requires_grad = false}));
  HmcSampler sampler([&](const at::Tensor& u) { return joint(u); }, from,
                     joint.keyed(noise.site("hmc")), options.hmc);
  sampler.warm_up(options.warm_up);
  const HmcRun run = sampler.run(options.draws);

  const int64_t dim = joint.dim();
  const auto position = run.position.view({options.draws, chains, rows, dim});
  const auto log_joint = run.log_density.view({options.draws, chains, rows}).to(at::kDouble);
  const auto halved = [&](const at::Tensor& x, int64_t first) {
    return x.narrow(1, first, half).flatten(0, 1);
  };
  const auto to_fit = halved(position, 0), to_use = halved(position, half);
  const auto estimate = [&](const auto& fit) {
    const auto log_ratio = fit.log_density(to_use) - halved(log_joint, half);
    return harmonic_mean(log_ratio.view({options.draws, half, rows}));
  };
  PosteriorEvidence out{.gaussian = estimate(GaussianFit(to_fit)),
                        .kernel = options.kernel ? estimate(KernelFit(to_fit)) : LogEvidence{},
                        .dim = dim,
                        .acceptance = run.acceptance.to(at::kDouble).view({chains, rows}).mean(0),
                        .divergences = run.divergences.sum().item<int64_t>()};
  return out;
}

}  // namespace elbo
