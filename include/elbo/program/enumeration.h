// Sums over the enumerated sites of a trace.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "elbo/program/trace.h"

namespace elbo {

/// log of the sum over all values of the enumerated sites of p(x, z): [particles, plates...], in
/// nats; with their gradient to whatever the densities depend on, which is that of the expected
/// log joint under the posterior (Fisher's identity).
///
/// Variables are summed out one at a time, the one that leaves the smallest table first, from the
/// factors that depend on it alone: the product of all supports is only formed where a factor has
/// it.
/// **Throws** SiteError where an enumerated site is outside all plates, for then rows depend on
/// each other.
[[nodiscard]] at::Tensor log_marginal(const Trace& trace);

/// log p(x, z) of every combination of the enumerated sites' values: [cells, particles * plates],
/// in the order in which they ran, the last one's values next to each other. All of it exists: for
/// a few sites of few values.
/// **Throws** as `log_marginal`; SiteError for a latent site that was drawn.
[[nodiscard]] at::Tensor log_joint(const Trace& trace);

/// What the E step of EM finds (TT: algorithm 1, step 1).
struct Posterior {
  at::Tensor log_marginal;  ///< [particles, plates...]
  /// Of each site of the trace, in order: the posterior probability of what its density depends on,
  /// with the dimensions of its `log_prob`. Those along which that only repeats itself (stride 0)
  /// have size 1 and are summed over. Undefined for sites that depend on no enumerated one.
  std::vector<at::Tensor> weights;
};

/// As `log_marginal`, without its gradient. The weights are its derivatives along each density.
[[nodiscard]] Posterior posterior(const Trace& trace);

/// Expectations over the enumerated sites of a guide's trace, under the guide's own probabilities:
/// exact, and differentiable along these too.
class GuideExpectation {
 public:
  /// `guide` need not outlive the object.
  explicit GuideExpectation(const Trace& guide);

  /// sum_y q(y) f(y): f [enumerated..., particles, plates...] to [particles, plates...]. A value
  /// of probability 0 counts 0, whatever f is there.
  ///
  /// Only sites that f depends on, and what their laws depend on, enter: all others' probabilities
  /// sum to 1.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& f) const;

 private:
  int64_t drawn_;                  // dimensions [particles, plates...]
  std::vector<at::Tensor> log_q_;  // of each enumerated site, in the order of their dimensions
};

}  // namespace elbo
