// log p(x) by annealed importance sampling, and between two bounds where x was simulated.
#pragma once

#include "elbo/evaluation/log_evidence.h"
#include "elbo/inference/hmc.h"
#include "elbo/program/trace.h"

namespace elbo {

enum class AnnealFrom {
  kGuide,  ///< q(z | x): near the posterior already, where the guide is good
  kPrior,  ///< p(z)
};

struct AnnealedOptions {
  AnnealFrom from = AnnealFrom::kGuide;
  int64_t chains = 16;          ///< weights a row, >= 2
  int64_t temperatures = 100;   ///< T, steps along the path, >= 1; 1 is plain importance sampling
  int64_t leapfrog_steps = 10;  ///< of the transition at each
  double target_acceptance = 0.8;  ///< in (0, 1)

  void validate() const;
};

struct AnnealedEvidence {
  LogEvidence evidence;
  at::Tensor acceptance;  ///< [M]: mean over chains and temperatures
};

/// Annealed importance sampling (Neal 2001) for each row of a batch.
///
/// **Equation** f_t = s^(1 - b_t) p(x, z)^b_t between the start s and the joint, in the latents'
/// unconstrained space; 0 = b_0 < ... < b_T = 1 on a sigmoid (Grosse, Ghahramani and Adams 2015).
/// z_0 ~ s, z_t by one HMC transition that leaves f_t invariant;
///     log w = sum_t (b_t - b_(t-1)) (log p(x, z_(t-1)) - log s(z_(t-1))),   E[w] = p(x).
/// Step sizes are found by a chain of their own beforehand, one for each row and temperature, and
/// are fixed then: a chain that tuned itself would bias w.
/// **RNG** sites "start", "scale", "tune" and "anneal" of `noise`.
/// **Throws** ConfigError; SiteError where a latent site is discrete or lies outside the plate,
/// and, from the guide, where its sites are in another order than the model's, or of another
/// support.
[[nodiscard]] AnnealedEvidence annealed_evidence(const Program& model, const Program& guide,
                                                 const Batch& batch, const Noise& noise,
                                                 const AnnealedOptions& options = {});

/// log p(x) of simulated rows from both sides.
struct Sandwich {
  LogEvidence lower;  ///< by chains from the start: log p(x) at most, in the mean
  LogEvidence upper;  ///< by chains from the exact draw back: at least
  Batch batch;        ///< the x in question
};

/// Bidirectional Monte Carlo (Grosse, Ghahramani and Adams 2015): draws (x, z) from the model for
/// as many rows as `like` has. Since z is an exact draw of the posterior, the path walked backwards
/// from it gives E[1/w] = 1 / p(x), and -log mean(1/w) is an upper bound in the mean. The gap says
/// how far AIS with these options can be off on this model, for x that it made itself.
/// **RNG** site "dream", and those of annealed_evidence; "back".
[[nodiscard]] Sandwich bidirectional_evidence(const Program& model, const Program& guide,
                                              const Batch& like, const Noise& noise,
                                              const AnnealedOptions& options = {});

}  // namespace elbo
