// The marginal likelihood from posterior draws (AEVB appendix D).
#pragma once

#include "elbo/evaluation/log_evidence.h"
#include "elbo/inference/hmc_sampler.h"
#include "elbo/program/trace.h"

namespace elbo {

struct PosteriorEvidenceOptions {
  int64_t chains = 8;     ///< even: half of them for the fit, the others for the estimate
  int64_t draws = 250;    ///< that each chain keeps, >= 4
  int64_t warm_up = 150;  ///< that it does not
  HmcOptions hmc = {};
  /// K >= 1 draws of the guide that a row's chains may start at. Of one, each chain begins at a
  /// draw of its own. Of more, the chains of the fit begin at some of K, resampled by p(x, z) / q(z
  /// | x) (Rubin 1987), so that a guide that is far from the posterior, the prior even, finds where
  /// its mass is. They move 15 transitions then; those that end 30 nats below their row's best, in
  /// a mode of no mass or on the way, go on from its place, and the other chains begin where these
  /// are.
  int64_t candidates = 1;
  bool kernel = true;  ///< the kernel fit too, which takes (draws chains / 2)^2 operations a row

  void validate() const;
};

/// AEVB: the estimator is good for a sampled space of low dimension, less than 5.
inline constexpr int64_t kReliableDimensions = 5;

struct PosteriorEvidence {
  LogEvidence gaussian;   ///< with a Gaussian fit
  LogEvidence kernel;     ///< with a kernel fit; undefined tensors unless asked for
  int64_t dim = 0;        ///< of the latents of a row
  at::Tensor acceptance;  ///< [M]: of the chains
  int64_t divergences = 0;

  /// Whether there are more latent dimensions than the estimator is good for.
  [[nodiscard]] bool high_dimensional() const { return dim > kReliableDimensions; }
};

/// Draws z from p(z | x) of each row by HMC, fits a density q to one half of the chains, and takes
/// the other half for the harmonic form.
///
/// **Equation** 1 / p(x) = E_posterior[q(z) / (p(z) p(x | z))] (AEVB appendix D), in the latents'
/// unconstrained space. The estimate is -log of the mean ratio; its standard error, by batch means
/// within the chains, is that of the mean over the mean. A fit that is wider than the posterior by
/// 2^(1/2) in any direction leaves the ratio without variance; beyond (4/3)^(1/2), its standard
/// error without variance, so that it lies. `k_hat` of the ratios tells.
/// **RNG** the guide's sites of `noise.site("start")`, where the chains start, in parts of 50
/// candidates, and its sites "resample" and "scout"; `noise.site("hmc")`.
/// **Throws** ConfigError; SiteError where a latent site is discrete or lies outside the plate;
/// NumericError where a chain's start is impossible or a chain does not move.
[[nodiscard]] PosteriorEvidence posterior_evidence(const Program& model, const Program& guide,
                                                   const Batch& batch, const Noise& noise,
                                                   const PosteriorEvidenceOptions& options = {});

/// The estimate from `log_ratio` [draws, chains, M]: log q(z) - log p(x, z) at draws of the
/// posterior, in the order of each chain.
[[nodiscard]] LogEvidence harmonic_mean(const at::Tensor& log_ratio);

}  // namespace elbo
