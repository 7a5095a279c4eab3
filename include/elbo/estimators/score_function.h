// The score-function gradient of the bound (AEVB 2.2), with baselines against its variance.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "elbo/estimators/baseline.h"
#include "elbo/estimators/bound.h"

namespace elbo {

/// The bound of SGVB-A, its gradient along phi by the score function: of every guide, discrete
/// sites included, but of a variance for which AEVB calls it impractical. `elbo compare gradients`
/// shows it.
///
/// **Equation** With f = log p(x, z) - log q(z | x) at z_l ~ q and a baseline b:
///     d/d phi  = (f - b) d log q(z | x)/d phi,    d/d theta = d log p(x, z)/d theta
/// and E[d log q/d phi] = 0 is left out of d f/d phi.
///
/// The baseline is shared by copies and learns from each call that takes gradients; its state must
/// be saved with the learner's (AevbOptions::estimator_state).
/// **RNG** the draws of Sgvb from the same noise.
/// **Throws** SiteError as `Sgvb` does, but for draws that can't be reparameterised, and for sites
/// outside the plate; UnsupportedError where the support of a guide's law moves with a parameter,
/// which would bias it.
struct ScoreFunction {
  int64_t num_particles = 1;                     ///< L
  std::shared_ptr<Baseline> baseline = nullptr;  ///< none: b = 0

  void validate() const;
  [[nodiscard]] Bound operator()(const Program& model, const Program& guide, const Batch& batch,
                                 const Noise& noise) const;
  /// The baseline's.
  [[nodiscard]] std::map<std::string, at::Tensor> state() const;
};

}  // namespace elbo
