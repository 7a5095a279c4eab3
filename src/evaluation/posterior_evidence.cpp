#include "elbo/evaluation/posterior_evidence.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "elbo/evaluation/density_fit.h"
#include "elbo/inference/latent_density.h"

namespace elbo {

void PosteriorEvidenceOptions::validate() const {
  if (chains < 2 || chains % 2 != 0)
    throw ConfigError(
        fmt::format("posterior_evidence: chains = {}; expected an even number >= 2", chains));
  if (draws < 4)
    throw ConfigError(fmt::format("posterior_evidence: draws = {}; expected >= 4", draws));
  if (warm_up < 0)
    throw ConfigError(fmt::format("posterior_evidence: warm_up = {}; expected >= 0", warm_up));
  hmc.validate();
}

LogEvidence harmonic_mean(const at::Tensor& log_ratio) {
  const auto l = log_ratio.detach().to(at::kDouble);
  const int64_t draws = l.size(0), chains = l.size(1), rows = l.size(2);
  const auto log_mean =
      l.logsumexp(at::IntArrayRef{0, 1}) - std::log(static_cast<double>(draws * chains));
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
  const auto guess = Trace::run(guide, batch, noise.site("start"),
                                {.num_particles = chains, .requires_grad = false});
  HmcSampler sampler([&](const at::Tensor& u) { return joint(u); }, joint.unconstrained(guess),
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
