// The no-U-turn sampler (Hoffman & Gelman 2014), as it is in Stan (Betancourt 2017, appendix A).
#pragma once

#include "elbo/inference/hmc.h"

namespace elbo {

/// Moves each row by a transition that chooses its own number of leapfrog steps: the path doubles,
/// forward or backward in time at random, until it turns back on itself or has 2^max_depth points;
/// of its points one is drawn by its weight e^-H, later halves preferred (A.3.2). The path turns
/// where (sum of its momenta) . (velocity at an end) <= 0 at either end, of the path, of any of its
/// subtrees, or across the middle of two joined.
///
/// Rows double side by side, so that every evaluation is one of all rows, until the last has
/// stopped: a batch costs what its longest path costs. What a row does depends on no other.
///
/// `state` must hold the values of this density. `step.leapfrog_steps` is not used. Of the outcome,
/// `acceptance` is the mean of min(1, e^-energy_error) over the path, what dual averaging wants;
/// `energy_error` is the largest on the path; `accepted` says whether another point was drawn.
/// **RNG** the sites "momentum", "direction" and "choice" of `noise`, which should know the rows as
/// for `hmc_transition`.
/// **Throws** ShapeError where step size or mass do not fit; ConfigError for max_depth < 1.
HmcOutcome nuts_transition(const LogDensity& log_density, HmcState& state, const HmcStep& step,
                           const Noise& noise, int64_t max_depth = 10);

}  // namespace elbo
